from datetime import date

import pytest

from trueup_hub.errors import BadRequest
from trueup_hub.params import Parameter, Query, metric


def common(*pairs: tuple[str, str]):
    return Query(pairs).common("UTC")


def test_everything_may_be_absent() -> None:
    asked = common()
    assert (asked.first, asked.last, asked.zone.key, asked.filters) == (None, None, "UTC", {})


def test_filters_are_repeated_or_separated_by_commas_without_repetitions() -> None:
    asked = common(("model", "a,b"), ("model", "c"), ("model", "a"), ("host", "x"))
    assert asked.filters == {"model": ["a", "b", "c"], "host": ["x"]}


def test_a_value_with_a_comma_is_quoted_as_in_csv() -> None:
    assert common(("project", '"a,b",c"d,"e""f"')).filters == {"project": ["a,b", 'c"d', 'e"f']}


def test_an_empty_value_is_a_value_and_selects_what_has_none() -> None:
    assert common(("model", "")).filters == {"model": [""]}
    assert common(("model", "a,")).filters == {"model": ["a", ""]}


def test_the_last_day_may_be_the_first() -> None:
    asked = common(("from", "2026-11-22"), ("to", "2026-11-22"), ("timezone", "Asia/Kathmandu"))
    assert (asked.first, asked.last, asked.zone.key) == (date(2026, 11, 22), date(2026, 11, 22), "Asia/Kathmandu")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("form", "2026-01-01", "'form' is not a parameter of this route: it takes from, to"),
        ("from", "2026-02-30", "'from' is '2026-02-30': must be a date such as"),
        ("from", "20260101", "must be a date such as"),
        ("from", "2026-W01-1", "must be a date such as"),
        ("to", "", "'to' is '': must be a date"),
        ("to", "9999-12-31", "must lie between 2015-01-02 and 2100-12-30"),
        ("timezone", "Mars/Olympus", "'timezone' is 'Mars/Olympus': is not a time zone"),
        ("timezone", "../../etc/passwd", "is not a time zone"),
        ("timezone", "America", "is not a time zone"),
        ("timezone", "", "is not a time zone"),
        ("counted", "twice", "'counted' cannot be 'twice': use one of once, all."),
        ("label", "team", "'label' is 'team': must be NAME:VALUE"),
        ("label", ":web", "'label' is ':web': must be NAME:VALUE"),
        ("model", '"a', "is not a list of values"),
        ("model", "a\0b", "must not contain a NUL"),
        ("timezone", "x" * 5000, "x…': is not a time zone"),
    ],
)
def test_what_makes_no_sense_is_named(name: str, value: str, said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        common((name, value))
    assert said in refused.value.detail
    assert len(refused.value.detail) < 300


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"'from' \(2026-01-02\) is after 'to' \(2026-01-01\)"):
        common(("from", "2026-01-02"), ("to", "2026-01-01"))


def test_a_parameter_of_one_value_is_refused_twice() -> None:
    with pytest.raises(BadRequest, match="'from' is given 2 times"):
        common(("from", "2026-01-02"), ("from", "2026-01-02"))


@pytest.mark.parametrize("value", ["0", "101", "-1", "1.5", "²", "1_0", " 1", "", "999999999999999999999"])
def test_a_number_out_of_bounds_is_refused(value: str) -> None:
    limit = Parameter(name="limit", kind="whole", doc="", lowest=1, highest=100, default=10)
    with pytest.raises(BadRequest, match="must be a whole number from 1 to 100"):
        Query([("limit", value)], [limit])


def test_a_choice_lists_what_there_is() -> None:
    takes = [metric(("a", "b"), "a")]
    assert Query([], takes)["metric"] == "a"
    with pytest.raises(BadRequest, match=r"'metric' cannot be 'tokens': use one of a, b\.") as refused:
        Query([("metric", "tokens")], takes)
    assert (refused.value.code, refused.value.members) == ("unsupported_metric", {"supported": ["a", "b"]})


def test_a_dimension_is_one_of_the_list_or_a_label() -> None:
    by = [Parameter(name="by", kind="dimension", doc="", choices=("host",), needed=True)]
    assert Query([("by", "label:team")], by)["by"] == "label:team"
    for wrong in ("label:", "team"):
        with pytest.raises(BadRequest, match=rf"'by' cannot be '{wrong}': use one of host, label:NAME"):
            Query([("by", wrong)], by)
    with pytest.raises(BadRequest, match="'by' is needed: use one of host, label:NAME"):
        Query([], by)


def test_labels_are_grouped_by_their_name() -> None:
    asked = common(("label", "team:web,team:"), ("label", "site:a:b"))
    assert asked.labels == {"team": ["web", ""], "site": ["a:b"]}

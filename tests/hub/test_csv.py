"""Answers as CSV: what JSON says, for spreadsheets and scripts."""

import csv
import io
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from hub_client import API, HubClient
from trueup_hub.analytics.totals import Coverage, Totals, coverage_of, totals_of
from trueup_hub.tables import csv_text
from usage_data import event, machine, message, session

OPUS = {"provider": "anthropic", "model": "claude-opus-4-1"}
ROUTES = [("analytics/summary", None), ("analytics/activity?group_by=project", "series"), ("hosts", "hosts")]


def read(text: str) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Lines and trailing comments, as docs/api.md tells to read them."""
    assert text.endswith("\r\n")
    data, comments = [], {}
    for line in text.split("\r\n# ")[1:]:
        name, _, value = line.strip("\r\n").partition(":")
        comments[name] = value.strip()
    data = list(csv.DictReader(io.StringIO(text.split("\r\n# ")[0], newline=""), strict=True))
    return data, comments


async def ask(hub: HubClient, path: str, **headers: str) -> Any:
    response = await hub.http.get(f"{API}/{path}", headers=await hub.token() | headers)
    assert response.status == 200, await response.text()
    return response


@pytest.fixture
async def used(hub: HubClient) -> HubClient:
    """Names that spreadsheets would run, that need quotes, and that look like comments."""
    ana = await machine(hub.db, "ana, west")
    for n, project in enumerate(['=HYPERLINK("x")', "a,b", "#1", " +1", "-", "'quoted'", None]):
        await ana.send(
            session(f"s{n}", "2026-11-03T09:00Z", project=project),
            message(f"m{n}", f"s{n}", "2026-11-03T09:00Z", project=project),
            event(f"e{n}", f"s{n}", "2026-11-03T10:00Z", input_tokens=n, project=project, **OPUS),
        )
    return hub


@pytest.mark.parametrize(("path", "items"), ROUTES)
async def test_every_list_has_a_line_for_each_item_and_says_the_rest_in_comments(
    used: HubClient, path: str, items: str | None
) -> None:
    whole = await (await ask(used, path)).json()
    response = await ask(used, path, Accept="text/csv")
    assert (response.content_type, response.charset) == ("text/csv", "utf-8")
    lines, comments = read(await response.text())
    expected = [whole] if items is None else whole[items]
    if items == "series":
        expected = [{"key": one["key"], "label": one["label"], **point} for one in expected for point in one["points"]]
    assert len(lines) == len(expected)
    for line, item in zip(lines, expected, strict=True):
        assert None not in line
        for name, value in (item | item.get("totals", {})).items():
            if not isinstance(value, dict | list) and name in line:
                assert line[name].removeprefix("'") == ("" if value is None else str(value))
        for counter, covered in item.get("coverage", {}).items():
            if isinstance(covered, dict):
                parts = {part: line[f"{counter}_{part}"] for part in ("reported", "lower_bound", "derived")}
                assert parts | {"events": line["events"]} == {part: str(n) for part, n in covered.items()}
    if path != "hosts":
        assert (comments["from"], comments["counted"]) == (whole["from"], "once")
        assert comments["trust.hosts.total"] == "1"
        assert comments["trust.scrubbed_at"] == ""
    assert {name for name, value in whole.items() if isinstance(value, str)} - {"trust"} <= comments.keys() | {
        *lines[0]
    }


async def test_a_list_without_items_still_has_its_columns(hub: HubClient) -> None:
    text = await (await ask(hub, "sessions?format=csv")).text()
    header, *rest = text.split("\r\n")
    assert header.startswith("id,session_id,harness,project,host_id,host_label,models,")
    assert all(line.startswith("# ") for line in rest[:-1])
    assert "# next_cursor:" in rest


async def test_a_page_of_a_list_ends_with_the_cursor_of_the_next(used: HubClient) -> None:
    seen, cursor = [], ""
    for _ in range(4):
        lines, comments = read(await (await ask(used, f"sessions?format=csv&limit=2{cursor}")).text())
        seen += [line["session_id"] for line in lines]
        cursor = f"&cursor={comments['next_cursor']}"
    assert (sorted(seen), cursor) == ([f"s{n}" for n in range(7)], "&cursor=")


class Inner(Struct):
    label: str | None


class Item(Struct, kw_only=True):
    text: str | None
    number: int | float | None
    yes: bool
    words: list[str]
    inner: Inner | None
    totals: Totals
    coverage: dict[str, Coverage]


class Answer(Struct):
    items: list[Item]
    note: str = "x"


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6) | st.sampled_from(
    ["=1+1", " @x", "\t=1", "\r-", "+", "＝1", "'", "''=", "#1", '"', ",", "\n", " ", "1", "-1"]
)
items = st.builds(
    Item,
    text=st.none() | texts.filter(bool),
    number=st.none() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False),
    yes=st.booleans(),
    words=st.lists(texts.filter(bool), max_size=3),
    inner=st.none() | st.builds(Inner, st.none() | texts.filter(bool)),
    totals=st.just(totals_of(None, None)),
    coverage=st.just(coverage_of(None)),
)


@given(st.lists(items, max_size=4))
async def test_a_csv_reader_gets_the_very_values_and_no_cell_is_run(made: list[Item]) -> None:
    lines, _ = read_whole(await csv_text(Answer(made), made, Item))
    assert len(lines) == len(made)
    for line, item in zip(lines, made, strict=True):
        number = line["number"]
        assert (float(number) if number else None) == (None if item.number is None else float(item.number))
        assert line["yes"] == msgspec.json.encode(item.yes).decode()
        for cell, text in ((line["text"], item.text), (line["inner_label"], item.inner and item.inner.label)):
            assert cell.removeprefix("'") == (text or "")
            assert not cell.lstrip(" ").startswith(tuple("=+-@\t\r\n＝＋－＠"))
        rows = list(csv.reader(io.StringIO(line["words"].removeprefix("'"), newline=""), strict=True))
        assert (rows or [[]]) == [item.words]
        assert line["input_tokens"] == ""
        assert line["input_tokens_reported"] == line["events"] == "0"


async def test_what_stands_beside_the_lines_never_becomes_one() -> None:
    """Labels of hosts have any name, and `by` tells it again."""
    text = await csv_text(Answer([], note="label:a\r\n=1+1\n\x1b[31m"), [], Item)
    assert text.split("\r\n")[1:] == ["# note: label:a\ufffd\ufffd=1+1\ufffd\ufffd[31m", ""]


def read_whole(text: str) -> tuple[list[dict[str, str]], str]:
    """Comments are the lines that begin with '#' outside of quotes; data cells with one are quoted."""
    data, _, comments = text.rpartition("# note: x\r\n")
    assert comments == ""
    return list(csv.DictReader(io.StringIO(data, newline=""), strict=True)), comments

"""Times that a producer writes in its machine's local time."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from trueup_agent.harnesses.values import local_micros, micros


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def utc(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[misc,arg-type]


@pytest.mark.usefixtures("in_new_york")
def test_a_time_without_a_zone_is_the_machines_local_time() -> None:
    assert local_micros("2026-06-13T10:00:05.000250") == utc(2026, 6, 13, 14, 0, 5) + 250
    assert local_micros("2026-01-13 10:00:05") == utc(2026, 1, 13, 15, 0, 5)


@pytest.mark.usefixtures("in_new_york")
def test_a_time_with_a_zone_keeps_it() -> None:
    for text in ("2026-06-13T10:00:05Z", "2026-06-13T10:00:05+02:00", "2026-06-13T10:00:05.120Z"):
        assert local_micros(text) == micros(text)


@pytest.mark.usefixtures("in_new_york")
def test_an_hour_passed_twice_is_taken_as_its_first_pass() -> None:
    assert local_micros("2026-11-01T01:30:00") == utc(2026, 11, 1, 5, 30)


@pytest.mark.parametrize("value", ["yesterday", "", None, 5, "0000-01-01T00:00:00", "2026-13-40T99:99:99"])
def test_what_is_no_time_is_none(value: object) -> None:
    assert local_micros(value) is None

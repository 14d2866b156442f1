"""All harnesses say the same things by the same words, and none loads its parser before it has something to parse."""

import subprocess
import sys
from pathlib import Path

import pytest

from golden_homes import golden_home
from read_sources import Read
from trueup_agent import records
from trueup_agent.harnesses import HARNESSES, base

REASONS = {value for name, value in vars(base).items() if name.isupper() and isinstance(value, str)} - {
    base.LINES,
    base.WHOLE,
    base.ROWS,
}
# What finds sources may have modules of its own beside `__init__`.
OF_DISCOVERY = {"crush.registry", "gemini.places", "opencode.trees"}


@pytest.mark.parametrize("harness", HARNESSES)
def test_what_a_harness_says_of_its_golden_data_is_in_the_words_of_all(harness: str, tmp_path: Path) -> None:
    seen = Read(harness).root(golden_home(harness, tmp_path))
    assert seen.sessions
    assert {session.relationship for session in seen.sessions} <= {None, *records.RELATIONSHIPS}
    assert {message.role for message in seen.messages} <= {*records.ROLES}
    assert {message.kind for message in seen.messages} <= {*records.KINDS}
    assert {event.reported_cost_unit for event in seen.events} <= {None, *records.COST_UNITS}
    assert {event.reported_cost_status for event in seen.events} <= {None, *records.COST_STATUSES}
    assert {event.rule for event in seen.events} <= {None, records.SERIES, records.LEGS, records.DELETIONS}
    assert {event.time_quality for event in seen.events} <= {1, 2, 3}
    assert seen.skipped.keys() <= REASONS
    for event in seen.events:  # a cost is told with its unit and status, or not at all
        told = (event.reported_cost, event.reported_cost_unit, event.reported_cost_status)
        assert None not in told or told == (None, None, None), told


def test_no_parser_is_loaded_before_there_is_something_to_parse() -> None:
    code = "import sys; from trueup_agent.harnesses import HARNESSES; list(HARNESSES.values()); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    inside = {name.removeprefix("trueup_agent.harnesses.") for name in loaded if name.count(".") == 3}
    assert {name for name in inside if name.startswith(tuple(f"{id_.replace('-', '_')}." for id_ in HARNESSES))} == (
        OF_DISCOVERY
    )

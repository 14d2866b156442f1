"""iFlow CLI: the rules of formats/iflow.md, one test each."""

import json
from pathlib import Path
from typing import Any

import pytest

from given import SAMPLES, needs_given
from read_sources import Read
from scanned import scanned
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import Facts, Usage
from trueup_shared import keys
from trueup_shared.metrics import COUNTERS

IFLOW = HARNESSES["iflow"]
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "iflow"
SESSION = "5de70000-0000-4000-8000-000000000001"


def record(n: int, kind: str, seconds: float, content: Any, **said: Any) -> dict[str, Any]:
    stamp = f"2026-01-21T05:56:{seconds:06.3f}Z"
    fields = {"uuid": f"d{n}", "parentUuid": "d0", "sessionId": f"session-{SESSION}", "timestamp": stamp}
    message = {"role": kind, "content": content}
    if kind == "assistant":
        usage = {"input_tokens": 0, "output_tokens": 0}
        message |= {"id": f"response-{n}", "model": "glm-4.7", "usage": said.pop("usage", usage)}
    else:
        fields |= {"cwd": "C:\\src\\app", "gitBranch": None, "version": "1.0.0"}
    return fields | {"type": kind, "isSidechain": False, "message": message} | said


def call(id_: str, name: str = "read_file") -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": name, "input": {}}


def read(tmp_path: Path, *records: Any, cuts: set[int] | None = None, name: str = SESSION) -> Read:
    path = tmp_path / ".iflow/projects/-C-src-app" / f"session-{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in records))
    return Read("iflow").file(path, cuts or ())


BURST = [
    record(1, "user", 34, "fix the app"),
    record(2, "assistant", 52.1, [{"type": "text", "text": "I look."}, call("a")]),
    record(3, "assistant", 52.9, [{"type": "text", "text": "I look."}, call("a"), call("b")]),
    record(4, "assistant", 53.8, [call("b"), call("c", "replace")]),
    record(5, "user", 54, [{"type": "tool_result", "tool_use_id": "a", "content": "xy"}]),
    record(6, "assistant", 60, [call("c", "replace"), {"type": "text", "text": "Done."}]),
]


async def test_the_golden_home_gives_what_was_worked_out_by_hand(tmp_path: Path) -> None:
    seen = await scanned(tmp_path, "iflow", GOLDEN / "home", home=True)
    expected = json.loads((GOLDEN / "expected.json").read_text())
    totals = seen.totals()
    assert {name: totals[name] for name in expected} == expected


@needs_given
def test_the_sample_has_four_requests_of_unknown_usage() -> None:
    (path,) = (SAMPLES / "iflow").rglob("*.jsonl")
    got = Read("iflow").file(path)
    assert got.coverage() == dict.fromkeys(COUNTERS, 0)
    assert (len(got.events), {row.model for row in got.events}) == (4, {"glm-4.7"})
    tools = [name for row in got.messages for name in json.loads(row.tool_names or "[]")]
    assert sorted(tools) == ["read_file"] * 5 + ["replace"]
    (session,) = got.sessions
    assert (session.session_id, session.git_branch) == ("5de701fc-7454-4858-a249-95cac4fd3b51", None)
    assert session.project_path == "C:\\exp\\docker-image-retagger"
    assert (got.skipped, got.unknown, got.unmetered) == ({}, {}, 0)


def test_snapshots_of_one_answer_within_a_second_are_one_request(tmp_path: Path) -> None:
    got = read(tmp_path, *BURST)
    assert [json.loads(row.identity) for row in got.events] == [[SESSION, "d2"], [SESSION, "d6"]]
    answers = [row for row in got.messages if row.kind == "answer"]
    assert [json.loads(row.tool_names or "[]") for row in answers] == [["read_file", "read_file", "replace"], []]
    assert [row.size_chars for row in answers] == [7, 5]
    assert [row.event_key for row in answers] == [row.key for row in got.events]


@pytest.mark.parametrize(("gap", "requests"), [(0.999, 1), (1.0, 2)])
def test_a_gap_of_a_second_begins_another_request(tmp_path: Path, gap: float, requests: int) -> None:
    two = [record(2, "assistant", 10, [call("a")]), record(3, "assistant", 10 + gap, [call("b")])]
    assert len(read(tmp_path, *two).events) == requests


def test_another_parent_or_a_line_between_begins_another_request(tmp_path: Path) -> None:
    other = record(3, "assistant", 10.1, [call("b")], parentUuid="d9")
    assert len(read(tmp_path, record(2, "assistant", 10, [call("a")]), other).events) == 2
    between = [record(2, "assistant", 10, []), record(3, "user", 10.1, "wait"), record(4, "assistant", 10.2, [])]
    assert len(read(tmp_path, *between).events) == 2


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5])
def test_a_burst_that_straddles_two_batches_is_restated(tmp_path: Path, cut: int) -> None:
    assert read(tmp_path, *BURST, cuts={cut}).same() == read(tmp_path, *BURST).same()


def test_zeros_are_unknown_and_anything_else_is_the_greatest_of_the_burst(tmp_path: Path) -> None:
    lines = [
        record(2, "assistant", 10, [], usage={"input_tokens": 100, "output_tokens": 1}),
        record(3, "assistant", 10.1, [], usage={"input_tokens": 100, "output_tokens": 9, "cache_read_input_tokens": 0}),
    ]
    (event,) = read(tmp_path, *lines).events
    assert (event.input_tokens, event.output_tokens, event.cache_read_tokens) == (100, 9, None)
    assert event.raw_usage is not None
    usage = IFLOW.usage(event.raw_usage, Facts(provider=None, model=None, identity="", usage=Usage()))
    assert usage == Usage(input_tokens=100, output_tokens=9)


def test_another_session_id_in_the_records_names_the_parent(tmp_path: Path) -> None:
    (session,) = read(tmp_path, *BURST, name="another").sessions
    assert (session.session_id, session.parent_key) == ("another", keys.session_key("iflow", SESSION))
    both = read(tmp_path, *BURST)
    (path,) = (tmp_path / ".iflow/projects/-C-src-app").glob("session-another.jsonl")
    assert len(both.file(path).events) == 2


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_sessions_are_found_below_the_home(tmp_path: Path, platform: str) -> None:
    assert IFLOW.data_folders(tmp_path, {"IFLOW_DIR": "/x"}, platform) == [tmp_path / ".iflow/projects"]
    read(tmp_path, *BURST)
    for root in (tmp_path, tmp_path / ".iflow", tmp_path / ".iflow/projects"):
        assert len(Read("iflow").root(root).events) == 2
    assert IFLOW.folders_of_root(tmp_path / "nothing") == []


@needs_given
def test_no_other_harnesss_samples_are_taken_for_ours() -> None:
    for path in sorted(SAMPLES.rglob("*.jsonl")):
        ours = IFLOW.recognise(path, path.read_bytes()[: 1 << 16]) is not None
        assert ours == ("iflow" in path.parts), path


def test_bad_records_cost_themselves(tmp_path: Path) -> None:
    fields = ("uuid", "parentUuid", "sessionId", "timestamp", "type", "message", "cwd", "gitBranch", "version")
    wrong = [BURST[1] | {name: value} for name in fields for value in (5, [], {"content": 5, "usage": 5}, None, "")]
    got = read(tmp_path, BURST[1], b"{no", b"7", *wrong, *BURST[3:])
    assert got.skipped["malformed"] == 2
    assert got.lines == 3 + len(wrong) + 3
    assert got.unknown["(none)"] > 0


def test_without_any_time_a_request_takes_the_files(tmp_path: Path) -> None:
    (event,) = read(tmp_path, record(2, "assistant", 10, [], timestamp=None)).events
    assert event.time_quality == 3
    events = read(tmp_path, BURST[0], record(2, "assistant", 10, [], timestamp="soon")).events
    assert [row.time_quality for row in events] == [2]

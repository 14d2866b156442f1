"""The drift canary: a harness that goes on while its usage is no longer found is suspected within one scan."""

import json
from pathlib import Path
from typing import Any

import pytest

from claude_home import FOLDER, make_logs, scan_home, session_id, write_logs
from given import CORPORA, SAMPLES, needs_given
from scanned import scanned
from trueup_agent import drift
from trueup_agent.harnesses import HARNESSES
from trueup_agent.ledger import SourceInfo

DAY = 86_400_000_000_000
LAST = 1_790_000_000_000_000


def source(name: str, age: int = 0, harness: str = "claude", kind: str = "lines", **fields: Any) -> SourceInfo:
    """A source that was written `age` days before the newest."""
    when = (1_000 - age) * DAY
    return SourceInfo(
        source_key=name.encode(), harness=harness, identity=name, path=name, kind=kind, mtime_ns=when, **fields
    )


def tail(answers: int = 0, bytes_: int = 0, prompts: int = 0, lines: int = 0, unknown: int = 0) -> dict[str, int]:
    return {
        "unmetered": answers,
        "unmetered_bytes": bytes_,
        "unmetered_prompts": prompts,
        "unmetered_lines": lines,
        "unmetered_unknown": unknown,
    }


@pytest.mark.parametrize(
    ("sources", "is_suspected"),
    [
        ([source("a", **tail(answers=3))], True),
        ([source("a", **tail(answers=2))], False),
        ([source("a", **tail(answers=2)), source("b", 1, metered_at=LAST, **tail(answers=1))], True),
        ([source("a", metered_at=LAST), source("b", 1, **tail(answers=9))], False),
        ([source("a", metered_at=LAST, **tail(bytes_=1 << 20, prompts=3))], True),
        ([source("a", metered_at=LAST, **tail(bytes_=5 << 20, prompts=2))], False),  # an image, a long command
        ([source("a", metered_at=LAST, kind="rows", **tail(bytes_=5 << 20, prompts=9))], False),
        ([source("a", **tail(bytes_=5 << 20, prompts=9))], False),  # never metered: perhaps too old to be
        ([source("a", **tail(unknown=20, lines=39))], True),
        ([source("a", **tail(unknown=20, lines=41))], False),
        ([source("a", harness="iflow", **tail(answers=9))], False),  # it reports no tokens at all
        ([source("a", harness="of a later release", **tail(answers=9))], False),
    ],
)
def test_suspicion_is_a_function_of_what_the_sources_say(sources: list[SourceInfo], is_suspected: bool) -> None:
    assert bool(drift.suspected(sources)) == is_suspected
    assert drift.suspected(sources[::-1]) == drift.suspected(sources)


def test_it_is_told_what_is_suspected_since_when_and_what_to_do() -> None:
    [why] = drift.suspected([source("a", metered_at=LAST, **tail(answers=4))]).values()
    assert why.words == (
        "its last 4 answers have no usage (the last is of 2026-09-21 14:13 UTC): its format may have changed;"
        " update trueup, then scan again"
    )
    [why] = drift.suspected([source("a", **tail(unknown=30, lines=31))]).values()
    assert why.words.startswith("its last 31 records have no usage, and 30 of them are of unknown types (none was ever")


def renamed(lines: bytes, harness: str) -> bytes:
    old, new = {"claude": (b'"usage"', b'"tokenUsage"'), "codex": (b'"token_count"', b'"usage_report"')}[harness]
    assert old in lines
    return lines.replace(old, new)


async def test_a_renamed_usage_field_of_claude_is_told_at_the_first_scan_and_after_normal_history(
    tmp_path: Path,
) -> None:
    logs = make_logs(sessions=2)
    write_logs(tmp_path / "new", {name: renamed(content, "claude") for name, content in logs.items()})
    result, _ = await scan_home(tmp_path / "new", tmp_path / "first")
    assert list(result.drift_suspected) == ["claude"]

    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, logs)
    result, _ = await scan_home(home, data)
    assert result.drift_suspected == {}
    more = make_logs(sessions=3)
    name = f"{FOLDER}/{session_id(2)}.jsonl"
    write_logs(home, {name: renamed(more[name], "claude")})
    result, _ = await scan_home(home, data)
    assert "answers have no usage (the last is of 2026-" in result.drift_suspected["claude"]
    again, _ = await scan_home(home, data)
    assert again.drift_suspected == result.drift_suspected
    write_logs(home, {name: renamed(more[name], "claude") + more[name]})
    healed, _ = await scan_home(home, data)
    assert healed.drift_suspected == {}


def inner_fields_renamed(content: bytes) -> bytes:
    for name in (
        b"input_tokens",
        b"cached_input_tokens",
        b"output_tokens",
        b"reasoning_output_tokens",
        b"total_tokens",
    ):
        content = content.replace(b'"' + name + b'"', b'"n_' + name + b'"')
    return content


def codex_log(turns: int, day: int) -> dict[str, bytes]:
    """A thread as today's builds write it."""
    thread = f"019e0000-0000-7000-8000-{day:012d}"
    date = f"2026-05-{day:02d}"

    def line(second: int, type_: str, **payload: Any) -> bytes:
        at = f"{date}T08:00:{second:02d}.000Z"
        return json.dumps({"timestamp": at, "type": type_, "payload": payload}, separators=(",", ":")).encode() + b"\n"

    lines = [line(0, "session_meta", id=thread, timestamp=f"{date}T08:00:00.000Z", cwd="/src", cli_version="1")]
    for turn in range(1, turns + 1):
        content = [{"type": "output_text", "text": "done"}]
        counts = {"input_tokens": 900, "cached_input_tokens": 600, "output_tokens": 40, "reasoning_output_tokens": 9}
        last = counts | {"total_tokens": 940}
        info = {"total_token_usage": {k: v * turn for k, v in last.items()}, "last_token_usage": last}
        lines += [
            line(turn, "event_msg", type="task_started"),
            line(turn, "turn_context", turn_id=f"{thread}-{turn}", cwd="/src", model="gpt-5.2"),
            line(turn, "event_msg", type="user_message", message="go on"),
            line(turn, "response_item", type="message", role="assistant", content=content),
            line(turn, "event_msg", type="token_count", info=info, rate_limits=None),
            line(turn, "event_msg", type="task_complete", last_agent_message="done"),
        ]
    name = f"sessions/2026/05/{day:02d}/rollout-{date}T08-00-00-{thread}.jsonl"
    return {f".codex/{name}": b"".join(lines)}


@pytest.mark.parametrize("change", [lambda text: renamed(text, "codex"), inner_fields_renamed], ids=["event", "fields"])
async def test_a_renamed_usage_field_of_codex_is_told_at_the_first_scan_and_after_normal_history(  # type: ignore[no-untyped-def]
    tmp_path: Path, change
) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, codex_log(4, 1))
    result, _ = await scan_home(home, data)
    assert (result.harnesses["codex"].events, result.drift_suspected) == (4, {})
    drifted = {name: change(content) for name, content in codex_log(4, 2).items()}
    write_logs(home, drifted)
    result, _ = await scan_home(home, data)
    assert list(result.drift_suspected) == ["codex"]
    write_logs(tmp_path / "new", drifted)
    first, _ = await scan_home(tmp_path / "new", tmp_path / "first")
    assert list(first.drift_suspected) == ["codex"]


async def test_turns_that_were_aborted_or_never_answered_raise_nothing(tmp_path: Path) -> None:
    (name, content), *_ = codex_log(4, 1).items()
    lines = [line for line in content.splitlines(keepends=True) if b'"token_count"' not in line]
    aborted = b"".join(lines).replace(b"task_complete", b"turn_aborted")
    silent = b"".join(line for line in lines if b'"assistant"' not in line)
    empty = lines[0]
    for number, log in enumerate((aborted, silent, empty)):
        write_logs(tmp_path / str(number), {name: log})
        result, _ = await scan_home(tmp_path / str(number), tmp_path / f"data{number}")
        assert result.drift_suspected == {}


async def test_questions_without_any_answer_raise_it_once_they_are_a_megabyte(tmp_path: Path) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    logs = make_logs(sessions=1)
    [(name, content)] = logs.items()
    asked = [line for line in content.splitlines(keepends=True) if b'"type":"user"' in line]
    write_logs(home, {name: content + asked[0].replace(b"x", b"y" * 9_000)})
    result, _ = await scan_home(home, data)
    assert result.drift_suspected == {}
    with (home / name).open("ab") as log:
        log.write(b"".join(line.replace(b'"content":"', b'"content":"' + b"z" * 400_000) for line in asked[:4]))
    result, _ = await scan_home(home, data)
    assert result.drift_suspected["claude"].startswith("its last 1.6 MB of logs have no usage (the last is of 2026-")


def every_given() -> list[Any]:
    found = []
    for folder in (SAMPLES, CORPORA):
        for harness in sorted(HARNESSES):
            if (folder / harness).is_dir():
                found.append(pytest.param(harness, folder / harness, id=f"{harness}-{folder.name}"))
    return found


@needs_given
@pytest.mark.parametrize(("harness", "folder"), every_given())
async def test_real_logs_raise_no_suspicion(tmp_path: Path, harness: str, folder: Path) -> None:
    seen = await scanned(tmp_path, harness, folder)
    assert list(seen.result.drift_suspected) == [harness] * (harness == "openclaw")  # made up, without any usage

"""Sources that were made to hurt whoever reads them: one that does must not keep the others from being read."""

import asyncio
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from databases import write
from scanned import scanned
from trueup_agent import reading
from trueup_agent.files import NotRegular
from trueup_agent.harnesses import json_text, lines, tasks_facts
from trueup_agent.harnesses.forge import parser as forge
from trueup_agent.harnesses.hermes import parser as hermes
from trueup_agent.harnesses.vibe.parser import VibeParser
from trueup_agent.harnesses.vscode_copilot.journal import Chat
from trueup_agent.records import Parsed
from trueup_agent.tail import Mark, Tail

GOLDEN = Path(__file__).resolve().parent.parent / "golden"

_TOTALS = {"cost": 0.5, "prompt_tokens": 9, "completion_tokens": 1, "created_at": 1760000000}
_SESSIONS = {"sessions": [{"id": id_, "updated_at": 1760000000, **_TOTALS} for id_ in ("s0", "s1")]}


@pytest.mark.parametrize("odd", [float("inf"), float("-inf"), "9" * 100_000, b"\xff" * 9])
async def test_a_time_that_is_none_does_not_end_the_next_reading(tmp_path: Path, odd: object) -> None:
    path = write(tmp_path / "crush.db", _SESSIONS)
    db = sqlite3.connect(path)
    with db:
        db.execute("UPDATE sessions SET updated_at = ? WHERE id = 's1'", (odd,))
    db.close()
    seen = await scanned(tmp_path, "crush", tmp_path)
    os.utime(path)
    await seen.scan()
    assert seen.result.unreadable == {}
    assert "s0" in [session.session_id for session in seen.sessions()]
    with sqlite3.connect(seen.ledger_path) as ledger:
        assert ledger.execute("SELECT max(length(parser_state)) FROM sources").fetchone()[0] < 10_000
    ledger.close()


def vibe_home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    for name in ("one", "two"):
        folder = home / ".vibe" / "logs" / "session" / f"session_{name}"
        folder.mkdir(parents=True)
        stats = '{"session_prompt_tokens": 9, "session_completion_tokens": 1}'
        times = '"start_time": "2026-01-01T00:00:00", "end_time": "2026-01-01T00:01:00"'
        (folder / "meta.json").write_text(f'{{"session_id": "{name}", {times}, "environment": {{}}, "stats": {stats}}}')
    return home


async def test_a_source_on_which_a_parser_fails_is_told_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = VibeParser.read

    def read(self: Any, everything: bool) -> Iterator[Parsed]:
        if "one" in str(self._path):
            raise MemoryError("words of a log")
        yield from original(self, everything)

    monkeypatch.setattr(VibeParser, "read", read)
    with pytest.raises(AssertionError, match=r"MemoryError in test_hostile_sources.py:") as told:
        await scanned(tmp_path, "vibe", vibe_home(tmp_path), home=True)
    assert "words of a log" not in str(told.value)
    monkeypatch.setattr(VibeParser, "read", original)
    os.utime(tmp_path / "home/.vibe/logs/session/session_one/meta.json")
    seen = await scanned(tmp_path, "vibe", tmp_path / "home", home=True)
    assert (seen.result.inserted, seen.totals()["events"]) == (2, 2)  # the other one had been read
    assert seen.result.unreadable == {}


async def test_the_event_loop_goes_on_while_a_source_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = VibeParser.read
    ticks, went_on = 0, []

    def read(self: Any, everything: bool) -> Iterator[Parsed]:
        before, deadline = ticks, time.monotonic() + 20
        while ticks < before + 3 and time.monotonic() < deadline:
            time.sleep(0.001)
        went_on.append(ticks >= before + 3)
        return original(self, everything)

    monkeypatch.setattr(VibeParser, "read", read)

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    seen = await scanned(tmp_path, "vibe", vibe_home(tmp_path), home=True)
    ticking.cancel()
    assert seen.totals()["events"] == 2
    assert went_on and all(went_on)


async def test_a_small_file_that_unpacks_without_end_is_read_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LEAST_UNPACKED", 1 << 20)
    log = min((GOLDEN / "codex").glob("*.jsonl"))
    folder = tmp_path / "home" / ".codex" / "sessions" / "2026" / "05" / "04"
    folder.mkdir(parents=True)
    path = folder / f"{log.name}.zst"
    path.write_bytes(zstd.compress(log.read_bytes()))
    events = (await scanned(tmp_path / "a", "codex", tmp_path / "home", home=True)).totals()["events"]
    path.write_bytes(zstd.compress(log.read_bytes() + b'{"type":"x"}\n' * 3_000_000))
    seen = await scanned(tmp_path / "b", "codex", tmp_path / "home", home=True)
    assert seen.totals()["events"] == events > 0
    assert seen.totals()["skipped"]["bad_compression"] == 1
    assert list(seen.result.unreadable.values()) == ["it unpacks to more than 200 times its size"]
    assert seen.sources()[0].lines < 1_000_000


@pytest.mark.parametrize("text", [b"[" + b"[]," * 3000 + b"1]", b"{}" * 3000, b"[" * 3000 + b"]" * 3000])
def test_json_of_more_values_than_any_log_has_is_not_decoded(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_VALUES", 1000)
    for decode in (json_text.decode, json_text.decode_glued, json_text.decode_document):
        with pytest.raises(lines.TooMany):
            decode(text)
    assert json_text.value_of(text) is None


def test_a_pipe_that_takes_the_place_of_a_log_after_it_was_found_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log.jsonl")
    with pytest.raises(NotRegular):
        Tail(tmp_path / "log.jsonl", Mark())


def test_a_journal_that_leaves_places_of_lists_empty_grows_no_further_than_it_is_long() -> None:
    chat, parsed = Chat(), Parsed()
    for number in range(1, 200):
        chat.line(b'{"kind":1,"k":["requests",%d],"v":{"requestId":"r%d"}}' % (number * 9_000, number), parsed)
        chat.line(b'{"kind":1,"k":["requests",0,"response",%d],"v":{"kind":"x"}}' % (number * 9_000), parsed)
    assert sum(len(values) for values in (chat.state["requests"], chat.state["requests"][0] or [])) < 20_000
    assert parsed.skipped["malformed"] > 390
    chat.line(b'{"kind":1,"k":["requests",%d],"v":{"requestId":"next"}}' % len(chat.state["requests"]), parsed)
    assert list(chat.requests())[-1]["requestId"] == "next"


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (tasks_facts._CWD, "# Current Working Directory (" * 20_000),
        (tasks_facts._CWD, "# Current Working Directory (a)" + "\t" * 300_000 + "x"),
        (forge._CWD, "<current_working_directory>" * 20_000),
        (forge._CWD, "<current_working_directory>" + " " * 300_000),
        (hermes._DIRECTORY, "\n" * 300_000),
        (hermes._DIRECTORY, "\n" + "-" * 300_000),
    ],
)
def test_text_without_the_end_of_what_is_looked_for_is_looked_through_once(pattern: re.Pattern[str], text: str) -> None:
    started = time.process_time()
    assert pattern.search(text) is None
    assert time.process_time() - started < 2

"""Where Gemini CLI's files are found, whose project they are, and what broken ones do."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from gemini_files import GOLDEN, HEAD, answer, document, journal, tokens
from given import SAMPLES, needs_given
from read_sources import Read
from scanned import scanned
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import Unfinished

GEMINI = HARNESSES["gemini"]


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_home_is_the_users_on_every_platform_and_the_variable_replaces_it(tmp_path: Path, platform: str) -> None:
    assert GEMINI.data_folders(tmp_path, {}, platform) == [tmp_path / ".gemini" / "tmp"]
    other = {"GEMINI_CLI_HOME": str(tmp_path / "other")}
    assert GEMINI.data_folders(tmp_path, other, platform) == [tmp_path / "other" / ".gemini" / "tmp"]


@pytest.mark.parametrize("root", [".", ".gemini", ".gemini/tmp"])
def test_a_root_is_a_home_its_gemini_or_its_tmp(root: str) -> None:
    assert len(Read("gemini").root(GOLDEN / "home" / root).events) == 5


def test_what_was_set_aside_or_is_no_conversation_is_not_a_source(tmp_path: Path) -> None:
    chats = journal(tmp_path, HEAD, answer()).parent
    for name in ("s.jsonl.unreadable-1777626000000", "s.json.tmp-4711", "s.unreadable-5.jsonl", "s.txt"):
        (chats / name).write_text(json.dumps(HEAD))
    (chats.parent / "logs.json").write_text("[]")
    (chats.parent / "checkpoint-x.json").write_text("[]")
    found = list(GEMINI.sources(tmp_path / "tmp", []))
    assert [source.path.name for source in found] == ["session-2026-05-01T10-00-7d0c0000.jsonl"]


def test_a_slug_is_resolved_by_its_own_file(tmp_path: Path) -> None:
    path = tmp_path / ".gemini/tmp/shop/chats/session-1.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(f"{json.dumps(HEAD)}\n{json.dumps(answer())}\n")
    assert Read("gemini").file(path).events[0].project_path == "shop"
    (tmp_path / ".gemini/projects.json").write_text(json.dumps({"projects": {"/home/ana/shop": "shop", "/b": "b"}}))
    assert Read("gemini").file(path).events[0].project_path == "/home/ana/shop"
    (path.parent.parent / ".project_root").write_text("/home/ana/shop-2\n")
    got = Read("gemini").file(path)
    assert {row.project_path for row in (*got.events, *got.messages, *got.sessions)} == {"/home/ana/shop-2"}


def test_a_hash_is_resolved_by_hashing_known_roots_and_kept_otherwise(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"/home/ana/old").hexdigest()
    path = tmp_path / ".gemini/tmp" / digest / "chats/session-1.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(f"{json.dumps(HEAD | {'projectHash': digest})}\n{json.dumps(answer())}\n")
    assert Read("gemini").file(path).events[0].project_path == digest
    (tmp_path / ".gemini/projects.json").write_text(json.dumps({"projects": {"/x": "x", "/home/ana/old": "old"}}))
    assert Read("gemini").file(path).events[0].project_path == "/home/ana/old"


async def test_the_list_of_projects_may_come_later(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"/home/ana/old").hexdigest()
    path = tmp_path / ".gemini/tmp" / digest / "chats/session-1.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(HEAD | {"projectHash": digest, "messages": [answer()]}))
    seen = await scanned(tmp_path, "gemini", tmp_path, home=True)
    assert seen.events()[0].project_path == digest
    (tmp_path / ".gemini/projects.json").write_text(json.dumps({"projects": {"/home/ana/old": "old"}}))
    await seen.scan()
    assert [event.project_path for event in seen.events()] == ["/home/ana/old"]


def test_a_project_that_cannot_be_read_costs_its_name_alone(tmp_path: Path) -> None:
    path = journal(tmp_path, HEAD, answer())
    (path.parent.parent / ".project_root").symlink_to(".project_root")
    (tmp_path / "projects.json").symlink_to("projects.json")
    assert [row.project_path for row in Read("gemini").file(path).events] == ["ab" * 32]


@pytest.mark.parametrize("indent", [None, 2])
async def test_a_document_under_a_name_for_lines_is_read_as_one(tmp_path: Path, indent: int | None) -> None:
    content = json.loads(document(tmp_path, answer()).read_text(encoding="utf-8"))
    (tmp_path / "apart").mkdir()
    for order in (content, dict(reversed(content.items()))):
        (tmp_path / "apart" / "full.jsonl").write_text(json.dumps(order, indent=indent), encoding="utf-8")
        assert (await scanned(tmp_path / "out", "gemini", tmp_path / "apart")).totals()["events"] == 1


def test_a_half_written_document_is_tried_again(tmp_path: Path) -> None:
    path = document(tmp_path, answer())
    whole = path.read_bytes()
    for cut in (0, 1, len(whole) // 2, len(whole) - 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        (source,) = GEMINI.sources(tmp_path / "tmp", [])
        with pytest.raises(Unfinished, match="half-written JSON"):
            Read("gemini").source(source)


@pytest.mark.parametrize("content", [b"hello", b"[1,2]", b"17", b'{"a":}', b"[" * 100_000 + b"]" * 100_000])
def test_what_is_no_document_is_skipped_and_counted(tmp_path: Path, content: bytes) -> None:
    path = document(tmp_path)
    path.write_bytes(content)
    (source,) = GEMINI.sources(tmp_path / "tmp", [])
    got = Read("gemini").source(source)
    assert (got.events, got.skipped) == ([], {"malformed": 1})


def test_one_bad_record_costs_one_record(tmp_path: Path) -> None:
    lines = [HEAD, b"{not json", [1], {"$set": 5}, answer("g1"), b"", answer("g2") | {"type": "tea"}, answer("g3")]
    got = Read("gemini").file(journal(tmp_path, *lines))
    assert (len(got.events), got.skipped, got.unknown, got.lines) == (2, {"malformed": 3}, {"tea": 1}, 8)
    got = Read("gemini").file(document(tmp_path, answer("g1"), 5, None, answer("g2")))
    assert (len(got.events), got.skipped) == (2, {"malformed": 2})


def test_half_a_surrogate_pair_costs_nothing(tmp_path: Path) -> None:
    line = json.dumps(answer(content="x")).replace('"x"', '"\\ud83d"').encode()
    assert len(Read("gemini").file(journal(tmp_path, HEAD, line)).events) == 1
    path = document(tmp_path, answer(content="XX"))
    path.write_bytes(path.read_bytes().replace(b"XX", b"\\ud83d\xff"))
    assert len(Read("gemini").file(path).events) == 1


async def test_an_unterminated_line_waits_for_its_end(tmp_path: Path) -> None:
    path = journal(tmp_path / "home/.gemini", HEAD, answer("g1"))
    last = json.dumps(answer("g2"))
    with path.open("a") as file:
        file.write(last)
    seen = await scanned(tmp_path, "gemini", tmp_path / "home", home=True)
    assert len(seen.events()) == 1
    with path.open("a") as file:
        file.write("\n")
    await seen.scan()
    assert len(seen.events()) == 2


async def test_a_session_that_retention_deletes_keeps_its_events_as_gone(tmp_path: Path) -> None:
    path = document(tmp_path / "home/.gemini", answer("g1"), answer("g2"))
    seen = await scanned(tmp_path, "gemini", tmp_path / "home", home=True)
    path.unlink()
    await seen.scan()
    totals = seen.totals()
    assert (totals["events"], totals["gone"], totals["input_tokens"]) == (2, 2, 120)


@pytest.mark.parametrize("value", ["12", -1, 1.5, True, None, [], {}, 2**53, 10**30, "[trimmed]"])
@pytest.mark.parametrize("field", ["input", "output", "cached", "thoughts", "tool", "total"])
def test_a_counter_that_is_no_number_is_unknown_and_moves_nothing_else(tmp_path: Path, field: str, value: Any) -> None:
    good = Read("gemini").file(journal(tmp_path, HEAD, answer("g1"), answer("g2"))).coverage()
    bad = answer("g2", tokens=tokens(100, 5, 40, 3) | {field: value})
    got = Read("gemini").file(journal(tmp_path, HEAD, answer("g1"), bad)).coverage()
    lost = {
        "input": ["input_tokens", "context_tokens"],
        "cached": ["input_tokens", "cache_read_tokens"],
        "output": ["output_tokens"],
        "thoughts": ["reasoning_tokens"],
    }.get(field, [])
    expected = {name: n - (name in lost) for name, n in good.items()}
    expected["input_undivided_tokens"] = int(field == "cached")
    assert got == expected


@needs_given
@pytest.mark.parametrize(
    ("old", "new", "moved"),
    [
        ('"output":1172', '"output":null', {"output_tokens"}),
        ('"thoughts":232', '"thought":232', {"reasoning_tokens"}),
        ('"input":38324,', "", {"input_tokens", "context_tokens"}),
    ],
)
def test_one_counter_less_in_the_recording_moves_that_count_by_one(
    tmp_path: Path, old: str, new: str, moved: set[str]
) -> None:
    text = (SAMPLES / "gemini/VibeCodingTracker/gemini.jsonl").read_text(encoding="utf-8")
    assert text.count(old) == 2  # each message is written twice
    (tmp_path / "session-1.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "session-2.jsonl").write_text(text.replace(old, new), encoding="utf-8")
    whole, less = (Read("gemini").file(tmp_path / f"session-{n}.jsonl").coverage() for n in (1, 2))
    assert less == {name: n - (name in moved) for name, n in whole.items()}


def test_a_renamed_usage_field_is_seen_by_the_canary_and_no_answer_is_lost_as_message(tmp_path: Path) -> None:
    renamed = [answer(f"r{n}", usage=tokens(1, 1)) for n in range(5)]
    for one in renamed:
        del one["tokens"]
    got = Read("gemini").file(journal(tmp_path, HEAD, answer(), *renamed))
    assert (got.unmetered, len(got.messages), len(got.events)) == (5, 6, 1)
    inner = [answer(f"g{n}", tokens={"prompt": 5, "candidates": 1}) for n in range(3)]
    assert Read("gemini").file(journal(tmp_path, HEAD, *inner)).unmetered == 3


def test_without_any_time_an_event_takes_the_sessions_and_then_the_files(tmp_path: Path) -> None:
    head = dict(HEAD)
    of_session = Read("gemini").file(journal(tmp_path, head, answer(timestamp="soon"))).events[0]
    assert (of_session.time_quality, of_session.at) == (2, 1_777_629_600_000_000)
    del head["startTime"]
    path = journal(tmp_path, head, answer(timestamp=None))
    of_file = Read("gemini").file(path).events[0]
    assert (of_file.time_quality, of_file.at) == (3, path.stat().st_mtime_ns // 1000)


def test_a_request_without_an_id_cannot_be_counted_once_and_is_skipped(tmp_path: Path) -> None:
    got = Read("gemini").file(journal(tmp_path, HEAD, answer(None)))
    assert (got.events, got.skipped, len(got.messages)) == ([], {"usage_without_identity": 1}, 1)

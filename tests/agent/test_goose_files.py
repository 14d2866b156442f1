"""Where Goose keeps its sessions, and the files from before its database."""

import json
from pathlib import Path
from typing import Any

import pytest

from databases import seen, write
from scanned import scanned
from trueup_agent.harnesses.goose import HARNESS

DATABASE = ".local/share/goose/sessions/sessions.db"
HEADER = {
    "working_dir": "/home/ana/shop",
    "description": "Cart",
    "message_count": 2,
    "total_tokens": 700,
    "accumulated_total_tokens": 1050,
    "accumulated_input_tokens": 1000,
    "accumulated_output_tokens": 50,
}
MESSAGES = [
    {"role": "user", "created": 1751356800, "content": [{"type": "text", "text": "fix the cart"}]},
    {"role": "assistant", "created": 1751356810, "content": [{"type": "text", "text": "Done."}]},
]


def legacy(path: Path, **header: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [HEADER | header, *MESSAGES]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {}, ".local/share/goose/sessions"),
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/goose/sessions"),
        ("darwin", {}, ".local/share/goose/sessions"),
        ("win32", {}, "AppData/Roaming/Block/goose/data/sessions"),
        ("win32", {"APPDATA": "/roaming"}, "/roaming/Block/goose/data/sessions"),
        ("linux", {"GOOSE_PATH_ROOT": "/goose"}, "/goose/data/sessions"),
        ("win32", {"GOOSE_PATH_ROOT": "/goose"}, "/goose/data/sessions"),
    ],
)
def test_its_folder_on_each_platform(platform: str, environ: dict[str, str], expected: str) -> None:
    home = Path("/home/ana")
    assert HARNESS.data_folders(home, environ, platform)[0] == home / expected


def test_macs_have_another_place_too() -> None:
    assert Path("/h/Library/Application Support/goose/sessions") in HARNESS.data_folders(Path("/h"), {}, "darwin")


@pytest.mark.parametrize("below", [".local/share/goose/sessions", "data/sessions", "sessions", ""])
async def test_a_root_is_a_home_a_root_of_goose_or_its_folder(tmp_path: Path, below: str) -> None:
    legacy(tmp_path / "root" / below / "20250701_080000.jsonl")
    write(tmp_path / "root" / below / "sessions.db", {"sessions": [{"id": "20260701_1"}]})
    scan = await scanned(tmp_path, "goose", tmp_path / "root")
    assert {session.session_id for session in scan.sessions()} == {"20260701_1", "20250701_080000"}


def test_files_are_known_by_their_content(tmp_path: Path) -> None:
    database = write(tmp_path / "copy.db", {"sessions": [{"id": "1", "accumulated_total_tokens": 1}]})
    other = write(tmp_path / "other.db", {"sessions": [{"id": "1", "cost": 1}]})
    file = legacy(tmp_path / "any.jsonl")
    claude = b'{"type":"user","working_dir":"/x"}\n'
    recognised = [HARNESS.recognise(path, path.read_bytes()) for path in (database, other, file)]
    assert [source.kind if source else None for source in recognised] == ["rows", None, "whole"]
    assert HARNESS.recognise(Path("x.jsonl"), claude) is None
    assert HARNESS.recognise(Path("x.jsonl"), b"\xff{") is None


async def test_a_file_counts_by_its_header(tmp_path: Path) -> None:
    scan = await scanned(tmp_path, "goose", legacy(tmp_path / "in" / "20250701_080000.jsonl"))
    (event,) = scan.events()
    assert (event.input_undivided_tokens, event.output_tokens, event.input_tokens) == (1000, 50, None)
    assert (event.at, event.project_path) == (1751356810_000000, "/home/ana/shop")
    assert event.derived
    assert [(m.role, m.kind, m.size_chars) for m in scan.messages()] == [
        ("user", "prompt", 12),
        ("assistant", "answer", 5),
    ]


async def test_a_file_beside_the_database_that_imported_it_counts_once(tmp_path: Path) -> None:
    session = {name: HEADER[name] for name in HEADER if name.startswith("acc")} | {"id": "20250701_080000"}
    session |= {"created_at": "2025-07-01 08:00:00", "updated_at": "2025-07-01 08:10:00", "session_type": "user"}
    message = {"id": 1, "message_id": "m", "session_id": "20250701_080000", "role": "user"}
    message |= {"content_json": json.dumps(MESSAGES[0]["content"]), "created_timestamp": 1751356800}
    legacy(tmp_path / "home" / DATABASE.replace("sessions.db", "20250701_080000.jsonl"))
    scan, path = await seen(tmp_path, "goose", DATABASE, {"sessions": [session], "messages": [message]})
    totals = scan.totals()
    assert (totals["input_undivided_tokens"], totals["output_tokens"], totals["events"]) == (1000, 50, 1)
    assert (totals["sessions"], totals["messages"]) == (1, 2)
    # What the session does in the database comes on top.
    grown = session | {"accumulated_input_tokens": 1800, "accumulated_output_tokens": 70}
    write(path, {"sessions": [grown | {"updated_at": "2026-01-01 08:10:00"}]})
    await scan.scan()
    assert (scan.totals()["input_undivided_tokens"], scan.totals()["output_tokens"]) == (1800, 70)


async def test_a_file_that_grew_gives_the_difference(tmp_path: Path) -> None:
    path = legacy(tmp_path / "in" / "20250701_080000.jsonl")
    scan = await scanned(tmp_path, "goose", path)
    legacy(path, accumulated_input_tokens=1400, accumulated_output_tokens=60)
    await scan.scan()
    totals = scan.totals()
    assert (totals["input_undivided_tokens"], totals["output_tokens"], totals["events"]) == (1400, 60, 2)


async def test_a_half_written_file_is_tried_again_and_broken_lines_are_skipped(tmp_path: Path) -> None:
    path = legacy(tmp_path / "in" / "20250701_080000.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole + b"{broken\n")
    scan = await scanned(tmp_path, "goose", path)
    assert (scan.totals()["skipped"], scan.totals()["output_tokens"]) == ({"malformed": 1}, 50)
    path.write_bytes(b"")
    await scan.scan()
    assert scan.totals()["output_tokens"] == 50

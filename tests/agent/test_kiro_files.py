"""Where Kiro keeps its stores on each platform, what files are known by elsewhere, and frozen keys."""

import json
from pathlib import Path
from typing import Any

import pytest

from kiro_files import answer, at, cli, conversation, database, execution, ide, prompt, summary, turn
from scanned import scanned
from trueup_agent.harnesses.kiro import Kiro

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "kiro"
DATA = {"linux": ".local/share", "darwin": "Library/Application Support", "win32": "AppData/Local"}
USER = {"linux": ".config/Kiro", "darwin": "Library/Application Support/Kiro", "win32": "AppData/Roaming/Kiro"}


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_every_store_is_found_where_the_platform_has_it(tmp_path: Path, platform: str) -> None:
    session = cli(tmp_path, [], prompt(1, 0))
    (session.parent / "x.history").touch()
    ide(tmp_path, ("s1", summary(1)))
    for program in ("kiro-cli", "amazon-q"):
        database(tmp_path, program=program)
    for name in ("5e5510/0e0e", "0e0e.chat", "../workspace-sessions/a/s1.json", "../config.json"):
        execution(tmp_path, name)
    for old, new in ((".local/share", DATA[platform]), (".config/Kiro", USER[platform])):
        if old != new:
            (tmp_path / new).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / old).rename(tmp_path / new)
    harness, errors = Kiro(), list[OSError]()
    folders = [folder for folder in harness.data_folders(tmp_path, {}, platform) if folder.is_dir()]
    found = {s.path.relative_to(tmp_path).as_posix(): s.kind for f in folders for s in harness.sources(f, errors)}
    extension = f"{USER[platform]}/User/globalStorage/kiro.kiroagent/aabbcc"
    assert (found, errors) == (
        {
            f".kiro/sessions/cli/{session.name}": "whole",
            ".kiro/sessions/9f3c1d0b7a4e2856/sess_0a1b/messages.jsonl": "lines",
            f"{DATA[platform]}/kiro-cli/data.sqlite3": "rows",
            f"{DATA[platform]}/amazon-q/data.sqlite3": "rows",
            f"{extension}/5e5510/0e0e": "whole",
            f"{extension}/0e0e.chat": "whole",
        },
        [],
    )


def test_the_variable_of_its_makers_names_another_home(tmp_path: Path) -> None:
    folders = Kiro().data_folders(tmp_path, {"KIRO_HOME": "/elsewhere"}, "linux")
    assert folders[0] == Path("/elsewhere/sessions")
    assert Kiro().data_folders(tmp_path, {"XDG_DATA_HOME": "/data"}, "linux")[1] == Path("/data/kiro-cli")


@pytest.mark.parametrize("root", ["", ".kiro", ".kiro/sessions", ".kiro/sessions/cli"])
async def test_a_root_may_be_a_home_the_home_of_kiro_or_a_folder_of_sessions(tmp_path: Path, root: str) -> None:
    cli(tmp_path / "home", [turn(at(20), 1)], prompt(1, 0), answer(1))
    seen = await scanned(tmp_path, "kiro", tmp_path / "home" / root)
    assert (seen.totals()["events"], seen.totals()["messages"]) == (1, 2)


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("x.jsonl", json.dumps(prompt(1, 0)).encode(), "whole"),
        ("x.json", b'{"session_id":"x","session_state":{}}', "whole"),
        ("x.jsonl", b'{"id":"s1","timestamp":"2026-07-01T08:00:00Z","payload":{"type":"user"}}', "lines"),
        ("data.sqlite3", b"SQLite format 3\0", "rows"),
        ("copy.db", b"SQLite format 3\0 conversations_v2", "rows"),
        ("payload.json", json.dumps(conversation("c", "m")).encode(), "whole"),
        ("0e0e", b'{"executionId":"x1"}', "whole"),
        ("app.db", b"SQLite format 3\0", None),
        ("codex.jsonl", b'{"timestamp":"2026-07-01T08:00:00Z","type":"event_msg","payload":{"type":"x"}}', None),
        ("claude.jsonl", b'{"type":"user","sessionId":"x","timestamp":"2026-07-01T08:00:00Z"}', None),
        ("journal.jsonl", b'{"kind":0,"v":{}}', None),
        ("payload.txt", b'{"conversation_id":"x","history":[', None),
        ("x.jsonl", b"\xff[", None),
    ],
)
def test_a_file_elsewhere_is_known_by_its_name_and_first_record(name: str, head: bytes, kind: str | None) -> None:
    source = Kiro().recognise(Path("/x") / name, head)
    assert (source.kind if source else None) == kind


async def test_the_golden_home_gives_the_figures_worked_out_by_hand_under_frozen_keys(tmp_path: Path) -> None:
    expected: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
    seen = await scanned(tmp_path, "kiro", GOLDEN / "home", home=True)
    totals = seen.totals()
    assert {name: totals[name] for name in expected["totals"]} == expected["totals"]
    assert {unit: str(amount) for unit, amount in totals["cost"].items()} == expected["cost"]
    assert {event.identity: event.key.hex() for event in seen.events()} == expected["keys"]

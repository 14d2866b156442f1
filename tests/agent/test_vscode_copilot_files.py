"""Where editors keep chats with Copilot, what files are known by elsewhere, and frozen keys."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from scanned import scanned
from trueup_agent.harnesses.vscode_copilot import VsCodeCopilot
from vscode_chats import SESSION, USER, initial, journal, request, spans

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "vscode-copilot"
CHAT = f"workspaceStorage/aa11/chatSessions/{SESSION}.jsonl"


def found(home: Path, platform: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    harness = VsCodeCopilot()
    errors: list[OSError] = []
    folders = [folder for folder in harness.data_folders(home, environ or {}, platform) if folder.is_dir()]
    sources = [source for folder in folders for source in harness.sources(folder, errors)]
    assert not errors
    return {str(source.path.relative_to(home)): source.kind for source in sources}


@pytest.mark.parametrize(
    ("platform", "user", "environ"),
    [
        ("linux", ".config/Code/User", {}),
        ("linux", ".config/Code - Insiders/User", {}),
        ("linux", "xdg/VSCodium/User", {"XDG_CONFIG_HOME": "xdg"}),
        ("linux", ".vscode-server/data/User", {}),
        ("darwin", "Library/Application Support/Code/User", {}),
        ("win32", "AppData/Roaming/Code/User", {}),
        ("win32", "roaming/Code/User", {"APPDATA": "roaming"}),
    ],
)
def test_chats_and_spans_of_every_editor_are_found(
    tmp_path: Path, platform: str, user: str, environ: dict[str, str]
) -> None:
    journal(tmp_path, initial())
    journal(tmp_path, initial(), name="e", folder="globalStorage/emptyWindowChatSessions")
    # Transcripts repeat what the chats say, without usage: not a second source.
    for folder in ("workspaceStorage/aa11/GitHub.copilot-chat/transcripts", "workspaceStorage/aa11/other"):
        journal(tmp_path, initial(), name="x", folder=folder)
    spans(tmp_path)
    if Path(user) != USER:
        (tmp_path / user).parent.mkdir(parents=True)
        (tmp_path / USER).rename(tmp_path / user)
    assert found(tmp_path, platform, {name: str(tmp_path / value) for name, value in environ.items()}) == {
        f"{user}/{CHAT}": "whole",
        f"{user}/globalStorage/emptyWindowChatSessions/e.jsonl": "whole",
        f"{user}/globalStorage/github.copilot-chat/agent-traces.db": "rows",
    }


def test_traces_of_visual_studio_are_found_on_windows(tmp_path: Path) -> None:
    folder = tmp_path / "AppData/Local/Temp/VSGitHubCopilotLogs/traces"
    folder.mkdir(parents=True)
    for name in ("20260701_VSGitHubCopilot_traces.jsonl", "other.jsonl"):
        (folder / name).touch()
    assert list(found(tmp_path, "win32").values()) == ["lines"]
    assert found(tmp_path, "linux") == {}


@pytest.mark.parametrize(
    "root",
    ["", ".config/Code", ".config/Code/User", ".config/Code/User/workspaceStorage", str(Path(USER, CHAT).parent)],
)
async def test_a_root_may_be_a_home_an_editor_or_a_folder_of_chats(tmp_path: Path, root: str) -> None:
    journal(tmp_path / "home", initial(request(1, 10, 1)))
    seen = await scanned(tmp_path, "vscode-copilot", tmp_path / "home" / root)
    assert seen.totals()["events"] == 1


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.jsonl", b'{"kind":0,"v":{"version":3,"requests":[]}}\n', "whole"),
        ("a.json", b'{"version":3,"responderUsername":"GitHub Copilot","requests":[' + b"1," * 9000, "whole"),
        ("a.json", b'{"version":3,"sessionId":"x","creationDate":1,"requests":[]}', "whole"),
        ("agent-traces.db", b"SQLite format 3\0", "rows"),
        ("copy.db", b"SQLite format 3\0 conversation_id span_attributes", "rows"),
        (
            "t.jsonl",
            b'{"resourceSpans":[{"resource":{"attributes":[{"value":{"stringValue":"vs-copilot"}}]}}]}',
            "lines",
        ),
        ("session-store.db", b"SQLite format 3\0 assistant_usage_events", None),
        ("t.jsonl", b'{"resourceSpans":[{"resource":{"attributes":[]}}]}', None),
        ("events.jsonl", b'{"type":"session.start","data":{},"id":"e1","parentId":null}\n', None),
        ("claude.jsonl", b'{"type":"user","sessionId":"s","requests":1}\n', None),
        ("package.json", b'{"name":"requests"}', None),
    ],
)
def test_a_file_elsewhere_is_known_by_its_name_and_beginning(name: str, head: bytes, kind: str | None) -> None:
    source = VsCodeCopilot().recognise(Path("/x") / name, head)
    assert (source.kind if source else None) == kind


async def test_the_golden_home_gives_the_figures_worked_out_by_hand_under_frozen_keys(tmp_path: Path) -> None:
    expected: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
    seen = await scanned(tmp_path, "vscode-copilot", GOLDEN / "home")
    totals = seen.totals()
    assert {name: totals[name] for name in expected["totals"]} == expected["totals"]
    assert {event.identity: event.key.hex() for event in seen.events()} == expected["keys"]
    assert [session.project_path for session in seen.sessions()] == ["/home/ana/shop"]

"""Where Copilot CLI keeps what it writes, and what files of its are known by when they lie elsewhere."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from copilot_files import SESSION, Log, row, store
from scanned import scanned
from trueup_agent.harnesses.base import SourceFile
from trueup_agent.harnesses.copilot import Copilot


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "ana"
    path = Log().start().answer(9).write(home)
    path.with_name("workspace.yaml").touch()
    (path.parent / "checkpoints").mkdir()
    (path.parent / "checkpoints" / "index.jsonl").touch()
    (path.parent / "notes.jsonl").touch()
    (path.parents[1] / "0d1e.jsonl").touch()
    (path.parents[1] / "vscode.lock").touch()
    (path.parents[2] / "history-session-state").mkdir()
    (path.parents[2] / "history-session-state" / "h.json").touch()
    (path.parents[2] / "otel").mkdir()
    (path.parents[2] / "otel" / "spans.jsonl").touch()
    (path.parents[2] / "logs").mkdir()
    (path.parents[2] / "logs" / "process.jsonl").touch()
    store(home, [row(9, 1, 1)])
    return home


def found(home: Path, environ: Mapping[str, str] | None = None, platform: str = "linux") -> dict[str, str]:
    harness = Copilot()
    errors: list[OSError] = []
    folders = harness.data_folders(home, environ or {}, platform)
    sources = [source for folder in folders if folder.is_dir() for source in harness.sources(folder, errors)]
    assert not errors
    return {str(source.path.relative_to(home)): source.kind for source in sources}


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_logs_history_database_and_exports_of_the_home_are_found_and_nothing_else(home: Path, platform: str) -> None:
    assert found(home, platform=platform) == {
        ".copilot/session-state/0d1e.jsonl": "lines",
        f".copilot/session-state/{SESSION}/events.jsonl": "lines",
        ".copilot/history-session-state/h.json": "whole",
        ".copilot/session-store.db": "rows",
        ".copilot/otel/spans.jsonl": "lines",
    }


def test_the_variable_of_its_makers_names_another_home(home: Path) -> None:
    (home / ".copilot").rename(home / "elsewhere")
    assert found(home) == {}
    assert "elsewhere/session-store.db" in found(home, {"COPILOT_HOME": str(home / "elsewhere")})
    assert found(home, {"COPILOT_DIR": str(home / "elsewhere")}) == {}  # a peer's


@pytest.mark.parametrize("variable", ["XDG_CONFIG_HOME", "XDG_STATE_HOME"])
def test_folders_that_early_builds_used_are_looked_at_too(home: Path, variable: str) -> None:
    (home / "xdg").mkdir()
    (home / ".copilot").rename(home / "xdg" / ".copilot")
    assert "xdg/.copilot/session-store.db" in found(home, {variable: str(home / "xdg")})


async def test_a_file_that_opentelemetry_is_exported_to_is_found_alone_in_its_folder(
    home: Path, tmp_path: Path
) -> None:
    for name in ("mine.jsonl", "other.jsonl"):
        (home / name).write_text('{"attributes":{"gen_ai.operation.name":"x","github.copilot.cost":1}}\n')
    for value, expected in ((str(home / "mine.jsonl"), {"mine.jsonl"}), ("mine.jsonl", set())):  # of whose folder?
        named = {"COPILOT_OTEL_FILE_EXPORTER_PATH": value}
        seen = await scanned(tmp_path / str(len(value)), "copilot", home, home=True, environ=named)
        assert {Path(source.path).name for source in seen.sources() if Path(source.path).parent == home} == expected


@pytest.mark.parametrize("root", ["", ".copilot", ".copilot/session-state", f".copilot/session-state/{SESSION}"])
async def test_a_root_may_be_a_home_the_home_of_copilot_or_a_folder_of_logs(
    home: Path, tmp_path: Path, root: str
) -> None:
    seen = await scanned(tmp_path, "copilot", home / root)
    assert f"{SESSION}/events.jsonl" in " ".join(source.path for source in seen.sources())
    assert any(source.path.endswith("store.db") for source in seen.sources()) == ("session" not in root)


def test_the_file_beside_a_log_is_its_companion(home: Path) -> None:
    by_name = {source.path.name: source for source in Copilot().sources(home / ".copilot", [])}
    assert [path.name for path in by_name["events.jsonl"].companions] == ["workspace.yaml"]
    assert by_name["0d1e.jsonl"].companions == ()


LINE = (
    b'{"type":"user.message","data":{"content":"x"},"id":"e3","timestamp":"2026-07-01T08:00:05.000Z","parentId":"e2"}'
)


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("copilot.jsonl", LINE + b"\n", "lines"),
        ("a/events.jsonl", b"{broken\n" + LINE, "lines"),
        ("long.jsonl", b'{"type":"session.start","data":{"sessionId":"' + b"x" * 70_000, "lines"),
        ("store.db", b"SQLite format 3\0 CREATE TABLE assistant_usage_events", "rows"),
        ("session-store.db", b"SQLite format 3\0", "rows"),
        ("h.json", b'{"sessionId":"x","startTime":"","chatMessages":[]}', "whole"),
        ("otel.jsonl", b'{"attributes":{"gen_ai.provider.name":"github","github.copilot.cost":1}}\n', "lines"),
        ("vs.jsonl", b'{"resourceSpans":[{"resource":{"attributes":[{"key":"gen_ai.agent.name"}]}}]}\n', None),
        ("GitHub.copilot-chat/transcripts/x.jsonl", LINE + b"\n", None),  # the same shape, of VS Code
        ("claude.jsonl", b'{"type":"user","uuid":"u","sessionId":"s","timestamp":"2026-07-01T08:00:05.000Z"}\n', None),
        ("codex.jsonl", b'{"timestamp":"2026-07-01T08:00:05.000Z","type":"session_meta","payload":{"id":"x"}}\n', None),
        ("pi.jsonl", b'{"type":"session","version":3,"id":"x","timestamp":"2026-07-01T08:00:05.000Z"}\n', None),
        ("chat.json", b'{"version":3,"sessionId":"x","requests":[]}', None),
        ("app.db", b"SQLite format 3\0 CREATE TABLE messages", None),
        ("x.jsonl", b"[" * 60_000, None),
        ("x.jsonl", b"\xff\xfe\x00", None),
    ],
)
def test_a_file_elsewhere_is_known_by_its_name_and_first_records(name: str, head: bytes, kind: str | None) -> None:
    source: SourceFile | None = Copilot().recognise(Path("/x") / name, head)
    assert (source.kind if source else None) == kind

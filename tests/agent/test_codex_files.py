"""Where threads lie: which files are read, and that a move or a compression does not make a new source."""

from pathlib import Path

import pytest

from codex_lines import PARENT, Read, count, meta, turn, vector
from trueup_agent.harnesses.codex import Codex

ROLLOUT = f"rollout-2026-05-04T08-00-00-{PARENT}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    day = tmp_path / ".codex/sessions/2026/05/04"
    day.mkdir(parents=True)
    (tmp_path / ".codex/archived_sessions").mkdir()
    (tmp_path / ".codex/history.jsonl").touch()
    return tmp_path


def found(home: Path) -> list[tuple[str, bool]]:
    harness = Codex()
    sources = [s for folder in harness.data_folders(home, {}, "linux") for s in harness.sources(folder, [])]
    return [(str(s.path.relative_to(home / ".codex")), s.compressed) for s in sources]


def test_sessions_and_the_archive_of_the_home_are_read_and_nothing_else(home: Path) -> None:
    (home / ".codex/sessions/2026/05/04" / f"{ROLLOUT}.jsonl").touch()
    (home / ".codex/sessions/rollout-2025-05-07-abc.jsonl").touch()
    (home / ".codex/sessions/notes.txt").touch()
    (home / ".codex/archived_sessions" / f"{ROLLOUT.replace('a', 'c')}.jsonl.zst").touch()
    assert found(home) == [
        ("sessions/rollout-2025-05-07-abc.jsonl", False),
        (f"sessions/2026/05/04/{ROLLOUT}.jsonl", False),
        (f"archived_sessions/{ROLLOUT.replace('a', 'c')}.jsonl.zst", True),
    ]


def test_beside_its_compressed_copy_the_plain_file_is_read(home: Path) -> None:
    day = home / ".codex/sessions/2026/05/04"
    (day / f"{ROLLOUT}.jsonl.zst").touch()
    assert found(home) == [(f"sessions/2026/05/04/{ROLLOUT}.jsonl.zst", True)]
    (day / f"{ROLLOUT}.jsonl").touch()
    assert found(home) == [(f"sessions/2026/05/04/{ROLLOUT}.jsonl", False)]


def test_of_a_thread_that_is_live_and_archived_the_live_file_is_read(home: Path) -> None:
    (home / ".codex/archived_sessions" / f"{ROLLOUT}.jsonl").touch()
    (home / ".codex/sessions/2026/05/04" / f"{ROLLOUT}.jsonl").touch()
    assert found(home) == [(f"sessions/2026/05/04/{ROLLOUT}.jsonl", False)]


def test_archiving_and_compressing_keep_the_identity(home: Path) -> None:
    harness, identities = Codex(), set()
    for place in (f"sessions/2026/05/04/{ROLLOUT}.jsonl", f"archived_sessions/{ROLLOUT}.jsonl.zst"):
        file = home / ".codex" / place
        file.touch()
        folders = harness.data_folders(home, {}, "linux")
        identities |= {source.identity for folder in folders for source in harness.sources(folder, [])}
        file.unlink()
    assert len(identities) == 1


def test_files_of_one_name_in_several_folders_are_sources_of_their_own(home: Path) -> None:
    """Copies of a thread that grew apart: each is read, and what they share joins by its keys."""
    for folder in ("sessions/2026/05/04", "sessions/copies/1", "sessions/copies/2"):
        (home / ".codex" / folder).mkdir(parents=True, exist_ok=True)
        (home / ".codex" / folder / f"{ROLLOUT}.jsonl").touch()
    sources = list(Codex().sources(home / ".codex/sessions", []))
    assert len({source.identity for source in sources}) == len(sources) == 3


def test_codex_home_replaces_the_default(tmp_path: Path) -> None:
    folders = Codex().data_folders(tmp_path, {"CODEX_HOME": "/srv/codex"}, "linux")
    assert folders == [Path("/srv/codex/sessions"), Path("/srv/codex/archived_sessions")]


def test_a_root_is_a_users_home_or_codexs_home_or_the_sessions_themselves(home: Path) -> None:
    harness, codex = Codex(), home / ".codex"
    both = [codex / "sessions", codex / "archived_sessions"]
    assert harness.folders_of_root(home) == both
    assert harness.folders_of_root(codex) == both
    assert harness.folders_of_root(codex / "sessions") == [codex / "sessions"]
    assert harness.folders_of_root(codex / "sessions/2026/05/04") == []
    (codex / "sessions/2026/05/04" / f"{ROLLOUT}.jsonl").touch()
    assert harness.folders_of_root(codex / "sessions/2026/05/04") == [codex / "sessions/2026/05/04"]


def test_a_folder_that_cannot_be_listed_is_an_error_and_not_an_empty_one(tmp_path: Path) -> None:
    errors: list[OSError] = []
    assert list(Codex().sources(tmp_path / "missing", errors)) == []
    assert [error.filename for error in errors] == [str(tmp_path / "missing")]


def test_files_elsewhere_are_recognised_by_their_first_records() -> None:
    harness = Codex()
    long_header = meta(0, base_instructions={"text": "x" * 100_000})[:65536]
    fits = (
        (f"{ROLLOUT}.jsonl", meta(0)),
        ("thread.jsonl", b"\n" + turn(0) + b"\n" + count(1, vector(1))),
        ("thread.jsonl", long_header),
        ("stream.jsonl", b'{"type":"thread.started","thread_id":"x"}'),
        (f"{ROLLOUT}.jsonl", b'{"id":"x","timestamp":"2025-05-07T10:00:00Z","instructions":null}'),
        (f"{ROLLOUT}.jsonl.zst", b"\x28\xb5\x2f\xfd\x00"),
    )
    does_not_fit = (
        ("thread.txt", meta(0)),
        ("claude.jsonl", b'{"type":"user","sessionId":"x","timestamp":"2026-05-04T08:00:00Z","message":{}}'),
        ("other.jsonl", b'{"role":"user","content":"hi"}'),
        ("other.jsonl", b"\x00\xff"),
        (f"{ROLLOUT}.jsonl.zst", b"plain"),
    )
    assert all(harness.recognise(Path(name), head) for name, head in fits)
    assert not any(harness.recognise(Path(name), head) for name, head in does_not_fit)


def test_two_copies_of_a_thread_under_two_roots_count_once() -> None:
    lines = [meta(0), turn(1), count(9, vector(100, 40, 5), vector(100, 40, 5))]
    read = Read().file(lines, Path(f"/one/{ROLLOUT}.jsonl")).file(lines, Path(f"/two/{ROLLOUT}.jsonl"))
    assert len(read.events) == 1

"""What Codex does with its files afterwards changes nothing in the ledger: the real command, a real ledger."""

import json
from pathlib import Path
from typing import Any

from backports import zstd
from click.testing import CliRunner

from codex_lines import CHILD, PARENT, TURN, copied, meta, name_of, spent, turn, vector
from trueup_agent.ledger import LedgerReader
from trueup_shared.cli import trueup
from usage_ledger import report


def thread(thread_id: str, turn_id: str, start: int, history: list[bytes] | None = None, **header: Any) -> bytes:
    used = vector(1000, 500, 50, 10)
    before = {name: 2 * n for name, n in used.items()} if history else None
    one, total = spent(start + 9, before, used)
    two, _ = spent(start + 30, total, used)
    lines = [meta(start, thread_id, **header), *copied(history or [], start + 0.1), turn(start + 5, turn_id), one, two]
    return b"\n".join([*lines, b""])


def scan(data_dir: Path, home: Path) -> tuple[bytes, int]:
    command = ["--data-dir", str(data_dir), "agent", "scan", "--root", f"codex={home}", "--json"]
    result = CliRunner().invoke(trueup, command)
    assert result.exit_code == 0, result.output
    with LedgerReader(data_dir) as reader:
        return reader.head()[1], json.loads(result.stdout)["inserted"]


def test_archiving_compressing_and_restoring_a_thread_changes_no_row(tmp_path: Path) -> None:
    live = tmp_path / "home/.codex/sessions/2026/05/04" / name_of(PARENT).name
    archived = tmp_path / "home/.codex/archived_sessions" / live.name
    for folder in (live.parent, archived.parent):
        folder.mkdir(parents=True)
    live.write_bytes(thread(PARENT, TURN.format(1), 0))
    digest, inserted = scan(tmp_path / "data", tmp_path / "home")
    assert inserted == 3
    compressed = live.with_name(live.name + ".zst")
    compressed.write_bytes(zstd.compress(live.read_bytes()))
    steps = (
        lambda: None,  # both lie there: the plain one is read
        live.unlink,
        lambda: live.write_bytes(zstd.decompress(compressed.read_bytes())),
        lambda: live.rename(archived),
        compressed.unlink,
    )
    for step in steps:
        step()
        assert scan(tmp_path / "data", tmp_path / "home") == (digest, 0)
    with LedgerReader(tmp_path / "data") as reader:
        assert [Path(source.path) for source in reader.sources()] == [archived]
        assert reader.source_gone_events() == 0


def test_a_parent_that_is_found_later_takes_over_what_its_fork_had_copied(tmp_path: Path) -> None:
    day = tmp_path / "home/.codex/sessions/2026/05/04"
    day.mkdir(parents=True)
    parent = thread(PARENT, TURN.format(1), 0)
    history = parent.rstrip(b"\n").split(b"\n")
    (day / name_of(CHILD).name).write_bytes(thread(CHILD, TURN.format(2), 600, history, forked_from_id=PARENT))
    scan(tmp_path / "data", tmp_path / "home")

    def by_session() -> dict[str, int]:
        rows = report(tmp_path / "data", "totals", "--by", "session")["rows"]
        return {row["key"]: row["events"] for row in rows}

    assert by_session() == {CHILD: 4}
    (day / name_of(PARENT).name).write_bytes(parent)
    late, _ = scan(tmp_path / "data", tmp_path / "home")
    assert by_session() == {PARENT: 2, CHILD: 2}
    assert scan(tmp_path / "other", tmp_path / "home")[0] == late

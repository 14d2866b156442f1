"""Sources that are broken, closed or strange: counted and named, and nothing of the others is lost."""

import errno
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from claude_home import FOLDER, loaded, make_logs, scan_home, session_id, write_logs
from codex_lines import meta, spent, turn, vector
from trueup_agent import collect, discover, reading
from trueup_agent.errors import LedgerUnusable
from trueup_agent.ledger import Ledger
from trueup_agent.policy import Policy

LOGS = make_logs(2)
FIRST, SECOND = sorted(LOGS)


async def scanned(home: Path, data: Path) -> tuple[Any, bytes]:
    result, head = await scan_home(home, data)
    return result, head.digest


async def clean(tmp_path: Path, logs: dict[str, bytes]) -> bytes:
    write_logs(tmp_path / "clean", logs)
    return (await scanned(tmp_path / "clean", tmp_path / "clean-data"))[1]


async def test_binary_garbage_and_invalid_utf_8_are_skipped_lines_and_the_rest_counts(tmp_path: Path) -> None:
    garbage = (
        bytes(range(256)) * 40
        + b"\n"
        + b'{"type":"user","uuid":"\xff\xfe","message":\xc3\x28}\n'
        + b"\x00" * 5000
        + b"\n"
    )
    write_logs(tmp_path / "h", {FIRST: LOGS[FIRST] + garbage, SECOND: LOGS[SECOND]})
    write_logs(tmp_path / "h", {f"{FOLDER}/{session_id(88)}.jsonl": os.urandom(1_000_000)})
    result, digest = await scanned(tmp_path / "h", tmp_path / "data")
    assert result.harnesses["claude"].skipped_lines > 2
    assert digest == await clean(tmp_path, LOGS)


async def test_a_line_of_50_mb_is_read_and_one_over_64_mib_is_skipped_and_counted(tmp_path: Path) -> None:
    content = LOGS[FIRST]
    half = content.find(b"\n", len(content) // 2) + 1
    long = b'{"type":"file-history-snapshot","data":"' + b"a" * 50_000_000 + b'"}\n'
    path = tmp_path / "h" / FIRST
    write_logs(tmp_path / "h", {FIRST: content[:half]})
    with path.open("ab") as file:
        file.write(long + content[half:] + b"b" * (65 << 20) + b"\n")
    result, digest = await scanned(tmp_path / "h", tmp_path / "data")
    assert digest == await clean(tmp_path, {FIRST: content})
    assert result.harnesses["claude"].skipped_lines == 1


async def test_a_truncated_a_replaced_and_a_renamed_log_lose_and_double_nothing(tmp_path: Path) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, LOGS)
    _, digest = await scanned(home, data)
    (home / FIRST).write_bytes(LOGS[FIRST][:2000])
    lines = LOGS[SECOND].splitlines(keepends=True)
    (home / SECOND).write_bytes(b"".join(lines[1:]) * 2)
    assert (await scanned(home, data))[1] == digest
    ledger = await Ledger.open(data, Policy())
    assert {s.path: s.state for s in await ledger.sources()} == {
        str(home / FIRST): "truncated",
        str(home / SECOND): "rewritten",
    }
    await ledger.close()
    (home / ".claude/projects/moved").mkdir()
    (home / FIRST).rename(home / ".claude/projects/moved" / Path(FIRST).name)
    assert (await scanned(home, data))[1] == digest


async def test_a_log_that_cannot_be_read_is_named_and_read_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, LOGS)
    real = reading.Tail

    def closed(path: Path, *rest: Any) -> reading.Tail:
        if path == home / FIRST:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(reading, "Tail", closed)
        result, _ = await scanned(home, data)
    assert result.unreadable == {str(home / FIRST): "Permission denied"}
    assert result.harnesses["claude"].sources == 2
    result, digest = await scanned(home, data)
    assert result.unreadable == {}
    assert digest == await clean(tmp_path, LOGS)


async def test_a_directory_that_cannot_be_listed_is_named_and_its_logs_are_not_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, LOGS | {".claude/projects/other/x.jsonl": LOGS[FIRST]})
    await scanned(home, data)
    real = os.scandir

    def closed(path: Any = ".") -> Any:
        if os.fspath(path) == str(home / FOLDER):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", closed)
        result, _ = await scanned(home, data)
    assert result.unreadable == {str(home / FOLDER): "Permission denied"}
    ledger = await Ledger.open(data, Policy())
    assert {source.state for source in await ledger.sources()} == {"present"}
    await ledger.close()


async def test_links_loops_and_special_files_are_no_second_source(tmp_path: Path) -> None:
    home = tmp_path / "h"
    write_logs(home, LOGS)
    (home / FOLDER / "loop").symlink_to(home / ".claude" / "projects")
    (home / FOLDER / "again.jsonl").symlink_to(home / FIRST)
    (home / FOLDER / "nowhere.jsonl").symlink_to(home / "missing")
    os.mkfifo(home / FOLDER / "pipe.jsonl")
    found = discover.discover(loaded(home, tmp_path).places).found
    assert sorted(str(f.source.path) for f in found) == [str(home / FIRST), str(home / SECOND)]


async def test_a_name_that_is_no_text_is_named_and_takes_no_other_log_with_it(tmp_path: Path) -> None:
    write_logs(tmp_path / "h", LOGS)
    strange = tmp_path / "h" / FOLDER / os.fsdecode(b"caf\xe9.jsonl")
    strange.write_bytes(b"{}\n")
    result, digest = await scanned(tmp_path / "h", tmp_path / "data")
    assert result.unreadable == {
        f"{tmp_path}/h/{FOLDER}/caf\\udce9.jsonl": "its path is not UTF-8: rename it",
    }
    assert digest == await clean(tmp_path, LOGS)
    settings = loaded(tmp_path / "h", tmp_path / "data")
    ledger = await Ledger.open(tmp_path / "data", Policy())
    assert (await collect.collect_paths(ledger, settings, [strange])).inserted == 0
    await ledger.close()


async def test_a_damaged_compressed_log_is_named_and_read_as_far_as_it_goes(tmp_path: Path) -> None:
    name = "rollout-2026-05-04T08-00-00-019e0000-0000-7000-8000-00000000000a.jsonl"
    folder = tmp_path / "h" / ".codex/sessions/2026/05/04"
    folder.mkdir(parents=True)
    one, total = spent(9, None, vector(1000, 500, 50, 10))
    lines = [meta(0), turn(5), one, spent(30, total, vector(10, 5, 5))[0], b""]
    whole = zstd.compress(b"\n".join(lines)) + zstd.compress(os.urandom(100_000))
    (folder / f"{name}.zst").write_bytes(whole[:-5000])
    result, _ = await scanned(tmp_path / "h", tmp_path / "data")
    assert result.harnesses["codex"].events == 2
    assert list(result.unreadable) == [str(folder / f"{name}.zst")]


@pytest.mark.parametrize("backlog", [collect.BACKLOG_BYTES, 0], ids=["here", "with parser processes"])
async def test_a_full_disk_is_one_line_and_the_pass_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backlog: int
) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    monkeypatch.setattr(collect, "BACKLOG_BYTES", backlog)
    write_logs(home, LOGS)
    ledger = await Ledger.open(data, Policy())
    pages = (await ledger.query("PRAGMA page_count"))[0][0]
    await ledger.query(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(LedgerUnusable, match="the disk is full"):
        await collect.scan(ledger, loaded(home, data))
    await ledger.close()
    assert (await scanned(home, data))[1] == await clean(tmp_path, LOGS)


async def test_a_ledger_that_may_not_be_written_is_one_line(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path / "data", Policy())
    await ledger.query("PRAGMA query_only = 1")
    with pytest.raises(LedgerUnusable, match="cannot be written"):
        await ledger.set_meta("a", "b")
    await ledger.close()
    assert sqlite3.connect(tmp_path / "data" / "ledger.db").close() is None

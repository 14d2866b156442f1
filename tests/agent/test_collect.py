"""Passes over whole homes: what the ledger holds is a function of the records alone."""

import asyncio
import os
import random
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from claude_home import FOLDER, loaded, make_logs, scan_home, write_logs
from ledger_rows import event, recomputed
from trueup_agent import collect, discover, workers
from trueup_agent.collect import PassMemory, collect_paths, scan
from trueup_agent.discover import RootArg
from trueup_agent.harnesses import HARNESSES
from trueup_agent.ledger import Ledger, SourceUpdate
from trueup_agent.ledger.rows import Origin, event_row
from trueup_agent.policy import Policy

LOGS = make_logs()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, int]:
    """Digest and rows of one clean pass."""
    home = tmp_path_factory.mktemp("once")
    write_logs(home / "h", LOGS)
    _, head = asyncio.run(scan_home(home / "h", home / "data"))
    return head.digest, head.rows


async def test_a_pass_reads_every_source_and_the_next_one_nothing(tmp_path: Path) -> None:
    write_logs(tmp_path / "h", LOGS)
    first, head = await scan_home(tmp_path / "h", tmp_path / "data")
    assert first.harnesses["claude"].sources == len(LOGS)
    assert first.harnesses["claude"].events > 60
    assert first.inserted == head.rows
    assert (head.digest, head.rows) == recomputed(tmp_path / "data" / "ledger.db")
    again, same = await scan_home(tmp_path / "h", tmp_path / "data")
    assert (again.inserted, again.restated, again.unchanged, again.bytes_read) == (0, 0, 0, 0)
    assert again.harnesses == first.harnesses
    assert same == head


@pytest.mark.parametrize("seed", range(4))
async def test_any_order_of_files_and_cuts_of_appends_gives_one_digest(
    tmp_path: Path, seed: int, expected: tuple[bytes, int]
) -> None:
    chance = random.Random(seed)
    home, data = tmp_path / "h", tmp_path / "data"
    steps = [
        (name, start, end)
        for name, content in LOGS.items()
        for cuts in [sorted({0, len(content), *chance.sample(range(len(content)), 12)})]
        for start, end in pairwise(cuts)
    ]
    # Files in shuffled order, the pieces of each in their own.
    order = [name for name, _, _ in steps]
    chance.shuffle(order)
    memory = PassMemory()
    appended: dict[str, int] = {}
    for number, name in enumerate(order):
        step = next(step for step in steps if step[0] == name)
        steps.remove(step)
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        with (home / name).open("ab") as file:
            file.write(LOGS[name][step[1] : step[2]])
        appended[name] = appended.get(name, 0) + step[2] - step[1]
        if number % 3 == 0:
            result, _ = await scan_home(home, data, memory)
            assert result.bytes_read <= sum(appended.values()) + len(appended) * 64 * 1024
            appended.clear()
            if chance.random() < 0.2:
                memory = PassMemory()  # a restart
    _, head = await scan_home(home, data)
    assert (head.digest, head.rows) == expected
    assert (head.digest, head.rows) == recomputed(data / "ledger.db")


async def test_reading_everything_again_takes_no_seq(tmp_path: Path) -> None:
    write_logs(tmp_path / "h", LOGS)
    _, head = await scan_home(tmp_path / "h", tmp_path / "data")
    for path in (tmp_path / "h").rglob("*.jsonl"):
        shutil.copy(path, path.with_suffix(".new"))
        path.with_suffix(".new").rename(path)
    again, same = await scan_home(tmp_path / "h", tmp_path / "data")
    assert (again.inserted, again.restated, again.removed) == (0, 0, 0)
    assert again.unchanged > 0
    assert same == head


async def test_parser_processes_give_the_same_ledger(
    tmp_path: Path, expected: tuple[bytes, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "BACKLOG_BYTES", 0)
    monkeypatch.setattr(workers, "worker_count", lambda: 2)
    write_logs(tmp_path / "h", LOGS)
    _, head = await scan_home(tmp_path / "h", tmp_path / "data")
    assert (head.digest, head.rows) == expected


async def test_a_parser_process_that_dies_is_told_in_one_line_and_the_next_pass_goes_on(
    tmp_path: Path, expected: tuple[bytes, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_logs(tmp_path / "h", LOGS)
    with monkeypatch.context() as broken:
        broken.setattr(collect, "BACKLOG_BYTES", 0)
        broken.setattr(workers, "worker_count", lambda: 2)
        broken.setattr(workers.sys, "executable", "/bin/false")
        with pytest.raises(workers.WorkerDied, match="ended with status 1"):
            await scan_home(tmp_path / "h", tmp_path / "data")
    _, head = await scan_home(tmp_path / "h", tmp_path / "data")
    assert (head.digest, head.rows) == expected


async def test_a_watcher_hands_over_paths_and_only_those_are_read(tmp_path: Path) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, LOGS)
    settings = loaded(home, data)
    ledger = await Ledger.open(data, Policy())
    names = sorted(LOGS)
    counts = await collect_paths(ledger, settings, [home / names[0]])
    assert counts.inserted == (await ledger.head()).rows
    assert [source.path for source in await ledger.sources()] == [str(home / names[0])]
    await scan(ledger, settings)
    before = await ledger.head()
    with (home / names[1]).open("ab") as file:
        file.write(LOGS[names[0]][-500:] + b'{"type":"user"}\n')
    await collect_paths(ledger, settings, [home / names[1]])
    assert (await ledger.head()).rows >= before.rows
    await ledger.close()


async def test_a_path_that_is_no_log_is_looked_up_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, LOGS | {".claude/projects/notes.txt": b""})
    looks = []
    look = discover.discover
    monkeypatch.setattr(discover, "discover", lambda places, only: looks.append(1) or look(places, only=only))
    monkeypatch.setattr(collect, "LOOKS_APART", 0)
    ledger, memory = await Ledger.open(data, Policy()), PassMemory()
    for paths in (
        [FOLDER, min(LOGS)],
        [".claude/projects/notes.txt"],
        [".claude/projects/notes.txt", FOLDER, min(LOGS)],
    ):
        await collect_paths(ledger, loaded(home, data), [home / path for path in paths], memory)
    assert len(looks) == 2
    await ledger.close()


async def test_a_log_that_vanished_is_marked_and_its_rows_stay(tmp_path: Path, expected: tuple[bytes, int]) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, LOGS)
    await scan_home(home, data)
    shutil.rmtree(home / FOLDER)
    _, head = await scan_home(home, data)
    assert (head.digest, head.rows) == expected
    ledger = await Ledger.open(data, Policy())
    assert {source.state for source in await ledger.sources()} == {"source_gone"}
    await ledger.close()
    write_logs(home, LOGS)
    await scan_home(home, data)
    ledger = await Ledger.open(data, Policy())
    assert {source.state for source in await ledger.sources()} == {"present"}
    await ledger.close()


async def test_named_roots_are_read_alone_and_leave_other_sources_as_they_are(tmp_path: Path) -> None:
    home, other, data = tmp_path / "h", tmp_path / "other", tmp_path / "data"
    write_logs(home, LOGS)
    write_logs(other, make_logs(2, seed=9))
    await scan_home(home, data)
    shutil.rmtree(home / FOLDER)
    ledger = await Ledger.open(data, Policy())
    await scan(ledger, loaded(home, data), [RootArg("claude", other)])
    states = {source.path: source.state for source in await ledger.sources()}
    await ledger.close()
    assert set(states.values()) == {"present"}
    assert sum(path.startswith(str(other)) for path in states) == 2


async def test_a_newer_parser_reads_everything_again_and_withdraws_what_it_no_longer_says(
    tmp_path: Path, expected: tuple[bytes, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, LOGS)
    await scan_home(home, data)
    ledger = await Ledger.open(data, Policy())
    [source, *_] = await ledger.sources()
    row = event_row(event("the old parser's mistake"), Origin(source.source_key, 1), Policy())
    row.harness = "claude"
    await ledger.write([SourceUpdate(source=source, events=[row])])
    await ledger.close()
    monkeypatch.setattr(HARNESSES["claude"], "data_version", 2)
    result, head = await scan_home(home, data)
    assert (head.digest, head.rows) == expected
    assert result.removed == 1
    again, _ = await scan_home(home, data)
    assert again.bytes_read == 0


async def test_the_newest_log_is_read_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "h"
    write_logs(home, LOGS)
    for age, name in enumerate(sorted(LOGS)):
        os.utime(home / name, (2_000_000_000 - age, 2_000_000_000 - age))
    seen: list[str] = []
    read = collect.Reading

    def noting(job: collect.Job, held: bytes) -> collect.Reading:
        seen.append(job.path)
        return read(job, held)

    monkeypatch.setattr(collect, "Reading", noting)
    await scan_home(home, tmp_path / "data")
    assert seen == [str(home / name) for name in sorted(LOGS)]


def test_root_arguments_that_make_no_sense_are_told_in_words() -> None:
    for text, words in (("claude", "HARNESS=PATH"), ("nothing=/tmp", "no harness 'nothing'")):
        with pytest.raises(discover.RootNotFound, match=words):
            discover.parse_root(text)

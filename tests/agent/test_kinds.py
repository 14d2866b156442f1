"""Sources of every kind through whole passes: documents, trees, databases, and what lies beside a log."""

import json
import sqlite3
from pathlib import Path

import pytest

from kinds_harness import Documents, kinds
from scanned import Scanned, scanned
from trueup_agent import files
from trueup_agent.ledger import sources

pytestmark = pytest.mark.usefixtures("kinds")
__all__ = ["kinds"]


def document(path: Path, *requests: tuple[int, int]) -> None:
    path.write_text(json.dumps({"requests": [{"id": id_, "tokens": tokens} for id_, tokens in requests]}))


def lines(path: Path, *requests: tuple[int, int]) -> None:
    with path.open("a") as file:
        file.writelines(json.dumps({"id": id_, "tokens": tokens}) + "\n" for id_, tokens in requests)


def rows(path: Path, *requests: tuple[int, int]) -> None:
    db = sqlite3.connect(path)
    with db:
        db.execute("CREATE TABLE IF NOT EXISTS requests (n INTEGER PRIMARY KEY, id, tokens)")
        db.executemany("INSERT INTO requests (id, tokens) VALUES (?, ?)", requests)
    db.close()


async def pass_over(tmp_path: Path) -> Scanned:
    return await scanned(tmp_path, "kinds", tmp_path, home=True)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "kinds").mkdir()
    return tmp_path / "kinds"


def counted(seen: Scanned) -> dict[str, int | None]:
    """Identity -> tokens."""
    return {event.identity: event.output_tokens for event in seen.events()}


async def test_each_kind_is_read_whole_and_then_not_again(tmp_path: Path, home: Path) -> None:
    lines(home / "a.lines", (1, 10), (2, 20))
    document(home / "b.doc", *((id_, id_) for id_ in range(11, 18)))
    (home / "c.tree" / "deep").mkdir(parents=True)
    (home / "c.tree" / "deep" / "1.json").write_text('{"id": 21, "tokens": 5}')
    (home / "c.tree" / "2.json").write_text('{"id": 22, "tokens": 6}')
    rows(home / "d.rows", *((id_, id_) for id_ in range(31, 38)))
    seen = await pass_over(tmp_path)
    assert seen.totals()["events"] == 2 + 7 + 2 + 7
    assert seen.totals()["output_tokens"] == 30 + sum(range(11, 18)) + 11 + sum(range(31, 38))
    assert [source.kind for source in seen.sources()] == ["lines", "whole", "whole", "rows"]
    again = await seen.scan()
    assert (again.bytes_read, again.unchanged) == (0, 0)


async def test_half_a_document_changes_nothing_and_is_told_and_tried_again(tmp_path: Path, home: Path) -> None:
    document(home / "b.doc", (1, 10))
    seen = await pass_over(tmp_path)
    whole = (home / "b.doc").read_bytes()
    (home / "b.doc").write_bytes(whole[:-4])
    assert (await seen.scan()).unreadable == {str(home / "b.doc"): "half-written JSON"}
    assert counted(seen) == {"[1]": 10}
    (home / "b.doc").write_bytes(whole)
    document(home / "b.doc", (1, 10), (2, 20))
    assert (await seen.scan()).unreadable == {}
    assert counted(seen) == {"[1]": 10, "[2]": 20}
    assert [(source.events, source.error) for source in seen.sources()] == [(2, None)]


async def test_of_a_tree_that_turns_out_damaged_nothing_is_kept(tmp_path: Path, home: Path) -> None:
    (home / "c.tree").mkdir()
    for number in range(8):
        (home / "c.tree" / f"{number}.json").write_text(f'{{"id": {number}, "tokens": 5}}')
    (home / "c.tree" / "9.json").write_text('{"id": 22, "tok')
    seen = await pass_over(tmp_path)
    assert counted(seen) == {}
    (home / "c.tree" / "9.json").write_text('{"id": 9, "tokens": 5}')
    await seen.scan()
    assert len(counted(seen)) == 9
    # A file deep in a tree that changes alone.
    (home / "c.tree" / "9.json").write_text('{"id": 9, "tokens": 7}')
    await seen.scan()
    assert counted(seen)["[9]"] == 7


async def test_of_a_database_only_new_rows_are_read(tmp_path: Path, home: Path) -> None:
    rows(home / "d.rows", (1, 10), (2, 20))
    seen = await pass_over(tmp_path)
    rows(home / "d.rows", (3, 30))
    result = await seen.scan()
    assert (result.inserted, result.unchanged) == (1, 0)
    assert counted(seen) == {"[1]": 10, "[2]": 20, "[3]": 30}
    full = await seen.scan(full=True)
    assert (full.inserted, full.unchanged) == (0, 3)


async def test_a_companion_that_changes_alone_is_read(tmp_path: Path, home: Path) -> None:
    lines(home / "a.lines", (1, 10))
    seen = await pass_over(tmp_path)
    assert [event.model for event in seen.events()] == [None]
    (home / "a.model").write_text("large.")
    await seen.scan()
    assert [event.model for event in seen.events()] == ["large"]
    assert (await seen.scan()).bytes_read == 0


async def test_lines_count_though_a_companion_is_half_written(tmp_path: Path, home: Path) -> None:
    lines(home / "a.lines", (1, 10))
    (home / "a.model").write_text("lar")
    seen = await pass_over(tmp_path)
    assert [(event.output_tokens, event.model) for event in seen.events()] == [(10, None)]
    assert seen.result.unreadable == {str(home / "a.lines"): "half-written model"}
    (home / "a.model").write_text("large.")
    await seen.scan()
    assert [(event.output_tokens, event.model) for event in seen.events()] == [(10, "large")]
    assert seen.result.unreadable == {}


async def test_a_document_that_is_too_large_is_told_and_not_tried_again_until_it_changes(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document(home / "b.doc", (1, 10))
    seen = await pass_over(tmp_path)
    readings: list[Path] = []
    read = files.read_regular

    def noting(path: Path, limit: int) -> bytes | None:
        readings.append(path)
        return read(path, limit)

    monkeypatch.setattr(files, "read_regular", noting)
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 1 << 20)
    (home / "b.doc").write_bytes(b"[" + b" " * (2 << 20))
    told = {str(home / "b.doc"): "larger than 1 MB"}
    assert (await seen.scan()).unreadable == told
    assert (await seen.scan()).unreadable == told
    assert len(readings) == 1
    assert counted(seen) == {"[1]": 10}
    document(home / "b.doc", (1, 10), (2, 20))
    assert (await seen.scan()).unreadable == {}
    assert counted(seen) == {"[1]": 10, "[2]": 20}


async def test_what_an_unfinished_reading_did_not_give_is_not_gone(tmp_path: Path, home: Path) -> None:
    document(home / "b.doc", *((n, n) for n in range(10)))
    seen = await pass_over(tmp_path)
    whole = (home / "b.doc").read_bytes()
    (home / "b.doc").write_bytes(whole[:-9])
    await seen.scan()
    assert seen.totals()["gone"] == 0
    document(home / "b.doc", *((n, n) for n in range(4)))
    await seen.scan()
    assert (seen.totals()["gone"], seen.totals()["events"]) == (6, 10)
    document(home / "b.doc", *((n, n) for n in range(6)))
    await seen.scan()
    assert (seen.totals()["gone"], seen.totals()["events"]) == (4, 10)


async def test_rows_that_were_deleted_are_gone_after_the_next_full_reading(tmp_path: Path, home: Path) -> None:
    rows(home / "d.rows", (1, 10), (2, 20), (3, 30))
    seen = await pass_over(tmp_path)
    db = sqlite3.connect(home / "d.rows")
    with db:
        db.execute("DELETE FROM requests WHERE id = 2")
    db.close()
    await seen.scan()
    assert [source.full_due_at > 0 for source in seen.sources()] == [True]
    assert seen.totals()["gone"] == 0
    await seen.scan(full=True)
    assert [event.identity for event in seen.events() if event.gone] == ["[2]"]
    assert [source.full_due_at for source in seen.sources()] == [0]
    assert (await seen.scan(full=True)).bytes_read > 0


async def test_a_database_in_the_place_of_another_is_read_from_its_beginning(tmp_path: Path, home: Path) -> None:
    rows(home / "d.rows", (1, 10), (2, 20), (3, 30))
    seen = await pass_over(tmp_path)
    rows(home / "new", (7, 70))
    (home / "new").rename(home / "d.rows")
    await seen.scan()
    assert counted(seen) == {"[1]": 10, "[2]": 20, "[3]": 30, "[7]": 70}
    assert sorted(event.identity for event in seen.events() if event.gone) == ["[1]", "[2]", "[3]"]


async def test_a_file_that_vanishes_while_it_is_read_does_not_make_its_source_gone(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "c.tree").mkdir()
    (home / "c.tree" / "1").write_text('{"id": 1, "tokens": 5}')
    seen = await pass_over(tmp_path)
    (home / "c.tree" / "2").write_text('{"id": 2, "tokens": 5}')
    with monkeypatch.context() as broken:

        def vanished(self: files.DiskFiles, path: Path) -> bytes:
            raise FileNotFoundError(2, "No such file or directory", str(path))

        broken.setattr(files.DiskFiles, "read", vanished)
        await seen.scan()
    assert [source.state for source in seen.sources()] == ["present"]
    assert seen.totals()["gone"] == 0
    await seen.scan()
    assert sorted(counted(seen)) == ["[1]", "[2]"]


async def test_what_a_mistake_of_ours_left_out_is_read_by_another_release(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document(home / "b.doc", (1, 10))
    seen = await pass_over(tmp_path)
    document(home / "b.doc", (1, 10), (2, 20))
    with monkeypatch.context() as broken:
        broken.setattr(Documents, "read", None)
        with pytest.raises(AssertionError, match="please report this: TypeError"):
            await seen.scan()
    with pytest.raises(AssertionError, match="please report this: TypeError"):
        await seen.scan()  # it did not change
    assert counted(seen) == {"[1]": 10}
    monkeypatch.setattr(sources, "OUR_MISTAKE", "trueup 99 cannot read it, please report this: ")
    await seen.scan()
    assert counted(seen) == {"[1]": 10, "[2]": 20}

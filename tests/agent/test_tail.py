"""Reading a log on from where reading stopped: whole lines, once, and only if it is still that file."""

import random
from pathlib import Path

import pytest

from trueup_agent import tail as tail_module
from trueup_agent.tail import CONTINUED, FRESH, REWRITTEN, TRUNCATED, LineSplitter, Mark, Tail

LINES = b"".join(b'{"n":%d,"pad":"%s"}\n' % (n, b"x" * (n * 37 % 900)) for n in range(400))


def read(path: Path, mark: Mark | None = None, held: bytes = b"") -> tuple[bytes, Tail]:
    with Tail(path, mark or Mark(), held) as tail:
        lines = b"".join(tail.chunks())
        tail.final = tail.mark()  # type: ignore[attr-defined]
    return lines, tail


def test_only_whole_lines_are_handed_out_and_the_rest_is_left_for_later(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\ntwo\nthr")
    lines, tail = read(log)
    assert (lines, tail.position, tail.held()) == (b"one\ntwo\n", 8, b"thr")
    log.write_bytes(b"one\ntwo\nthree\n")
    lines, tail = read(log, tail.final)
    assert (lines, tail.position, tail.verdict) == (b"three\n", 14, CONTINUED)


def test_after_an_append_of_n_bytes_at_most_n_and_64_kib_are_read_wherever_it_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "log"
    chance = random.Random(7)
    content = LINES + b'{"image":"' + b"a" * 3_000_000 + b'"}\n' + LINES
    cuts = [*sorted(chance.sample(range(len(content)), 60)), len(content)]
    mark, held, seen, before = Mark(), b"", b"", 0
    for cut in cuts:
        with log.open("ab") as file:
            file.write(content[before:cut])
        lines, tail = read(log, mark, held)
        assert tail.bytes_read <= cut - before + 64 * 1024
        seen += lines
        mark, held, before = tail.final, tail.held(), cut
    assert seen == content


def test_a_file_that_became_shorter_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(LINES)
    mark = read(log)[1].final
    log.write_bytes(LINES[:5000])
    lines, tail = read(log, mark)
    assert tail.verdict == TRUNCATED
    assert lines == LINES[:5000][: LINES[:5000].rfind(b"\n") + 1]


@pytest.mark.parametrize("at", [3, len(LINES) - 20], ids=["in its head", "before the position"])
def test_a_file_with_other_content_is_read_from_its_beginning(tmp_path: Path, at: int) -> None:
    log = tmp_path / "log"
    log.write_bytes(LINES)
    mark = read(log)[1].final
    changed = LINES[:at] + b"#" + LINES[at + 1 :] + b"more\n"
    log.write_bytes(changed)
    lines, tail = read(log, mark)
    assert (tail.verdict, lines) == (REWRITTEN, changed)


def test_a_copy_in_the_place_of_the_file_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(LINES)
    mark = read(log)[1].final
    (tmp_path / "copy").write_bytes(LINES + b"more\n")
    (tmp_path / "copy").replace(log)
    lines, tail = read(log, mark)
    assert (tail.verdict, lines) == (FRESH, LINES + b"more\n")


def test_a_file_that_was_moved_is_read_on(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(LINES)
    mark = read(log)[1].final
    log.rename(tmp_path / "archived")
    with (tmp_path / "archived").open("ab") as file:
        file.write(b"more\n")
    assert read(tmp_path / "archived", mark)[0] == b"more\n"


def test_a_pass_that_is_not_at_its_end_leaves_a_mark_that_looks_changed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(LINES * 20)
    with Tail(log, Mark()) as tail:
        next(tail.chunks())
        assert not tail.mark().looks_unchanged(log.stat())
    assert read(log)[1].final.looks_unchanged(log.stat())


def test_a_line_that_is_too_long_is_skipped_and_counted_however_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "MAX_LINE_BYTES", 100)
    content = b"first\n" + b"x" * 101 + b"\nlast\n"
    for size in (1, 7, 50, 99):
        splitter = LineSplitter()
        lines = b"".join(splitter.push(content[at : at + size]) for at in range(0, len(content), size))
        assert (lines, splitter.too_long, splitter.position) == (b"first\nlast\n", 1, len(content))
    splitter = LineSplitter()
    assert splitter.push(b"x" * 60) + splitter.push(b"x" * 60) == b""
    assert (splitter.position, splitter.mid_line) == (120, True)
    going_on = LineSplitter(splitter.position, splitter.mid_line)
    assert (going_on.push(b"xx\nlast\n"), going_on.too_long, going_on.position) == (b"last\n", 0, 128)

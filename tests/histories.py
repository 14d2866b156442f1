"""A home whose sources grow, shrink, move, are rewritten, compressed and deleted, a step at a time."""

import json
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

from backports import zstd

from claude_lines import answer, prompt, usage
from codex_lines import meta, spent, turn, vector

HARNESSES = ("claude", "codex", "kinds")
_CLAUDE = ".claude/projects"
_THREAD = "019e0000-0000-7000-8000-00000000000{}"
_ROLLOUT = "rollout-2026-05-04T08-00-00-{}.jsonl"


class World:
    """`step` changes one thing. Requests are numbered, so that none is in two sources but where a file was moved."""

    def __init__(self, home: Path, chance: random.Random) -> None:
        self.home, self._chance = home, chance
        self._number = 0
        self._totals: dict[int, dict[str, int] | None] = {}
        self._changes: list[Callable[[], None]] = [
            self._grow_claude, self._grow_claude, self._shrink_claude, self._rewrite_claude, self._move_claude,
            self._grow_codex, self._grow_codex, self._archive_codex, self._compress_codex,
            self._grow_document, self._change_document, self._shrink_document, self._move_document,
            self._halve_document,
            self._grow_tree, self._shrink_tree, self._grow_rows, self._grow_rows, self._delete_rows, self._compact_rows,
            self._delete,
        ]  # fmt: skip
        for folder in (f"{_CLAUDE}/-a", f"{_CLAUDE}/-b", ".codex/sessions/2026/05/04", ".codex/archived_sessions"):
            (home / folder).mkdir(parents=True)
        (home / "kinds" / "c.tree").mkdir(parents=True)

    def step(self) -> str:
        change = self._chance.choice(self._changes)
        change()
        return change.__name__

    def finish(self) -> None:
        """No document stays half-written."""
        for path in (self.home / "kinds").glob("*.doc"):
            self._document(path, self._requests(path))

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _any(self, *patterns: str) -> Path | None:
        found = sorted(path for pattern in patterns for path in self.home.glob(pattern) if path.is_file())
        return self._chance.choice(found) if found else None

    def _grow_claude(self) -> None:
        session = self._chance.randrange(2)
        path = self._any(f"{_CLAUDE}/*/5e55100{session}-*.jsonl")
        path = path or self.home / f"{_CLAUDE}/-a/5e55100{session}-0000-4000-8000-0000000000aa.jsonl"
        lines = []
        for _ in range(self._chance.randrange(1, 4)):
            n = self._next()
            common = {"sessionId": path.stem}
            lines.append(prompt(n * 9.0, n * 10, "fix the cart", **common))
            lines.append(answer(n * 9.0 + 2, n * 10 + 1, n, n, usage=usage(n), **common))
        text = b"".join(line + b"\n" for line in lines)
        with path.open("ab") as file:
            file.write(text)

    def _shrink_claude(self) -> None:
        if path := self._any(f"{_CLAUDE}/*/*.jsonl"):
            lines = path.read_bytes().splitlines(keepends=True)
            with path.open("r+b") as file:
                file.truncate(sum(map(len, lines[: self._chance.randrange(len(lines) + 1)])))

    def _rewrite_claude(self) -> None:
        if path := self._any(f"{_CLAUDE}/*/*.jsonl"):
            lines = path.read_bytes().splitlines(keepends=True)
            del lines[self._chance.randrange(len(lines) + 1) :][:1]
            self._replace(path, b"".join(line for line in lines if self._chance.random() < 0.8))

    def _move_claude(self) -> None:
        if path := self._any(f"{_CLAUDE}/-a/*.jsonl", f"{_CLAUDE}/-b/*.jsonl"):
            path.rename(path.parent.with_name("-b" if path.parent.name == "-a" else "-a") / path.name)

    def _grow_codex(self) -> None:
        number = self._chance.randrange(2)
        thread = _THREAD.format(number)
        path = self.home / ".codex/sessions/2026/05/04" / _ROLLOUT.format(thread)
        if any(self.home.glob(f".codex/archived_sessions/*{thread}*")):
            return
        if not path.exists():
            self._totals[number] = None
            path.write_bytes(meta(0, thread) + b"\n" + turn(1) + b"\n")
        n = self._next()
        line, self._totals[number] = spent(1 + n, self._totals[number], vector(1000 + n, 10, n))
        with path.open("ab") as file:
            file.write(line + b"\n")

    def _archive_codex(self) -> None:
        if path := self._any(".codex/sessions/2026/05/04/*"):
            path.rename(self.home / ".codex/archived_sessions" / path.name)

    def _compress_codex(self) -> None:
        if path := self._any(".codex/archived_sessions/*.jsonl"):
            path.with_name(path.name + ".zst").write_bytes(zstd.compress(path.read_bytes()))
            path.unlink()

    def _requests(self, path: Path) -> dict[int, int]:
        found = path.with_suffix(".requests")
        return {int(id_): n for id_, n in json.loads(found.read_text()).items()} if found.exists() else {}

    def _document(self, path: Path, requests: dict[int, int]) -> None:
        path.with_suffix(".requests").write_text(json.dumps(requests))  # what the test knows of it
        content = {"requests": [{"id": id_, "tokens": tokens} for id_, tokens in requests.items()]}
        self._replace(path, json.dumps(content).encode())

    def _grow_document(self) -> None:
        path = self._any("kinds/*.doc") or self.home / "kinds/b.doc"
        new = {self._next(): self._chance.randrange(100) for _ in range(self._chance.randrange(1, 6))}
        self._document(path, self._requests(path) | new)

    def _change_document(self) -> None:
        if path := self._any("kinds/*.doc"):
            requests = self._requests(path)
            self._document(path, {id_: tokens + self._chance.randrange(9) for id_, tokens in requests.items()})

    def _shrink_document(self) -> None:
        if path := self._any("kinds/*.doc"):
            kept = {id_: n for id_, n in self._requests(path).items() if self._chance.random() < 0.6}
            self._document(path, kept)

    def _move_document(self) -> None:
        if path := self._any("kinds/*.doc"):
            other = path.with_stem(chr(ord(path.stem) ^ 3))
            path.rename(other)
            path.with_suffix(".requests").rename(other.with_suffix(".requests"))

    def _halve_document(self) -> None:
        if path := self._any("kinds/*.doc"):
            content = path.read_bytes()
            path.write_bytes(content[: len(content) // 2])

    def _grow_tree(self) -> None:
        n = self._next()
        folder = self.home / "kinds/c.tree" / str(n % 3)
        folder.mkdir(exist_ok=True)
        (folder / f"{n}.json").write_text(json.dumps({"id": n, "tokens": n}))

    def _shrink_tree(self) -> None:
        if path := self._any("kinds/c.tree/*/*.json"):
            path.unlink()

    def _rows(self, *statements: str) -> None:
        db = sqlite3.connect(self.home / "kinds/d.rows", isolation_level=None)
        db.execute("PRAGMA synchronous = OFF")
        db.execute("CREATE TABLE IF NOT EXISTS requests (n INTEGER PRIMARY KEY AUTOINCREMENT, id, tokens)")
        for statement in statements:
            db.execute(statement)
        db.close()

    def _grow_rows(self) -> None:
        self._rows(*(f"INSERT INTO requests (id, tokens) VALUES ({self._next()}, 7)" for _ in range(4)))

    def _delete_rows(self) -> None:
        self._rows(f"DELETE FROM requests WHERE n % 3 = {self._chance.randrange(3)}")

    def _compact_rows(self) -> None:
        self._rows("PRAGMA journal_mode = " + self._chance.choice(("wal", "delete")), "VACUUM")

    def _delete(self) -> None:
        if path := self._any(f"{_CLAUDE}/*/*", ".codex/**/rollout*", "kinds/*.doc", "kinds/*.rows"):
            path.unlink()
            path.with_suffix(".requests").unlink(missing_ok=True)

    def _replace(self, path: Path, content: bytes) -> None:
        """In place, or by another file that takes its name."""
        if self._chance.random() < 0.5:
            path.write_bytes(content)
        else:
            other = path.with_suffix(".new")
            other.write_bytes(content)
            other.rename(path)

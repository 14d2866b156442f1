"""What lies beside a source: has any of it changed since it was last read? `stat` calls only."""

import os
import stat
from hashlib import blake2b
from pathlib import Path

from trueup_agent.harnesses.base import ROWS, WHOLE, SourceFile

_HASH_BYTES = 16


# What SQLite keeps beside a database: transactions that are not in it yet, and pages from before the one under way.
ROWS_BESIDE = ("-wal", "-journal")


class Fingerprints:
    """Looks at each companion once, however many sources share it. One of these lives as long as a look around."""

    def __init__(self) -> None:
        self._looks: dict[Path, bytes] = {}

    def of(self, source: SourceFile) -> bytes:
        """Of the companions; of the files below where the source is a folder, of its logs where it is a database.

        Empty where a source has none of them: its own file is looked at by tail.Mark.
        """
        beside = list(source.companions)
        if source.kind == ROWS:
            beside += [source.path.with_name(source.path.name + end) for end in ROWS_BESIDE]
        elif source.kind == WHOLE and source.path.is_dir():
            beside.append(source.path)
        if not beside:
            return b""
        return blake2b(b"".join(map(self._look, beside)), digest_size=_HASH_BYTES).digest()

    def _look(self, path: Path) -> bytes:
        if path not in self._looks:
            self._looks[path] = _look(path)
        return self._looks[path]


def _look(path: Path) -> bytes:
    digest = blake2b(digest_size=_HASH_BYTES)
    try:
        status = path.stat()
    except OSError:
        return digest.digest()
    if not stat.S_ISDIR(status.st_mode):
        if status.st_size or not path.name.endswith(ROWS_BESIDE):  # an empty one says as much as none
            digest.update(_seen("", status))
        return digest.digest()
    folders = [str(path)]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        digest.update(_seen(entry.path, entry.stat(follow_symlinks=False)))
        except OSError as error:
            digest.update(f"{folder} {error.errno}".encode(errors="surrogateescape"))
    return digest.digest()


def _seen(name: str, status: os.stat_result) -> bytes:
    text = f"{name}\0{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}\n"
    return text.encode(errors="surrogateescape")

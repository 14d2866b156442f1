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
        self._folders: dict[tuple[int, int], bytes] = {}  # device, inode: a folder is reached through links as well

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
            self._looks[path] = self._looked(path)
        return self._looks[path]

    def _looked(self, path: Path) -> bytes:
        try:
            status = path.stat()
        except OSError:
            return _NOTHING
        if not stat.S_ISDIR(status.st_mode):
            # An empty log says as much as none.
            return _seen("", status) if status.st_size or not path.name.endswith(ROWS_BESIDE) else _NOTHING
        key = (status.st_dev, status.st_ino)
        if key not in self._folders:
            self._folders[key] = _of_folder(str(path))
        return self._folders[key]


_NOTHING = b"nothing\n"


def _of_folder(top: str) -> bytes:
    digest = blake2b(digest_size=_HASH_BYTES)
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        digest.update(_seen(entry.path[len(top) :], entry.stat(follow_symlinks=False)))
        except OSError as error:
            digest.update(f"{folder[len(top) :]} {error.errno}\n".encode(errors="surrogateescape"))
    return digest.digest()


def _seen(name: str, status: os.stat_result) -> bytes:
    text = f"{name}\0{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}\n"
    return text.encode(errors="surrogateescape")

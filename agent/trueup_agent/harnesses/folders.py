"""Looking through folders: what parsers may do on a disk."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from trueup_agent.harnesses.base import TooLarge

SMALL_BYTES = 8 << 20
_SQLITE = b"SQLite format 3\x00"

CannotRead = Callable[[OSError], object]


def walk(top: Path, cannot_read: CannotRead, follow_links: bool = True) -> Iterator[tuple[Path, list[str], list[str]]]:
    """`os.walk` in name order, as deep as it goes (that of Python recurses), which enters no directory twice.

    What the caller takes out of the folders that it gets is not entered.
    """
    entered: set[tuple[int, int]] = set()
    waiting = [str(top)]
    while waiting:
        directory = waiting.pop()
        below: list[str] = []
        names: list[str] = []
        try:
            status = os.stat(directory)  # noqa: PTH116 - deep paths are dear to Path
            if (status.st_dev, status.st_ino) in entered:
                continue
            entered.add((status.st_dev, status.st_ino))
            with os.scandir(directory) as entries:
                for entry in entries:
                    (below if _is_folder(entry, follow_links) else names).append(entry.name)
        except OSError as error:
            cannot_read(error)
            continue
        below.sort()
        names.sort()
        yield Path(directory), below, names
        waiting += [os.path.join(directory, name) for name in reversed(below)]  # noqa: PTH118


def _is_folder(entry: "os.DirEntry[str]", follow_links: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow_links)
    except OSError:
        return False


def ignore(error: OSError) -> None:
    """For a look that finds nothing where it may not look."""


def children(folder: Path, cannot_read: CannotRead = ignore) -> list[Path]:
    """What lies directly in a folder, by name; nothing where there is none."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        cannot_read(error)
        return []


def is_dir(path: Path, cannot_read: CannotRead = ignore) -> bool:
    """`Path.is_dir`, which raises where a parent is closed to us."""
    try:
        return path.is_dir()
    except OSError as error:
        cannot_read(error)
        return False


def is_file(path: Path, cannot_read: CannotRead = ignore) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        cannot_read(error)
        return False


def is_sqlite(head: bytes) -> bool:
    """Is a file with that beginning a database?"""
    return head.startswith(_SQLITE)


def read_small(path: Path, limit: int = SMALL_BYTES) -> bytes | None:
    """A small file that discovery needs: a registry, a setting. None where it is missing, closed to us or too large."""
    from trueup_agent.files import read_regular

    try:
        return read_regular(path, limit)
    except (OSError, TooLarge):
        return None

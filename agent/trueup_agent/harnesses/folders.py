"""Looking through folders: what parsers may do on a disk."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from trueup_agent.harnesses.base import TooLarge

SMALL_BYTES = 8 << 20

CannotRead = Callable[[OSError], object]


def walk(top: Path, cannot_read: CannotRead) -> Iterator[tuple[Path, list[str], list[str]]]:
    """`os.walk` in name order that follows links, but enters no directory twice."""
    entered: set[tuple[int, int]] = set()
    for directory, below, names in os.walk(top, onerror=cannot_read, followlinks=True):
        try:
            status = Path(directory).stat()
        except OSError as error:
            cannot_read(error)
            below.clear()
            continue
        if (status.st_dev, status.st_ino) in entered:
            below.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        below.sort()
        yield Path(directory), below, sorted(names)


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


def read_small(path: Path, limit: int = SMALL_BYTES) -> bytes | None:
    """A small file that discovery needs: a registry, a setting. None where it is missing, closed to us or too large."""
    from trueup_agent.files import read_regular

    try:
        return read_regular(path, limit)
    except (OSError, TooLarge):
        return None

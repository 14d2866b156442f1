"""Looking through folders: what parsers may do on a disk."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

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

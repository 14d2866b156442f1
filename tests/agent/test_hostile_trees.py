"""Trees that were made to hurt, around the golden data of each harness: nothing hangs, raises, or changes a number."""

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import settings

from golden_homes import golden_home
from scanned import Scanned, scanned
from trueup_agent.harnesses import HARNESSES

IS_SOAK = (settings.default or settings()).max_examples > 1000
DEEP = 1000
MANY = 100_000 if IS_SOAK else 100
SLOWEST_SECONDS = 1800.0 if IS_SOAK else 20.0


@pytest.fixture
def place() -> Iterator[Path]:
    """Removed by rm: Python's own rmtree does not come back from a thousand levels."""
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="trueup-tests-", dir=memory if memory.is_dir() else None))
    yield path
    subprocess.run(["rm", "-rf", str(path)], check=True)


def go_deep(folder: Path, levels: int = DEEP) -> None:
    path = str(folder)
    for _ in range(levels):
        path += "/d"
        os.mkdir(path)  # noqa: PTH102


def make_hostile(home: Path) -> None:
    files = [path for path in home.rglob("*") if path.is_file()]
    folders = sorted({folder for path in files for folder in path.parents if folder.is_relative_to(home)})
    for folder in folders:
        (folder / "loop").symlink_to(folder)
        (folder / "up").symlink_to(home)
        (folder / "nowhere").symlink_to(folder / "missing")
        os.mkdir(os.fsencode(folder) + b"/\xff\xfe not text")  # noqa: PTH102
    for folder in folders if IS_SOAK else [files[0].parent]:
        go_deep(folder)
    for path in files:
        # What has the name of a source, and is none.
        os.mkfifo(path.parent / f"0{path.name}")
        (path.parent / f"1{path.name}").mkdir()
        (path.parent / f"2{path.name}").symlink_to(path.parent / f"2{path.name}")
        (path.parent / f"3{path.name}").touch()
        with open(os.fsencode(path.parent) + b"/4\xff" + os.fsencode(path.name), "wb") as file:  # noqa: PTH123
            file.write(path.read_bytes())
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(files[0].parent, os.O_RDONLY)
        try:
            listener.bind(f"/proc/self/fd/{here}/5{files[0].suffix}")
        finally:
            os.close(here)
    for number in range(MANY):
        (files[0].parent / f"many-{number}{files[0].suffix}").touch()


def figures(seen: Scanned) -> dict[str, object]:
    return {name: value for name, value in seen.totals().items() if name not in ("skipped", "unknown")}


@pytest.mark.parametrize("harness", HARNESSES)
async def test_a_hostile_tree_changes_no_number(harness: str, place: Path) -> None:
    golden_home(harness, place / "golden")
    clean = await scanned(place / "clean", harness, place / "golden" / "home")
    golden_home(harness, place / "hostile")
    make_hostile(place / "hostile" / "home")
    started = monotonic()
    hostile = await scanned(place / "dirty", harness, place / "hostile" / "home")
    assert clean.totals()["events"] + clean.totals()["messages"] > 0
    assert figures(hostile) == figures(clean)
    again = await hostile.scan()
    assert (again.inserted, again.restated) == (0, 0)
    assert monotonic() - started < SLOWEST_SECONDS

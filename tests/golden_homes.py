"""The golden data of each harness as a home on the disk, for tests that go over all harnesses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backports import zstd

import antigravity_files
import cursor_files
import opencode_store
from databases import GOLDEN, write

# Where a database lies whose tables are the golden data.
_DATABASES = {
    "crush": ".crush/crush.db",
    "forge": ".forge/.forge.db",
    "goose": ".local/share/goose/sessions/sessions.db",
    "hermes": ".hermes/state.db",
    "piebald": ".local/share/piebald/app.db",
    "warp": ".local/state/warp-terminal/warp.sqlite",
    "zed": ".local/share/zed/threads/threads.db",
}


def golden_home(harness: str, target: Path) -> Path:
    """A home, or whatever else `--root` takes, made below `target`, with the golden data of that harness."""
    root = target / "home"
    golden = GOLDEN / harness
    for name in ("home", "root"):
        if (golden / name).is_dir():
            shutil.copytree(golden / name, root)
            return root
    maker = _MAKERS.get(harness)
    if maker is not None:
        maker(root, harness)
    elif (golden / "tables.json").is_file():
        write(root / _DATABASES[harness], _read(golden / "tables.json"))
    else:
        shutil.copytree(golden, root)
    return root


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _zed(root: Path, harness: str) -> None:
    rows = _read(GOLDEN / harness / "threads.json")
    for row in rows:
        data = json.dumps(row["data"]).encode()
        row["data"] = zstd.compress(data) if row["data_type"] == "zstd" else data
    write(root / _DATABASES[harness], {"threads": rows})


def _opencode(root: Path, harness: str) -> None:
    opencode_store.database(root / f".local/share/{harness}/{harness}.db", *_read(GOLDEN / harness / "sessions.json"))


_MAKERS: dict[str, Callable[[Path, str], object]] = {
    "antigravity": lambda root, harness: antigravity_files.golden_home(root),
    "cursor": lambda root, harness: cursor_files.golden_home(root),
    "kilo": _opencode,
    "opencode": _opencode,
    "zed": _zed,
}

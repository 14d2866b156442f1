"""The file in which Crush remembers its projects."""

from pathlib import Path
from typing import Any

import msgspec

from trueup_agent.harnesses.values import text

REGISTRY = "projects.json"
_MAX_PATH = 4096

_decode = msgspec.json.Decoder().decode


def entries(raw: bytes | None) -> list[tuple[Path, Path]]:
    """(project, its database). A half-written or foreign file names none."""
    try:
        decoded = _decode(raw or b"null")
    except (msgspec.DecodeError, ValueError, RecursionError):
        return []
    listed: Any = decoded.get("projects") if isinstance(decoded, dict) else decoded
    found = []
    for entry in listed if isinstance(listed, list) else []:
        project = text(entry.get("path"), _MAX_PATH) if isinstance(entry, dict) else None
        if project is not None and "\x00" not in project:
            folder = text(entry.get("data_dir"), _MAX_PATH) or ".crush"  # relative to the project, or absolute
            found.append((Path(project), Path(project) / folder / "crush.db"))
    return found

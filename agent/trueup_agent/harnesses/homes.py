"""Base folders of a user's data, as programs of each platform find them. Variables that are not absolute are ignored,
as their specification says."""

from collections.abc import Mapping
from pathlib import Path


def xdg_data(home: Path, environ: Mapping[str, str]) -> Path:
    return _named(environ, "XDG_DATA_HOME") or home / ".local" / "share"


def xdg_state(home: Path, environ: Mapping[str, str]) -> Path:
    return _named(environ, "XDG_STATE_HOME") or home / ".local" / "state"


def application_support(home: Path) -> Path:
    return home / "Library" / "Application Support"


def app_data(home: Path, environ: Mapping[str, str]) -> Path:
    """Windows: what roams with the user."""
    return _named(environ, "APPDATA") or home / "AppData" / "Roaming"


def local_app_data(home: Path, environ: Mapping[str, str]) -> Path:
    """Windows: what stays on the machine."""
    return _named(environ, "LOCALAPPDATA") or home / "AppData" / "Local"


def expanded(value: str | None, home: Path) -> Path | None:
    """The path that a variable holds, where it is set: a leading `~` is the home of the user whose variable it is."""
    if not value:
        return None
    return home / value[1:].lstrip("/\\") if value[0] == "~" else Path(value)


def _named(environ: Mapping[str, str], variable: str) -> Path | None:
    value = environ.get(variable)
    return Path(value) if value and Path(value).is_absolute() else None

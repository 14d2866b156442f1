"""What both sides ask this machine, and must be told alike."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo


def is_timezone(name: str) -> bool:
    """Is it a name of the IANA list."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not found, not a name, a folder of zones
        return False
    return True


def timezone(environ: Mapping[str, str]) -> str:
    """IANA name of the machine's zone. Where only an offset can be found, the zone of that offset; else UTC."""
    names = [environ.get("TZ", "").removeprefix(":")]
    link = Path("/etc/localtime")
    if link.is_symlink():
        names.append(str(link.resolve()).partition("zoneinfo/")[2])
    for name in names:
        if name and is_timezone(name):
            return "UTC" if name == "Etc/UTC" else name
    offset = datetime.now().astimezone().utcoffset()
    hours, rest = divmod(int(offset.total_seconds()) if offset else 0, 3600)
    return f"Etc/GMT{-hours:+d}" if hours and not rest else "UTC"

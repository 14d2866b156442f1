"""The line that `trueup usage statusline` prints beneath a prompt: always one, always at once, never an error."""

import os
import select
import sys
import time
from typing import Any

import msgspec

from trueup_shared.cli import Globals
from trueup_shared.settings import default_data_dir
from trueup_shared.terminal import printable

_WAIT_SECONDS = 0.2  # for whoever holds stdin open without saying anything
_MOST_BYTES = 1 << 20
_LONGEST = 100


def statusline_text(given: Globals, timezone: str | None, as_json: bool) -> str:
    """Whatever goes wrong is said in the line: a prompt must not fail for its counters."""
    try:
        return _text(given, timezone, as_json)
    except Exception as error:
        said = " ".join(str(getattr(error, "message", "") or error).split()) or type(error).__name__
        return f"trueup: {printable(said)}"[:_LONGEST]


def _text(given: Globals, timezone: str | None, as_json: bool) -> str:
    from trueup_agent import errors
    from trueup_agent.ledger import LedgerReader
    from trueup_agent.reports import statusline
    from trueup_shared import machine

    told = _told()
    zone = timezone or machine.timezone(os.environ)
    if not machine.is_timezone(zone):
        return f"trueup: {printable(zone)} is not a time zone"
    try:
        with LedgerReader((given.data_dir or default_data_dir()).expanduser()) as reader:
            reader.snapshot()
            line = statusline.read_line(reader, statusline.session_of(told), zone, time.time_ns() // 1000)
    except errors.LedgerMissing:
        return "trueup: nothing read yet"
    if as_json:
        from trueup_agent.reports.documents import totals

        parts = {"session": line.session, "today": line.today, "block": line.block}
        found: dict[str, Any] = {name: sums and totals(sums) for name, sums in parts.items()}
        seconds = None if line.block_left is None else line.block_left // 1_000_000
        return msgspec.json.encode(found | {"block_seconds_left": seconds}).decode()
    return statusline.in_words(line)


def _told() -> Any:
    """What Claude Code says on stdin, as far as it came; None where nobody says anything."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return None
    try:
        descriptor = sys.stdin.fileno()
    except (OSError, ValueError):
        return None
    content, deadline = b"", time.monotonic() + _WAIT_SECONDS
    while len(content) < _MOST_BYTES:
        if os.name != "nt" and not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            break
        part = os.read(descriptor, 1 << 16)
        if not part:
            break
        content += part
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return None

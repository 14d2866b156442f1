"""What reports can be divided by, and what each is in the ledger."""

from trueup_shared.times import SLOT_MICROS

HOUR_MICROS = 3_600_000_000

_SLOT = f"at / {SLOT_MICROS}"
COLUMNS = {
    "harness": "harness",
    "provider": "provider",
    "model": "model",
    "project": "project_path",
    "day": _SLOT,
    "week": _SLOT,
    "month": _SLOT,
    "session": "session_key",
}
DIMENSIONS = tuple(COLUMNS)
# Of reports of their own: windows of five hours, and sessions that are not told apart by what harnesses call them.
COLUMNS |= {"block": f"at / {HOUR_MICROS}", "session_key": "session_key"}
TIMES = ("day", "week", "month", "block")

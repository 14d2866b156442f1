"""An idle daemon is small: after a large pass it hands back what that took."""

import ctypes
import sys

from trueup_agent.ledger import Ledger


async def give_back_memory(ledger: Ledger) -> None:
    """Empty SQLite's page cache, then let glibc return the holes of its heap; both fill again when they are needed."""
    await ledger.shrink()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)

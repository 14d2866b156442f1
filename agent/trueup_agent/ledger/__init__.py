"""The ledger: the agent's SQLite database, the authoritative source (design section 4).

Names are loaded when they are asked for: parser processes use the rows, and reports the reader, without asyncio.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trueup_agent.ledger.outbox import BatchRows
    from trueup_agent.ledger.reader import LedgerReader
    from trueup_agent.ledger.sources import SourceInfo
    from trueup_agent.ledger.store import Head, Ledger
    from trueup_agent.ledger.updates import SourceUpdate
    from trueup_agent.ledger.writing import WriteCounts

__all__ = ["BatchRows", "Head", "Ledger", "LedgerReader", "SourceInfo", "SourceUpdate", "WriteCounts"]

_MODULES = {
    "BatchRows": "outbox",
    "Head": "store",
    "Ledger": "store",
    "LedgerReader": "reader",
    "SourceInfo": "sources",
    "SourceUpdate": "updates",
    "WriteCounts": "writing",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

"""The ledger: the agent's SQLite database, the authoritative source (design section 4)."""

from trueup_agent.ledger.outbox import BatchRows
from trueup_agent.ledger.reader import LedgerReader
from trueup_agent.ledger.sources import SourceInfo, SourceUpdate
from trueup_agent.ledger.store import Head, Ledger
from trueup_agent.ledger.writing import WriteCounts

__all__ = ["BatchRows", "Head", "Ledger", "LedgerReader", "SourceInfo", "SourceUpdate", "WriteCounts"]

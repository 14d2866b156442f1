"""Reports from the ledger alone, for the terminal: query > sums > document or table."""

from trueup_agent.reports.query import DIMENSIONS, Report, Selection, make_report

__all__ = ["DIMENSIONS", "Report", "Selection", "make_report"]

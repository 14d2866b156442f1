"""Reports from the ledger alone, for the terminal: query > sums > document or table."""

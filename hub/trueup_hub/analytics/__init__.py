"""Analytics: one module per endpoint, each with the Struct that it answers with. All count the same rollup rows."""

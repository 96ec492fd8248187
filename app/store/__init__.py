"""The ledger: letters, deliveries, attempts, workers. Knows no mail and no web."""

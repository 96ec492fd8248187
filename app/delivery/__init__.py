"""Where the ledger and the mail meet: what is due is claimed, carried and settled."""

"""Cases of missing persons: who may search, what was found and decided, and the ledger of all of it."""

"""One kind of I/O: the chain. Transport, keys, transactions, logs, and a local chain for tests."""

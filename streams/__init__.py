"""The log: subjects, stores, consumers, snapshots, feed, connectors. The only package that knows NATS."""

"""One way to talk to two databases: transactions with set-based primitives, on PostgreSQL and on SQLite."""

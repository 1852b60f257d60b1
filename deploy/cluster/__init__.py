"""`make cluster`: one operating-system process for each service, on a real Kafka and PostgreSQL from packages."""

"""Real PostgreSQL and Kafka servers from packages, without Docker: for tests, benchmarks and `make cluster`.

Nothing here is needed to run the service.
"""

from deploy.servers.databases import create_database, drop_database
from deploy.servers.kafka import KafkaServer
from deploy.servers.postgres import PostgresServer
from deploy.servers.processes import ServerError

__all__ = ["KafkaServer", "PostgresServer", "ServerError", "create_database", "drop_database"]

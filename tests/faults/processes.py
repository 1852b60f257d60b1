"""The services as operating-system processes that can be killed, stopped in their tracks and started again."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.servers.guard import Order
from deploy.servers.processes import GuardedProcess

_ROOT = Path(__file__).resolve().parents[2]
_STOP_SECONDS = 20.0


def service_command(service: str) -> list[str]:
    """What runs `jornada <service>`, in the tree that this file is part of."""
    return [sys.executable, "-m", "services.cli.main", service]


@dataclass
class ServiceProcess:
    """One process of a service. Its guard ends it when we die; its log is appended over restarts."""

    service: str
    name: str
    log_path: Path
    environment: Mapping[str, str]
    starts: int = 0
    ended_alone: int = 0
    suspended: bool = False
    _run: GuardedProcess | None = field(default=None, repr=False)

    @property
    def running(self) -> bool:
        """Whether it is there; a stopped one is."""
        return self._run is not None and self._run.running

    @property
    def pid(self) -> int:
        """Of the process that runs, or ran last; 0 before the first start."""
        return self._run.pid if self._run else 0

    @property
    def owner(self) -> str:
        """How an engine signs the partitions that it claims."""
        return f"{socket.gethostname()}:{self.pid}"

    def start(self) -> None:
        """Start it; what it needs to be ready is its own business."""
        if self._run is not None:
            self._run.wait(0)
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        self._run = GuardedProcess(
            Order(
                command=["/usr/bin/env", "-i", f"PATH={os.environ.get('PATH', '')}", *variables, *self._command()],
                log_path=str(self.log_path),
                working_dir=str(_ROOT),
                user_id=None,
                group_id=None,
                keeps_folder_access=False,
                orphan_signal=signal.SIGKILL.value,
                orphan_grace_seconds=1.0,
                remove_when_orphaned=None,
            )
        )
        self.starts += 1
        self.suspended = False

    def kill(self) -> None:
        """SIGKILL: nothing is finished, nothing is flushed."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that does not end."""
        if self.suspended:
            self.resume()
        self._end(signal.SIGTERM)

    def suspend(self) -> None:
        """SIGSTOP: it holds all that it had, and does not know that time goes by."""
        self._send(signal.SIGSTOP)
        self.suspended = True

    def resume(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)
        self.suspended = False

    def _command(self) -> list[str]:
        return service_command(self.service)

    def _send(self, number: signal.Signals) -> None:
        if self._run is not None:
            self._run.send(number)

    def _end(self, number: signal.Signals) -> None:
        if self._run is not None:
            self._run.end(number, _STOP_SECONDS)

"""One service as a process of its own, which cannot outlive us: see `deploy.servers.guard`."""

from __future__ import annotations

import json
import signal
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from deploy.servers.guard import Order
from deploy.servers.ports import LOOPBACK
from deploy.servers.processes import GuardedProcess, ServerError
from shared.settings import PREFIX

PROJECT_ROOT = Path(__file__).resolve().parents[2]
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.1
_LOG_LINES = 15


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """What to run: `label` names it to people, `command` to the `jornada` command line."""

    label: str
    command: str
    port: int
    settings: dict[str, str]

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{LOOPBACK}:{self.port}"


class ServiceProcess:
    """A service that runs; its settings are in a file that only we can read, since they hold a password."""

    def __init__(self, plan: ServicePlan, folder: Path) -> None:
        """Starts it at once. Raises ServerError."""
        self.plan = plan
        self.log_path = folder / f"{plan.label}.log"
        settings_path = folder / f"{plan.label}.env"
        settings_path.touch(mode=0o600)
        lines = [f"{PREFIX}{name.upper()}={value}\n" for name, value in plan.settings.items()]
        settings_path.write_text("".join(lines), encoding="utf-8")
        self._process = GuardedProcess(_order(plan, settings_path, self.log_path))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """False once it has ended."""
        return self._process.running

    def wait_ready(self, timeout_seconds: float) -> None:
        """Wait until /readyz says yes. Raises ServerError with what it said last, or with the end of its log."""
        deadline = time.monotonic() + timeout_seconds
        while (problem := self._problem()) is not None:
            if not self.running:
                raise ServerError(
                    f"{self.plan.label} ended while starting. The end of {self.log_path}:\n{self._tail()}"
                )
            if time.monotonic() > deadline:
                raise ServerError(f"{self.plan.label} was not ready within {timeout_seconds:g} s: {problem}")
            time.sleep(_POLL_SECONDS)

    def ask_to_stop(self) -> None:
        """SIGTERM; returns at once."""
        self._process.send(signal.SIGTERM)

    def wait_stopped(self) -> int:
        """Wait for its end, killing it when that takes too long; gives the exit code."""
        return self._process.wait(_STOP_SECONDS)

    def _problem(self) -> str | None:
        try:
            with urllib.request.urlopen(f"{self.plan.url}/readyz", timeout=4):
                return None
        except urllib.error.HTTPError as error:
            checks = json.loads(error.read())["checks"]
            return "; ".join(f"{one['name']}: {one['detail']}" for one in checks if not one["ok"])
        except OSError as error:
            return str(error)

    def _tail(self) -> str:
        return "\n".join(self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:])


def _order(plan: ServicePlan, settings_path: Path, log_path: Path) -> Order:
    return Order(
        # `env` becomes the service itself, so that signals reach it.
        command=[
            "env",
            f"{PREFIX}SETTINGS={settings_path}",
            f"PYTHONPATH={PROJECT_ROOT}",
            sys.executable,
            "-m",
            "services.cli.main",
            plan.command,
        ],
        log_path=str(log_path),
        working_dir=str(Path.cwd()),
        user_id=None,
        group_id=None,
        keeps_folder_access=False,
        orphan_signal=signal.SIGTERM.value,
        orphan_grace_seconds=5.0,
        remove_when_orphaned=None,
    )

"""What both servers have in common: start, stop, kill, restart, and never leaving anything behind."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.servers.guard import Order
from deploy.servers.processes import GuardedProcess, ServerError

_POLL_SECONDS = 0.02


class Server(ABC):
    """A server process on loopback. Not thread-safe; may be used from any thread, one at a time."""

    name: str
    stop_signal: signal.Signals
    """Ends the server in order."""
    orphan_signal: signal.Signals
    """Ends the server fast when its owner has died."""
    start_timeout_seconds: float = 60.0
    stop_timeout_seconds: float = 30.0

    def __init__(self, data_dir: Path | None = None) -> None:
        """Prepares a server; `start` runs it.

        Args:
            data_dir: kept after the end, and taken up again if it has data. None for a temporary folder that `close`
                removes.
        """
        self._temporary = data_dir is None
        self.data_dir = (
            Path(tempfile.mkdtemp(prefix=f"jornada-{self.name.lower()}-")) if data_dir is None else data_dir.resolve()
        )
        self._process: GuardedProcess | None = None
        atexit.register(self.close)

    @property
    def log_path(self) -> Path:
        """What the server prints, appended over restarts."""
        return self.data_dir / "server.log"

    @property
    def pid(self) -> int:
        """Process id of the server.

        Raises:
            ServerError: it is not running.
        """
        if self._process is None or not self._process.running:
            raise ServerError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there; `wait_ready` tells whether it answers."""
        return self._process is not None and self._process.running

    def start(self) -> Self:
        """Starts the server and waits until it answers. Does nothing if it runs.

        Raises:
            ServerError: it did not come up; the message has the end of its log.
        """
        if not self.running:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            self._prepare()
            self._process = GuardedProcess(self._order())
        try:
            self.wait_ready(self.start_timeout_seconds)
        except BaseException:
            # Ctrl-C included: a server that nobody waits for must not go on.
            self.kill()
            raise
        return self

    def wait_ready(self, timeout_seconds: float) -> None:
        """Waits until the server answers requests.

        Raises:
            ServerError: it ended, or the time is over; the message has the end of its log.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self._answers():
            if not self.running:
                raise ServerError(self._with_log(f"{self.name} ended while starting"))
            if time.monotonic() > deadline:
                raise ServerError(self._with_log(f"{self.name} did not answer within {timeout_seconds:g} s"))
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Ends the server in order and keeps its data. Does nothing if it does not run."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """Ends the server with SIGKILL and keeps its data, as a crash would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stops the server if it runs and starts it again: same address, same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Ends the server and removes its data if they were temporary. The object is of no use afterwards."""
        atexit.unregister(self.close)
        self.stop()
        if self._temporary:
            shutil.rmtree(self.data_dir, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _prepare(self) -> None:
        """Makes the data folder ready for the program."""

    @abstractmethod
    def _command(self) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether the server answers requests now."""

    def _run_as(self) -> tuple[int, int] | None:
        """User and group to run as; None for our own."""
        return None

    def _keeps_folder_access(self) -> bool:
        """Whether that user needs help to reach the program or the data."""
        return False

    def _order(self) -> Order:
        run_as = self._run_as()
        return Order(
            command=self._command(),
            log_path=str(self.log_path),
            working_dir=str(self.data_dir),
            user_id=run_as[0] if run_as else None,
            group_id=run_as[1] if run_as else None,
            keeps_folder_access=self._keeps_folder_access(),
            orphan_signal=self.orphan_signal.value,
            orphan_grace_seconds=5.0,
            remove_when_orphaned=str(self.data_dir) if self._temporary else None,
        )

    def _end(self, signal_number: signal.Signals) -> None:
        if self._process is not None:
            self._process.end(signal_number, self.stop_timeout_seconds)
            self._process = None

    def _with_log(self, problem: str) -> str:
        text = ""
        with contextlib.suppress(OSError):
            text = self.log_path.read_text(encoding="utf-8", errors="replace")
        tail = os.linesep.join(text.splitlines()[-15:])
        return f"{problem}. The end of {self.log_path}:\n{tail}"

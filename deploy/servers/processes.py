"""A child process that cannot outlive us: see `guard`, which runs between this process and the server."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

from deploy.servers.guard import Order

_GUARD = Path(__file__).with_name("guard.py")


class ServerError(RuntimeError):
    """A server did not start, or ended by itself; the message says what to do."""


class GuardedProcess:
    """One run of a server, from its start to its end."""

    def __init__(self, order: Order) -> None:
        """Starts it at once.

        Raises:
            ServerError: the program could not be run at all.
        """
        # A session of its own, so that Ctrl-C at the terminal reaches us and not the server: we stop it in order.
        # -I and -S: it must start fast and take nothing from the environment.
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARD), json.dumps(dataclasses.asdict(order))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._guard.stdout is not None
        line = self._guard.stdout.readline()
        if not line.strip():
            _, reason = self._guard.communicate()
            raise ServerError(f"could not run {order.command[0]}: {reason.strip().splitlines()[-1:]}")
        self.pid = int(line)
        """The server's own process id."""

    @property
    def running(self) -> bool:
        """False once the server has ended and been reaped."""
        return self._guard.poll() is None

    def send(self, signal_number: signal.Signals) -> None:
        """Passes a signal to the server; nothing happens if it has ended.

        By way of the guard, whose child it is: a process id can then never mean somebody else's process.
        """
        assert self._guard.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._guard.stdin.write(f"{signal_number.value}\n")
            self._guard.stdin.flush()

    def wait(self, timeout_seconds: float) -> int:
        """Waits for the server to end by itself and returns its exit code; kills it when the time is over."""
        try:
            code = self._guard.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            code = self._guard.wait()
        self._close_pipes()
        return code

    def end(self, signal_number: signal.Signals, timeout_seconds: float) -> None:
        """Sends a signal that ends the server, waits, and kills it when the time is over."""
        self.send(signal_number)
        self.wait(timeout_seconds)

    def _close_pipes(self) -> None:
        for pipe in (self._guard.stdin, self._guard.stdout, self._guard.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

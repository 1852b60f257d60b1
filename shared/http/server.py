"""Runs a process: its HTTP server and the loop of each of its services, from start to an orderly end.

Stopping: no new connections, requests under way are answered, then the services finish what they hold. A service whose
loop ends by itself, raises, or is no longer alive ends the whole process: whoever supervises it starts a fresh one.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import uvicorn
from fastapi import FastAPI

from shared.errors import Permanent
from shared.service import Service
from shared.settings import Settings
from shared.telemetry.logging import logger

_log = logger(__name__)
_WATCH_SECONDS: Final = 1.0
_BACKLOG: Final = 2048


class ServiceFailed(Exception):
    """A service ended although nobody asked it to; the message says which and why."""


class _HttpServer(uvicorn.Server):
    """uvicorn without its signal handling, telling when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class Process:
    """One HTTP server with its services. `start`, then `failure` or a signal, then `stop`."""

    def __init__(self, app: FastAPI, services: Sequence[Service], settings: Settings) -> None:
        self._settings = settings
        self._services = services
        self._server = _HttpServer(_config(app, settings))
        self._stopping = asyncio.Event()
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._http: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Listen and start the services; gives the address. Raises Permanent when the port is taken."""
        listener = _listen(self._settings)
        host, port = listener.getsockname()[:2]
        self._http = asyncio.create_task(self._server.serve([listener]))
        await self._server.listening.wait()
        self._tasks = {asyncio.create_task(one.run(self._stopping)): one.name for one in self._services}
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        _log.info("serving", address=address, services=", ".join(one.name for one in self._services))
        return address

    async def failure(self) -> str:
        """Returns when the process can't go on, with why."""
        while True:
            ended, _ = await asyncio.wait(self._tasks, timeout=_WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                return self._ended(task)
            for one in self._services:
                if not one.alive():
                    return f"{one.name} is stuck or dead"

    async def stop(self) -> bool:
        """End in order within the configured time; False when something had to be cut off."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.stop_timeout_seconds
        if self._http is not None:
            self._server.should_exit = True
            await asyncio.wait({self._http}, timeout=self._settings.stop_timeout_seconds)
        self._stopping.set()
        waiting = {task for task in (*self._tasks, self._http) if task is not None and not task.done()}
        if waiting:
            _, waiting = await asyncio.wait(waiting, timeout=max(0.1, deadline - loop.time()))
        for task in waiting:
            _log.error("cut off while stopping", task=self._tasks.get(task, "http"))
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return not waiting

    def _ended(self, task: asyncio.Task[None]) -> str:
        name = self._tasks[task]
        error = None if task.cancelled() else task.exception()
        if error is None:
            return f"{name} ended by itself"
        _log.error("a service failed", service=name, exc_info=error)
        return f"{name} failed: {error}"


@asynccontextmanager
async def running(app: FastAPI, services: Sequence[Service], settings: Settings) -> AsyncIterator[str]:
    """Serve inside this process (tests, demo) for as long as the block lasts; gives the address, `http://host:port`.

    Raises ServiceFailed at the end when a service failed meanwhile.
    """
    process = Process(app, services, settings)
    address = await process.start()
    failing = asyncio.create_task(process.failure())
    try:
        yield address
    finally:
        reason = failing.result() if failing.done() else None
        failing.cancel()
        await process.stop()
    if reason is not None:
        raise ServiceFailed(reason)


async def serve(
    app: FastAPI, services: Sequence[Service], settings: Settings, announce: Callable[[str], None] | None = None
) -> int:
    """Serve until SIGTERM or SIGINT, or until a service fails. Gives the exit code: 0, or 1 after a failure.

    `announce` is told the address once it listens.
    """
    process = Process(app, services, settings)
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    address = await process.start()
    if announce is not None:
        announce(address)
    failing = asyncio.create_task(process.failure())
    asking = asyncio.create_task(asked.wait())
    await asyncio.wait({failing, asking}, return_when=asyncio.FIRST_COMPLETED)
    reason = failing.result() if failing.done() else None
    _log.info("stopping") if reason is None else _log.error("ending the process", reason=reason)
    for task in (failing, asking):
        task.cancel()
    in_order = await process.stop()
    return 0 if reason is None and in_order else 1


def run_process(main: Coroutine[object, object, int]) -> int:
    """Run a process's main coroutine on the fastest event loop there is; gives its exit code."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # no wheel for this platform
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, int(settings.stop_timeout_seconds / 2)),
    )


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET
    try:
        return socket.create_server((settings.http_host, settings.http_port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Permanent(
            f"can't listen on {settings.http_host}:{settings.http_port} ({error.strerror or error}); "
            "end what holds the port, or set JORNADA_HTTP_PORT (0 takes a free one)"
        ) from None

"""Runs a process: its HTTP server and the loop of each of its services, from start to an orderly end.

Stopping: no new connections, requests under way are answered, then the services finish what they hold. A service whose
loop ends by itself, raises, or is no longer alive ends the whole process: whoever supervises it starts a fresh one.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence, Set
from contextlib import asynccontextmanager
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from shared.errors import Permanent
from shared.service import Service
from shared.settings import Settings
from shared.telemetry.logging import logger

_log = logger(__name__)
_WATCH_SECONDS: Final = 1.0
_BACKLOG: Final = 2048
_READY_SECONDS: Final = 5.0
"""How long the announcement waits for services to be ready: a start that must fail mostly does so by then."""
_POLL_SECONDS: Final = 0.05
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""What to dial on this machine for an address that only means "all of them"."""
Announce = Callable[[str], Awaitable[None]]
_COLLECT_AFTER = 30_000
"""Objects made and not gone, after which the young ones are looked through for cycles."""


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

    def __init__(
        self, app: FastAPI, services: Sequence[Service], settings: Settings, listener: socket.socket | None = None
    ) -> None:
        """`listener` comes from `listen`, where the address had to be known before the services; it is ours then."""
        self._settings = settings
        self._listener = listener
        self._refusal: Permanent | None = None
        self._services = services
        self._server = _HttpServer(_config(app, settings))
        self._stopping = asyncio.Event()
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._http: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Listen and start the services; gives the address. Raises Permanent when the port is taken."""
        listener = self._listener or listen(self._settings)
        self._http = asyncio.create_task(self._server.serve([listener]))
        await self._server.listening.wait()
        self._tasks = {asyncio.create_task(one.run(self._stopping)): one.name for one in self._services}
        address = address_of(listener)
        _log.info("serving", address=address, services=", ".join(one.name for one in self._services))
        return address

    async def ready(self) -> bool:
        """Whether all that the services depend on answers, and they have begun their work."""
        checks = await asyncio.gather(*(one.checks() for one in self._services))
        return all(check.ok for found in checks for check in found)

    @property
    def refusal(self) -> Permanent | None:
        """What a person has to change, when that is why a service ended."""
        return self._refusal

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
        self._refusal = _refusal(error)
        if self._refusal is None:
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
    app: FastAPI,
    services: Sequence[Service],
    settings: Settings,
    announce: Announce | None = None,
    listener: socket.socket | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, or until a service fails. Gives the exit code: 0, or 1 after a failure.

    `announce` is told the address once it listens and the services are ready, or have had their time to get so.
    Raises Permanent, after an orderly stop, when a service ended because somebody has to change something.
    """
    process = Process(app, services, settings, listener)
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    address = await process.start()
    failing = asyncio.create_task(process.failure())
    asking = asyncio.create_task(asked.wait())
    ending = {failing, asking}
    try:
        if announce is not None and await _settled(process, ending):
            await announce(address)
        await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
        reason = failing.result() if failing.done() else None
        _log.info("stopping") if reason is None else _log.error("ending the process", reason=reason)
    finally:
        for task in ending:
            task.cancel()
        in_order = await process.stop()
    if process.refusal is not None:
        raise process.refusal
    return 0 if reason is None and in_order else 1


async def _settled(process: Process, ending: Set[asyncio.Task[Any]]) -> bool:
    """Waits until the services are ready, for some seconds at most; False when the process ends meanwhile."""
    deadline = asyncio.get_running_loop().time() + _READY_SECONDS
    while asyncio.get_running_loop().time() < deadline and not await process.ready():
        done, _ = await asyncio.wait(ending, timeout=_POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if done:
            return False
    return not any(task.done() for task in ending)


def _refusal(error: BaseException) -> Permanent | None:
    """The Permanent that ended a service, also out of a group of tasks that it ended with."""
    if isinstance(error, Permanent):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    found = [_refusal(inner) for inner in error.exceptions]
    return None if None in found else found[0]


def run_process(main: Coroutine[object, object, int]) -> int:
    """Run a process's main coroutine on the fastest event loop there is; gives its exit code."""
    # A batch makes tens of thousands of objects that all go soon by themselves; looking through them for cycles every
    # 700 of them costs more than the work. What is loaded by now stays for good.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 10, 100)
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


def listen(settings: Settings) -> socket.socket:
    """A socket that listens where the settings say. Raises Permanent when the port is taken."""
    family = socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET
    try:
        return socket.create_server((settings.http_host, settings.http_port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Permanent(
            f"can't listen on {settings.http_host}:{settings.http_port} ({error.strerror or error}); "
            "end what holds the port, or set JORNADA_HTTP_PORT (0 takes a free one)"
        ) from None


def address_of(listener: socket.socket) -> str:
    """Where somebody on this machine reaches it: `http://host:port`, with the port that it really has."""
    host, port = listener.getsockname()[:2]
    return url_for(host, port)


def url_for(host: str, port: int | str) -> str:
    """`http://host:port` that this machine can dial for an address to listen on."""
    dialled = _EVERY_ADDRESS.get(host, host)
    return f"http://[{dialled}]:{port}" if ":" in dialled else f"http://{dialled}:{port}"

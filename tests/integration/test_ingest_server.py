"""The process around services: starts, tells the truth about itself, and ends in order or with a failure."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from shared.db.port import Database
from shared.errors import Permanent, Transient
from shared.http.app import create_app
from shared.http.server import Process, ServiceFailed, running, serve
from shared.service import Check, Resources
from shared.settings import Settings
from shared.telemetry.logging import configure_logging
from tests.fakes_log import FakeLog
from tests.integration.ingest_process import open_database, sqlite_url

_SETTINGS = Settings(http_port=0, stop_timeout_seconds=2)


class Worker:
    """A service whose end and health the test decides."""

    name = "worker"

    def __init__(self) -> None:
        self.healthy = True
        self.error: Exception | None = None
        self.may_end = asyncio.Event()
        self.started = asyncio.Event()
        self.finished = False
        self.check = Check("thing", True)
        self.in_request = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.extra_routers: list[APIRouter] = []

    def routers(self) -> Sequence[APIRouter]:
        router = APIRouter()

        async def slow() -> str:
            self.in_request.set()
            await self.may_answer.wait()
            assert not self.finished
            return "done"

        async def broken() -> None:
            raise RuntimeError("the secret inside")

        router.add_api_route("/slow", slow)
        router.add_api_route("/broken", broken)
        return [router, *self.extra_routers]

    async def run(self, stopping: asyncio.Event) -> None:
        self.started.set()
        waits = [asyncio.create_task(event.wait()) for event in (stopping, self.may_end)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if self.error is not None:
            raise self.error
        self.finished = True

    async def checks(self) -> Sequence[Check]:
        return [self.check]

    def alive(self) -> bool:
        return self.healthy


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(sqlite_url(tmp_path)) as opened:
        yield opened


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def app(worker: Worker, database: Database) -> FastAPI:
    configure_logging(_SETTINGS)
    return create_app([worker], Resources(_SETTINGS, database, FakeLog()))


def client(address: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=address, trust_env=False)


async def test_health_tells_the_truth(worker: Worker, app: FastAPI) -> None:
    async with running(app, [worker], _SETTINGS) as address, client(address) as asking:
        assert (await asking.get("/readyz")).json()["ready"] is True
        worker.check = Check("thing", False, "plug it in")
        ready = await asking.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"] == [{"name": "worker: thing", "ok": False, "detail": "plug it in"}]
        assert (await asking.get("/livez")).status_code == 200


async def test_unexpected_error_is_a_problem_without_internals(worker: Worker, app: FastAPI) -> None:
    async with running(app, [worker], _SETTINGS) as address, client(address) as asking:
        answer = await asking.get("/broken")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text


async def test_end_of_a_service_is_told(worker: Worker, app: FastAPI) -> None:
    process = Process(app, [worker], _SETTINGS)
    await process.start()
    worker.may_end.set()
    assert await process.failure() == "worker ended by itself"
    assert await process.stop()


async def test_failing_service_fails_the_block(worker: Worker, app: FastAPI) -> None:
    worker.error = ValueError("no more")
    serving = running(app, [worker], _SETTINGS)
    address = await serving.__aenter__()
    worker.may_end.set()
    async with client(address) as asking:
        await asking.get("/livez")
    with pytest.raises(ServiceFailed, match="worker failed: no more"):
        await serving.__aexit__(None, None, None)


async def test_failing_service_ends_the_process_with_code_1(worker: Worker, app: FastAPI) -> None:
    worker.error = ValueError("no more")
    worker.may_end.set()
    assert await serve(app, [worker], _SETTINGS) == 1


@pytest.mark.parametrize("grouped", [False, True])
async def test_what_somebody_must_change_ends_the_process_with_its_message_and_no_traceback(
    worker: Worker, app: FastAPI, grouped: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(_SETTINGS)
    refusal = Permanent("mend the file")
    worker.error = ExceptionGroup("tasks", [refusal]) if grouped else refusal
    worker.check = Check("thing", False, "starting")
    worker.may_end.set()
    announced: list[str] = []

    async def announce(address: str) -> None:
        announced.append(address)

    with pytest.raises(Permanent, match="mend the file"):
        await serve(app, [worker], _SETTINGS, announce)
    assert announced == []
    assert "Traceback" not in capsys.readouterr().err


async def test_an_address_is_announced_once_services_are_ready(worker: Worker, app: FastAPI) -> None:
    worker.check = Check("thing", False, "starting")
    announced: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def announce(address: str) -> None:
        announced.set_result(address)

    serving = asyncio.create_task(serve(app, [worker], _SETTINGS, announce))
    await worker.started.wait()
    assert not announced.done()
    worker.check = Check("thing", True)
    async with client(await announced) as asking:
        assert (await asking.get("/livez")).status_code == 200
    os.kill(os.getpid(), signal.SIGTERM)
    assert await serving == 0


async def test_an_announcement_that_fails_ends_the_process_in_order(worker: Worker, app: FastAPI) -> None:
    async def announce(_address: str) -> None:
        raise Transient("the database is away")

    with pytest.raises(Transient):
        await serve(app, [worker], _SETTINGS, announce)
    assert worker.finished


@pytest.mark.parametrize(("host", "dialled"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")])
async def test_the_address_given_can_be_dialled(worker: Worker, app: FastAPI, host: str, dialled: str) -> None:
    async with running(app, [worker], Settings(http_host=host, http_port=0)) as address, client(address) as asking:
        assert address.startswith(f"http://{dialled}:")
        assert not address.endswith(":0")
        assert (await asking.get("/livez")).status_code == 200


async def test_stuck_service_ends_the_process_with_code_1(worker: Worker, app: FastAPI) -> None:
    worker.healthy = False
    assert await serve(app, [worker], _SETTINGS) == 1
    assert worker.finished


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_ends_the_process_in_order(worker: Worker, app: FastAPI, number: int) -> None:
    serving = asyncio.create_task(serve(app, [worker], _SETTINGS))
    await worker.started.wait()
    os.kill(os.getpid(), number)
    assert await serving == 0
    assert worker.finished


async def test_requests_under_way_are_answered_before_services_stop(worker: Worker, app: FastAPI) -> None:
    process = Process(app, [worker], _SETTINGS)
    address = await process.start()
    async with client(address) as asking:
        request = asyncio.create_task(asking.get("/slow"))
        await worker.in_request.wait()
        stopping = asyncio.create_task(process.stop())
        await asyncio.wait({stopping}, timeout=0.3)
        assert not worker.finished
        worker.may_answer.set()
        assert (await request).status_code == 200
    assert await stopping
    assert worker.finished


async def test_stop_is_bounded_even_when_a_request_never_ends(worker: Worker, app: FastAPI) -> None:
    process = Process(app, [worker], _SETTINGS)
    address = await process.start()
    async with client(address) as asking:
        request = asyncio.create_task(asking.get("/slow"))
        await worker.in_request.wait()
        async with asyncio.timeout(_SETTINGS.stop_timeout_seconds + 1):
            await process.stop()
        await asyncio.wait({request})
        assert request.exception() is not None or request.result().status_code == 500
    assert worker.finished


async def test_taken_port_is_told_with_advice(worker: Worker, app: FastAPI) -> None:
    async with running(app, [worker], _SETTINGS) as address:
        taken = Settings(http_port=int(address.rsplit(":", 1)[1]))
        with pytest.raises(Permanent, match="JORNADA_HTTP_PORT"):
            await Process(app, [worker], taken).start()


class _Body(BaseModel):
    name: str


async def test_declared_bodies_are_refused_at_start(worker: Worker, database: Database) -> None:
    async def post(body: _Body) -> None:
        raise NotImplementedError(body)

    router = APIRouter()
    router.add_api_route("/things", post, methods=["POST"])
    worker.extra_routers = [router]
    with pytest.raises(Permanent, match="read_model"):
        create_app([worker], Resources(_SETTINGS, database, FakeLog()))

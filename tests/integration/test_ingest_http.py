"""POST /v1/events over a real socket: who may, what is answered, and what the log is given."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from services.ingest.publish import MAX_IN_FLIGHT
from shared.contracts.cloudevent import decode
from shared.contracts.topics import Topic
from shared.log.port import LogRefused, LogUnavailable, Message
from shared.telemetry.tracing import parse
from tests.fakes_log import FakeLog
from tests.integration.ingest_process import PURCHASE, Shop, open_database, open_shop, sqlite_url

_SIGNUP: dict[str, Any] = {"id": "s-1", "type": "signup", "customer_id": "c-42", "data": {}}


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture
async def shop(tmp_path: Path, log: FakeLog) -> AsyncIterator[Shop]:
    async with open_database(sqlite_url(tmp_path)) as database, open_shop(database, log) as opened:
        yield opened


def appended(log: FakeLog) -> list[Message]:
    assert all(topic == Topic.EVENTS for topic, _ in log.only_producer.appended)
    return [message for _, message in log.only_producer.appended]


async def talk(address: str, *parts: bytes) -> bytes:
    """Send raw bytes and read the head of the answer: for requests that no client would make."""
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(15):
            return await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()


# --- one event


async def test_event_is_answered_once_the_log_has_it(shop: Shop, log: FakeLog) -> None:
    answer = await shop.post(PURCHASE)
    assert (answer.status_code, answer.json()) == (202, {"id": "order-1001-paid", "status": "accepted"})
    (message,) = appended(log)
    assert message.key == b"acme:c-42"
    assert message.value is not None
    event = decode(message.value)
    assert (event.id, event.type, event.subject, event.tenant, event.data) == (
        "order-1001-paid", "purchase", "c-42", "acme", PURCHASE["data"],
    )  # fmt: skip


async def test_no_answer_before_the_log_has_it(shop: Shop, log: FakeLog) -> None:
    log.only_producer.gate.clear()
    posting = asyncio.create_task(shop.post(PURCHASE))
    await log.only_producer.until_waiting(1)
    done, _ = await asyncio.wait({posting}, timeout=0.2)
    assert not done
    log.only_producer.gate.set()
    assert (await posting).status_code == 202


async def test_undeclared_type_is_taken_with_a_warning(shop: Shop) -> None:
    answer = await shop.post({**_SIGNUP, "type": "signupp"})
    assert answer.status_code == 202
    assert 'did you mean "signup"?' in answer.json()["warnings"][0]


async def test_refusal_is_a_problem_with_pointer_and_advice(shop: Shop, log: FakeLog) -> None:
    answer = await shop.post({**PURCHASE, "data": {**PURCHASE["data"], "ammount": "1"}})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    problem = answer.json()
    assert (problem["status"], problem["reason"], problem["id"]) == (422, "invalid_payload", "order-1001-paid")
    assert problem["type"].startswith("urn:jornada:problem:")
    assert problem["errors"][0]["pointer"] == "/data/ammount"
    assert 'did you mean "amount"?' in problem["errors"][0]["advice"]
    assert appended(log) == []


@pytest.mark.parametrize("event_type", ["purchase", "purchase_refunded"])
async def test_orders_without_an_id_are_refused(shop: Shop, log: FakeLog, event_type: str) -> None:
    item = {name: value for name, value in PURCHASE.items() if name != "id"}
    answer = await shop.post({**item, "type": event_type})
    assert (answer.status_code, answer.json()["reason"]) == (422, "id_needed")
    assert appended(log) == []


async def test_left_out_id_is_made_and_told(shop: Shop, log: FakeLog) -> None:
    item = {name: value for name, value in _SIGNUP.items() if name != "id"}
    told = [(await shop.post(item)).json()["id"] for _ in range(2)]
    assert told[0] != told[1]
    assert [decode(message.value or b"").id for message in appended(log)] == told


_BAD_BODIES: list[tuple[bytes, int]] = [
    (b"", 400),
    (b"   ", 400),
    (b"{", 400),
    (b"[", 400),
    (b"[]", 400),
    (b"\xff\xfe", 400),
    (b"\xef\xbb\xbf{}", 400),
    (b"[" * 900_000, 400),
    (b'{"a":' * 150_000, 413),
    (b'{"data":' * 30_000, 422),
    (b"null", 422),
    (b"[null]", 422),
    (json.dumps({**_SIGNUP, "type": "custom", "data": {"x": "x" * 300_000}}).encode(), 413),
]


async def test_bad_bodies_are_problems(shop: Shop, log: FakeLog) -> None:
    for body, status in _BAD_BODIES:
        answer = await shop.client.post("/v1/events", content=body)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), body[:80]
    assert appended(log) == []


# --- batches


async def test_good_items_of_a_batch_are_kept_and_bad_ones_say_why(shop: Shop, log: FakeLog) -> None:
    answer = await shop.post([PURCHASE, {**PURCHASE, "id": "2", "data": {"amount": "1"}}, _SIGNUP])
    assert answer.status_code == 207
    told = answer.json()
    assert (told["accepted"], told["refused"]) == (2, 1)
    assert [(item["index"], item["status"]) for item in told["items"]] == [
        (0, "accepted"),
        (1, "refused"),
        (2, "accepted"),
    ]
    assert told["items"][1]["id"] == "2"
    assert {error["pointer"] for error in told["items"][1]["errors"]} == {"/1/data/order_id", "/1/data/currency"}
    assert [decode(message.value or b"").id for message in appended(log)] == ["order-1001-paid", "s-1"]


async def test_whole_good_batch_is_202_and_whole_bad_one_422(shop: Shop, log: FakeLog) -> None:
    good = await shop.post([PURCHASE, _SIGNUP])
    assert (good.status_code, good.json()["refused"]) == (202, 0)
    bad = await shop.post([7, {}])
    assert (bad.status_code, bad.headers["content-type"]) == (422, "application/problem+json")
    assert [item["status"] for item in bad.json()["items"]] == ["refused", "refused"]
    assert len(appended(log)) == 2


async def test_backfill_in_a_batch_needs_its_scope(shop: Shop, log: FakeLog) -> None:
    items = [_SIGNUP, {**PURCHASE, "mode": "backfill"}]
    mixed = await shop.post(items)
    assert (mixed.status_code, mixed.json()["items"][1]["reason"]) == (207, "missing_scope")
    alone = await shop.post(items[1])
    assert (alone.status_code, "events:backfill" in alone.text) == (403, True)
    importer = await shop.key("events:write", "events:backfill")
    assert (await shop.post(items[1], headers=importer)).status_code == 202
    assert decode(appended(log)[-1].value or b"").mode == "backfill"


# --- who may


async def test_tenant_comes_from_the_key_alone(shop: Shop, log: FakeLog) -> None:
    rival = await shop.key("events:write", tenant="rival")
    await shop.post({**_SIGNUP, "customer_id": "acme:c-42"}, headers=rival)
    assert appended(log)[0].key == b"rival:acme:c-42"
    assert (await shop.post({**_SIGNUP, "tenant": "acme"}, headers=rival)).status_code == 422


@pytest.mark.parametrize("header", [None, "Bearer nonsense", f"Bearer jrn_{'0' * 16}.{'A' * 43}", "Basic YTpi"])
async def test_without_a_good_key_401(shop: Shop, log: FakeLog, header: str | None) -> None:
    async with httpx2.AsyncClient(base_url=shop.address, trust_env=False) as stranger:
        headers = {"Authorization": header} if header else {}
        answer = await stranger.post("/v1/events", json=PURCHASE, headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert appended(log) == []


async def test_wrong_secret_of_a_known_key_is_401(shop: Shop) -> None:
    good = (await shop.key("events:write"))["Authorization"]
    wrong = good[:-1] + ("A" if good[-1] != "A" else "E")
    assert (await shop.post(PURCHASE, headers={"Authorization": wrong})).status_code == 401


async def test_missing_scope_is_403_and_named(shop: Shop, log: FakeLog) -> None:
    reader = await shop.key("customers:read", "events:backfill")
    answer = await shop.post(PURCHASE, headers=reader)
    assert (answer.status_code, "events:write" in answer.json()["detail"]) == (403, True)
    assert appended(log) == []


async def test_admin_may_write(shop: Shop) -> None:
    assert (await shop.post(PURCHASE, headers=await shop.key("admin"))).status_code == 202


async def test_revoked_key_stops_working_within_two_seconds(shop: Shop) -> None:
    headers = await shop.key("events:write")
    assert (await shop.post(PURCHASE, headers=headers)).status_code == 202
    key_id = headers["Authorization"].split("_")[1].split(".")[0]
    await shop.keys.revoke(key_id)
    revoked = time.monotonic()
    while (await shop.post(PURCHASE, headers=headers)).status_code == 202:
        assert time.monotonic() - revoked < 2
    assert (await shop.post(PURCHASE, headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("path", "method", "authorization", "status"),
    [("/v1/events", "POST", "Bearer wrong", 401), ("/v1/nothing", "POST", "", 404), ("/v1/events", "PUT", "", 405)],
)
async def test_who_may_not_is_told_before_the_body_is_sent(
    shop: Shop, path: str, method: str, authorization: str, status: int
) -> None:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Length: 1000\r\n\r\n"
    answered = await talk(shop.address, head.encode())
    assert answered.startswith(f"HTTP/1.1 {status} ".encode())


# --- limits


async def test_announced_length_beyond_the_limit_is_refused_at_once(shop: Shop) -> None:
    key = shop.client.headers["authorization"]
    head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Length: 1048577\r\n\r\n"
    assert (await talk(shop.address, head.encode())).startswith(b"HTTP/1.1 413 ")


async def test_chunked_body_is_counted_while_it_arrives(shop: Shop, log: FakeLog) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 4 * 1024 * 1024:
            sent += 65536
            yield b" " * 65536

    answer = await shop.client.post("/v1/events", content=endless())
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:jornada:problem:too-large"
    assert appended(log) == []


async def test_client_that_never_stops_sending_is_cut_off(shop: Shop) -> None:
    place = urlsplit(shop.address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    key = shop.client.headers["authorization"]
    writer.write(
        f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Length: 999999999\r\n\r\n".encode()
    )
    assert (await reader.read(12)) == b"HTTP/1.1 413"
    sent = 0
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(15):
            while sent < 500 * 1024 * 1024:
                writer.write(b" " * 1024 * 1024)
                await writer.drain()
                sent += 1024 * 1024
    writer.close()
    assert sent < 100 * 1024 * 1024


async def test_body_of_exactly_one_mebibyte_is_read(shop: Shop) -> None:
    event = json.dumps(PURCHASE).encode()
    body = b"[" + event + b" " * (1024 * 1024 - len(event) - 2) + b"]"
    assert (await shop.client.post("/v1/events", content=body)).status_code == 202


async def test_compressed_body_is_refused_with_advice(shop: Shop) -> None:
    answer = await shop.client.post("/v1/events", content=b"x", headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["status"]) == (415, 415)


# --- the log misbehaves


@pytest.mark.parametrize("deaf", [False, True])
async def test_slow_log_is_503_in_time_and_never_a_false_202(tmp_path: Path, log: FakeLog, deaf: bool) -> None:
    log.only_producer.deaf_to_cancellation = deaf
    async with (
        open_database(sqlite_url(tmp_path)) as database,
        open_shop(database, log, append_timeout_seconds=0.5) as shop,
    ):
        log.only_producer.gate.clear()
        started = time.monotonic()
        answers = await asyncio.gather(*(shop.post({**PURCHASE, "id": str(n)}) for n in range(5)))
        assert {answer.status_code for answer in answers} == {503}
        assert time.monotonic() - started < 1.5
        assert int(answers[0].headers["retry-after"]) >= 1
        log.only_producer.gate.set()
        assert (await shop.post(PURCHASE)).status_code == 202


def test_default_time_out_leaves_six_seconds_for_the_whole_answer() -> None:
    from shared.auth.authenticator import LOOKUP_SECONDS
    from shared.settings import Settings

    assert Settings().append_timeout_seconds + LOOKUP_SECONDS <= 6


async def test_failing_log_is_503_for_the_whole_batch(shop: Shop, log: FakeLog) -> None:
    log.only_producer.error = LogUnavailable("away")
    answer = await shop.post([PURCHASE, {**PURCHASE, "id": "2"}])
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    log.only_producer.error = None
    assert (await shop.post([PURCHASE])).status_code == 202


async def test_log_away_at_start_is_503_until_it_is_back(tmp_path: Path, log: FakeLog) -> None:
    log.away = True
    async with open_database(sqlite_url(tmp_path)) as database, open_shop(database, log) as shop:
        assert (await shop.post(PURCHASE)).status_code == 503
        ready = await shop.client.get("/readyz")
        assert (ready.status_code, (await shop.client.get("/livez")).status_code) == (503, 200)
        failing = [check for check in ready.json()["checks"] if not check["ok"]]
        assert [check["name"] for check in failing] == ["ingest: log"]
        assert "JORNADA_KAFKA_BOOTSTRAP" in failing[0]["detail"]
        log.away = False
        assert (await shop.post(PURCHASE)).status_code == 202
        assert (await shop.client.get("/readyz")).status_code == 200


async def test_too_much_in_flight_is_503_at_once(shop: Shop, log: FakeLog) -> None:
    log.only_producer.gate.clear()
    batch = [{**_SIGNUP, "id": str(n)} for n in range(500)]
    full = MAX_IN_FLIGHT // 500
    waiting = [asyncio.create_task(shop.post(batch)) for _ in range(full)]
    await log.only_producer.until_waiting(full)
    started = time.monotonic()
    assert (await shop.post(PURCHASE)).status_code == 503
    assert time.monotonic() - started < 1
    log.only_producer.gate.set()
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {202}
    assert (await shop.post(PURCHASE)).status_code == 202


async def test_refusing_log_is_500_without_internals(shop: Shop, log: FakeLog) -> None:
    log.only_producer.error = LogRefused("secret-topic is not authorised")
    answer = await shop.post(PURCHASE)
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret-topic" not in answer.text
    assert shop.ingest.alive()


async def test_broken_producer_is_503_and_wants_a_new_process(shop: Shop, log: FakeLog) -> None:
    log.only_producer.error = LogRefused("out of order")
    log.broken = True
    assert (await shop.post(PURCHASE)).status_code == 503
    assert not shop.ingest.alive()
    assert (await shop.client.get("/livez")).status_code == 503


# --- traces, metrics, documentation


@pytest.fixture
def traceparent() -> str:
    return "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_trace_is_carried_to_the_record(shop: Shop, log: FakeLog, traceparent: str) -> None:
    await shop.post(PURCHASE, headers={"traceparent": traceparent})
    headers = dict(appended(log)[0].headers)
    carried = parse(headers["traceparent"].decode())
    assert carried is not None
    assert carried.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert (headers["type"], headers["content-type"]) == (b"purchase", b"application/cloudevents+json; charset=utf-8")


async def test_request_without_a_valid_trace_starts_one(shop: Shop, log: FakeLog) -> None:
    for header in ("nonsense", "00-" + "0" * 32 + "-00f067aa0ba902b7-01"):
        await shop.post([PURCHASE, _SIGNUP], headers={"traceparent": header})
    traces = [parse(dict(message.headers)["traceparent"].decode()) for message in appended(log)]
    assert len({trace.trace_id for trace in traces if trace}) == 2
    assert len(traces) == 4


async def test_metrics_count_what_happened(shop: Shop) -> None:
    async def counted(sample: str) -> float:
        lines = (await shop.client.get("/metrics")).text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(sample))

    accepted = await counted('jornada_events_accepted_total{mode="live"}')
    refused = await counted('jornada_events_refused_total{reason="invalid_payload"}')
    await shop.post([PURCHASE, _SIGNUP, {**PURCHASE, "data": {}}])
    assert await counted('jornada_events_accepted_total{mode="live"}') == accepted + 2
    assert await counted('jornada_events_refused_total{reason="invalid_payload"}') == refused + 1
    assert await counted("jornada_log_append_seconds_count") >= 1


async def test_documentation_lists_the_payloads_and_loads_nothing_from_elsewhere(shop: Shop) -> None:
    api = (await shop.client.get("/openapi.json")).json()
    content = api["paths"]["/v1/events"]["post"]["requestBody"]["content"]["application/json"]
    payloads = content["schema"]["oneOf"][0]["properties"]["data"]["anyOf"]
    assert len(payloads) == 13
    assert "$ref" not in json.dumps(content)
    assert api["components"]["securitySchemes"]["api_key"]["scheme"] == "bearer"
    page = (await shop.client.get("/docs")).text
    assert "openapi.json" in page
    assert "://" not in page
    for example in content["examples"].values():
        assert (await shop.post(example["value"], headers=await shop.key("admin"))).status_code == 202


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/v1/events", 405)])
async def test_wrong_paths_and_methods_are_problems(shop: Shop, method: str, path: str, status: int) -> None:
    answer = await shop.client.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")

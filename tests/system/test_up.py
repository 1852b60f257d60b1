"""`jornada up`: from nothing to an answered event, beside other commands, and down again without a trace."""

from __future__ import annotations

import email
import email.policy
import re
import signal
import socket
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from services.stage_engine.definitions.definition import SHIPPED
from tests.conftest import wait_until
from tests.system.commands import JORNADA, ended_by, finished, read_until, running

CARE = SHIPPED / "customer_care.yaml"
PURCHASE = {
    "id": "order-1001-paid",
    "type": "purchase",
    "customer_id": "c-42",
    "data": {"order_id": "1001", "amount": "129.90", "currency": "BRL"},
}


def url_and_key(banner: str) -> tuple[str, str]:
    url = re.search(r"Jornada is up at (\S+)", banner)
    key = re.search(r"jrn_[0-9a-f]{16}\.\S{43}", banner)
    assert url, banner
    assert key, banner
    return url[1], key[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_taken_survives_a_stop_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with running([*JORNADA, "up"], tmp_path, http_port="0") as process:
        url, key = url_and_key(read_until(process, "Ctrl-C"))
        headers = {"Authorization": f"Bearer {key}"}
        posted = httpx2.post(f"{url}/v1/events", json=PURCHASE, headers=headers, trust_env=False)
        assert posted.status_code == 202
        assert ended_by(process, number) == 0, (tmp_path / "stderr.txt").read_text()
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=2):
        pass
    with running([*JORNADA, "up"], tmp_path, http_port="0") as process:
        banner = read_until(process, "Ctrl-C")
        assert "there is one already" in banner
        again = re.search(r"Jornada is up at (\S+)", banner)
        assert again

        def is_applied() -> bool:
            answer = httpx2.get(f"{again[1]}/v1/customers/c-42", headers=headers, trust_env=False)
            return answer.status_code == 200 and answer.json()["facts"]["orders"] == 1

        wait_until(is_applied, 20, what="the purchase posted before the stop")
        assert ended_by(process, number) == 0


def test_an_id_of_any_characters_can_be_read_where_it_was_posted(tmp_path: Path) -> None:
    """On one port for all services, so that no route of one takes what is meant for another's."""
    odd = ["a", "a/stage-changes", "a/deliveries", "a%2Fdeliveries", "50% off?", "São João #1/2"]
    data = {"name": "Ana", "email": "ana@example.com", "consent": {"email": True}}
    with running([*JORNADA, "up"], tmp_path, http_port="0") as process:
        url, key = url_and_key(read_until(process, "Ctrl-C"))
        with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False) as client:
            events = [{"type": "signup", "customer_id": one, "data": data} for one in odd]
            assert client.post("/v1/events", json=events).status_code == 202

            def answers(below: str = "") -> list[httpx2.Response]:
                return [client.get(f"/v1/customers/{quote(one, safe='')}{below}") for one in odd]

            wait_until(lambda: all(one.status_code == 200 for one in answers()), 20, what="all sign-ups")
            assert [one.json()["customer_id"] for one in answers()] == odd
            assert [one.json()["customer_id"] for one in answers("/stage-changes")] == odd
            wait_until(
                lambda: all(one.json()["deliveries"] for one in answers("/deliveries")), 20, what="a welcome for each"
            )
            planned = [one.json()["deliveries"] for one in answers("/deliveries")]
            assert [{each["customer_id"] for each in found} for found in planned] == [{one} for one in odd]
            assert client.get("/v1/customers/a/stage-changes").json()["customer_id"] == "a"
        assert ended_by(process, signal.SIGTERM) == 0


def test_a_key_made_beside_a_running_service_works_at_once_and_ends_when_revoked(tmp_path: Path) -> None:
    with running([*JORNADA, "up"], tmp_path, http_port="0") as process:
        url, _ = url_and_key(read_until(process, "Ctrl-C"))
        made = finished(
            [*JORNADA, "keys", "create", "--tenant", "shop", "--scope", "events:write"], tmp_path, timeout_seconds=60
        )
        assert made.returncode == 0, made.stderr
        headers = {"Authorization": f"Bearer {made.stdout.split()[0]}"}

        def status() -> int:
            return httpx2.post(f"{url}/v1/events", json=PURCHASE, headers=headers, trust_env=False).status_code

        assert status() == 202
        identity = made.stdout.split()[0][4:20]
        assert finished([*JORNADA, "keys", "revoke", identity], tmp_path, timeout_seconds=60).returncode == 0
        wait_until(lambda: status() == 401, what="the revoked key to end")


def test_a_port_that_is_taken_is_one_clear_message(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = finished([*JORNADA, "up"], tmp_path, timeout_seconds=60, http_port=port)
    assert result.returncode == 1
    assert "JORNADA_HTTP_PORT" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_start_that_fails_neither_makes_a_key_nor_says_that_it_is_up(tmp_path: Path) -> None:
    care = tmp_path / "care.yaml"
    care.write_text(CARE.read_text())
    chosen = {"lifecycles": f"ecommerce,{care}", "http_port": "0"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = finished([*JORNADA, "up"], tmp_path, timeout_seconds=60, **chosen | {"http_port": port})
        assert refused.returncode == 1
    with running([*JORNADA, "up"], tmp_path, **chosen) as process:
        url_and_key(read_until(process, "Ctrl-C"))
        assert ended_by(process, signal.SIGTERM) == 0
    assert "alembic" not in (tmp_path / "stderr.txt").read_text()
    care.write_text(CARE.read_text() + "# changed\n")
    changed = finished([*JORNADA, "up"], tmp_path, timeout_seconds=60, **chosen)
    assert changed.returncode == 1
    assert "error: " in changed.stderr
    assert "restore the file" in changed.stderr
    assert "Traceback" not in changed.stderr
    assert "is up" not in changed.stdout
    listed = finished([*JORNADA, "keys", "list"], tmp_path, timeout_seconds=60, **chosen)
    assert listed.stdout.count("made by jornada up") == 1, listed.stdout


def test_links_lead_to_the_port_that_was_free_also_when_all_addresses_are_listened_on(tmp_path: Path) -> None:
    with running([*JORNADA, "up"], tmp_path, http_port="0", http_host="0.0.0.0") as process:
        url, key = url_and_key(read_until(process, "Ctrl-C"))
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d+", url)
        event = {
            "type": "signup",
            "customer_id": "c-42",
            "data": {"name": "Ana", "email": "ana@example.com", "consent": {"email": True}},
        }
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx2.post(f"{url}/v1/events", json=event, headers=headers, trust_env=False).status_code == 202
        outbox = tmp_path / ".run" / "outbox"
        wait_until(lambda: any(outbox.glob("*.eml")), 20, what="the welcome")
        (letter,) = outbox.glob("*.eml")
        read = email.message_from_bytes(letter.read_bytes(), policy=email.policy.default)
        assert read["List-Unsubscribe"].startswith(f"<{url}/v1/unsubscribe/")
        assert ended_by(process, signal.SIGTERM) == 0


def test_a_repaired_dead_letter_is_applied_once(tmp_path: Path) -> None:
    """A record that the engine can't read goes to dead letters; its repair is applied, and again is a duplicate."""
    with running([*JORNADA, "up"], tmp_path, http_port="0") as process:
        url, key = url_and_key(read_until(process, "Ctrl-C"))
        headers = {"Authorization": f"Bearer {key}"}
        finished(["-c", APPEND_BROKEN], tmp_path, timeout_seconds=60)

        def letters() -> str:
            return finished([*JORNADA, "dead-letters", "list"], tmp_path, timeout_seconds=60).stdout

        wait_until(lambda: "invalid_payload" in letters(), 30, what="the broken record among the dead letters")
        found = re.search(r"\d+-\d+", letters())
        assert found
        refused = finished([*JORNADA, "dead-letters", "replay", found[0]], tmp_path, timeout_seconds=60)
        assert refused.returncode == 1
        raw = finished([*JORNADA, "dead-letters", "show", found[0], "--raw"], tmp_path, timeout_seconds=60).stdout
        (tmp_path / "repaired.json").write_text(raw.replace("129.901", "129.90"))
        replay = [*JORNADA, "dead-letters", "replay", found[0], "--file", "repaired.json"]
        for _ in range(2):
            done = finished(replay, tmp_path, timeout_seconds=60)
            assert done.returncode == 0, done.stderr

        def orders() -> int | None:
            answer = httpx2.get(f"{url}/v1/customers/c-42", headers=headers, trust_env=False)
            return int(answer.json()["facts"]["orders"]) if answer.status_code == 200 else None

        wait_until(lambda: orders() is not None, 20, what="the repaired event")
        # Behind both replays in the customer's partition, so that once it is applied they are, too.
        other = PURCHASE | {"id": "order-1002-paid", "data": {"order_id": "1002", "amount": "1", "currency": "BRL"}}
        assert httpx2.post(f"{url}/v1/events", json=other, headers=headers, trust_env=False).status_code == 202
        wait_until(lambda: orders() != 1, 20, what="the event behind the replays")
        assert orders() == 2


APPEND_BROKEN = """
import asyncio
from shared.contracts.cloudevent import Posted, encode_posted, headers, record_key
from shared.contracts.times import now_ms
from shared.contracts.topics import Topic
from shared.db.connect import connect
from shared.log.port import Message
from shared.log.sql import SqlLog

async def main():
    database = connect("sqlite+aiosqlite:///.run/jornada.db")
    log = SqlLog(database, 5)
    data = b'{"order_id":"1001","amount":"129.901","currency":"BRL"}'
    value = encode_posted(Posted("demo", "c-42", "order-1001-paid", "purchase", now_ms(), data))
    producer = await log.producer()
    await producer.append(Topic.EVENTS, [Message(record_key("demo", "c-42"), value, headers("purchase", None))])
    await log.close()
    await database.close()

asyncio.run(main())
"""

"""A person puts a customer into a stage, and the campaign of that stage writes to them: all services on one port."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2

from deploy.servers.ports import free_port
from shared.settings import load
from tests.integration.notifier.receivers import mail_server, until
from tests.system.test_whole_flow import jornada

PROFILE = {"name": "Ana", "email": "ana@shop.example", "locale": "en", "consent": {"email": True}}
MOVE = {"to": "loyal", "expected_stage": "lead", "reason": "a friend of the house", "author": "Eva", "id": "case-7"}


async def test_the_campaign_of_a_stage_fires_for_who_was_put_there_by_hand(tmp_path: Path) -> None:
    port = free_port()
    async with mail_server() as mails:
        settings = load(
            database_url=f"sqlite+aiosqlite:///{tmp_path}/jornada.db",
            partitions=1,
            http_port=port,
            public_url=f"http://127.0.0.1:{port}",
            delivery="live",
            smtp_url=mails.url,
            outbox_dir=tmp_path / "outbox",
        )
        async with jornada(settings) as client:
            await _post(client, "/v1/events", {"id": "s1", "type": "signup", "customer_id": "c-1", "data": PROFILE})
            await until(lambda: len(mails.messages) == 1, "the welcome", 30)
            await _post(client, "/v1/customers/c-1/move", MOVE)
            await until(lambda: len(mails.messages) == 2, "the invitation to those who are loyal", 30)
            told = (await client.get("/v1/customers/c-1/deliveries?limit=1")).json()["deliveries"][0]
            assert told["campaign"] == "loyalty-invitation"
            moved = (await client.get("/v1/customers/c-1/moves/case-7")).json()
            assert (moved["status"], moved["to"]) == ("applied", "loyal")
            await _post(client, "/v1/customers/c-1/move", MOVE)
            refused = await client.post("/v1/events", json={"type": "jornada.manual_move", "customer_id": "c-1"})
            assert refused.status_code == 422


async def _post(client: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> None:
    answer = await client.post(path, json=body)
    assert answer.status_code == 202, answer.text

"""The demo's webhook receiver: takes what is signed with its secret, and nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import httpx2
from standardwebhooks import Webhook

from services.cli.demo.receiver import receiving

SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSB0ZXN0cw=="
BODY = json.dumps({"type": "customer.stage_changed", "data": {"customer_id": "ana"}})


def signed(secret: str) -> dict[str, str]:
    now = datetime.now(tz=UTC)
    signature = Webhook(secret).sign("dlv_1", now, BODY)
    return {"webhook-id": "dlv_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}


def test_a_webhook_signed_with_the_secret_is_verified() -> None:
    with receiving() as receiver:
        receiver.secret = SECRET
        assert httpx2.post(receiver.url, content=BODY, headers=signed(SECRET), trust_env=False).status_code == 204
    assert [one.id for one in receiver.verified] == ["dlv_1"]
    assert receiver.verified[0].payload["data"] == {"customer_id": "ana"}


def test_one_signed_otherwise_or_changed_on_the_way_is_refused() -> None:
    with receiving() as receiver:
        receiver.secret = SECRET
        foreign = signed("whsec_" + "c29tZWJvZHkgZWxzZSdzIHNlY3JldA==")
        assert httpx2.post(receiver.url, content=BODY, headers=foreign, trust_env=False).status_code == 401
        changed = BODY.replace("ana", "eva")
        assert httpx2.post(receiver.url, content=changed, headers=signed(SECRET), trust_env=False).status_code == 401
    assert (receiver.verified, receiver.refused) == ([], 2)

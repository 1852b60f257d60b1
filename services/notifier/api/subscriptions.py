"""Subscriptions: make, look at, ping, rotate, enable and delete webhook endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import uuid_utils
from fastapi import APIRouter, Depends, Request, Response

from services.notifier.api.reading import Cursor, Desk, Limit, not_found
from services.notifier.api.subscription_bodies import PageOut, PingOut, SecretOut, SubscriptionIn, SubscriptionOut
from services.notifier.channels.webhook import is_allowed_url, ping_envelope
from services.notifier.store import subscriptions
from services.notifier.store.subscriptions import Listed, new_secret
from shared.auth.dependency import require
from shared.auth.scopes import Caller, Scope
from shared.contracts.field_errors import FieldError, pointer
from shared.http.body import read_model
from shared.http.described import json_body
from shared.http.problems import INVALID, Problem

Writer = Annotated[Caller, Depends(require(Scope.CAMPAIGNS_WRITE))]


def router(desk: Desk) -> APIRouter:
    """The routes."""
    at = _Subscriptions(desk)
    routes = APIRouter(prefix="/v1/subscriptions", tags=["webhooks"])
    routes.post("", status_code=201, openapi_extra={"requestBody": json_body(SubscriptionIn)})(at.create)
    routes.get("")(at.list_all)
    routes.get("/{subscription_id}")(at.get)
    routes.delete("/{subscription_id}", status_code=204)(at.remove)
    routes.post("/{subscription_id}/ping")(at.ping)
    routes.post("/{subscription_id}/enable")(at.enable)
    routes.post("/{subscription_id}/rotate-secret")(at.rotate)
    return routes


@dataclass(frozen=True, slots=True)
class _Subscriptions:
    """What each route does. A caller finds its own tenant's subscriptions and no other."""

    desk: Desk

    async def create(self, request: Request, caller: Writer) -> SecretOut:
        """Subscribe an endpoint; the answer holds its secret, this once."""
        given = await read_model(request, SubscriptionIn)
        self._check_url(given.url)
        subscription = given.build(caller.tenant)
        now_ms = self.desk.clock()
        async with self.desk.database.transaction() as tx:
            await subscriptions.add(tx, subscription, now_ms)
        return SecretOut.showing(Listed(subscription, "", now_ms), subscription.secrets[0])

    async def list_all(self, caller: Writer, limit: Limit = 50, cursor: Cursor = "") -> PageOut:
        """The tenant's endpoints."""
        async with self.desk.database.reading() as tx:
            found = await subscriptions.page(tx, caller.tenant, cursor, limit + 1, self.desk.clock())
        shown = [SubscriptionOut.of(one) for one in found[:limit]]
        return PageOut(subscriptions=shown, next=shown[-1].id if len(found) > limit else None)

    async def get(self, subscription_id: str, caller: Writer) -> SubscriptionOut:
        """One endpoint."""
        return SubscriptionOut.of(await self._find(caller, subscription_id))

    async def remove(self, subscription_id: str, caller: Writer) -> Response:
        """Delete an endpoint; what waits for it is cancelled."""
        await self._find(caller, subscription_id)
        await self.desk.cancelling.delete(subscription_id)
        return Response(status_code=204)

    async def ping(self, subscription_id: str, caller: Writer) -> PingOut:
        """Post a signed `webhook.ping` now, once, and say what came of it."""
        listed = await self._find(caller, subscription_id)
        envelope = ping_envelope(f"ping_{uuid_utils.uuid7().hex}", self.desk.clock())
        made = await self.desk.webhooks.attempt(listed.subscription, envelope)
        return PingOut(ok=made.ok, status_code=made.status_code, duration_ms=made.duration_ms, error=made.error)

    async def enable(self, subscription_id: str, caller: Writer) -> SubscriptionOut:
        """Send again to a paused or disabled endpoint, its backlog first."""
        await self._find(caller, subscription_id)
        async with self.desk.database.transaction() as tx:
            await subscriptions.enable(tx, subscription_id, self.desk.clock())
            tx.after_commit(self.desk.wake)
        return SubscriptionOut.of(await self._find(caller, subscription_id))

    async def rotate(self, subscription_id: str, caller: Writer) -> SecretOut:
        """Make a new secret; for a day the old one signs too."""
        await self._find(caller, subscription_id)
        secret = new_secret()
        async with self.desk.database.transaction() as tx:
            await subscriptions.rotate(tx, subscription_id, secret, self.desk.clock())
        return SecretOut.showing(await self._find(caller, subscription_id), secret)

    async def _find(self, caller: Caller, subscription_id: str) -> Listed:
        async with self.desk.database.reading() as tx:
            found = await subscriptions.find(tx, caller.tenant, subscription_id, self.desk.clock())
        if found is None:
            raise not_found("subscription", subscription_id)
        return found

    def _check_url(self, url: str) -> None:
        if wrong := is_allowed_url(url, allow_private=self.desk.allow_private):
            advice = "write a public address like https://shop.example/hooks"
            raise Problem(INVALID, "the endpoint's URL can't be used", [FieldError(pointer("url"), wrong, advice)])

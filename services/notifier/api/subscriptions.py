"""Subscriptions: make, look at, ping, rotate, enable and delete webhook endpoints."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import uuid_utils
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.notifier.api.reading import Cursor, Desk, Limit, not_found
from services.notifier.channels.webhook import is_allowed_url, ping_envelope
from services.notifier.domain.subscription import Filters, Subscription, SubscriptionStatus
from services.notifier.store import subscriptions
from services.notifier.store.subscriptions import Listed, new_secret
from shared.auth.dependency import require
from shared.auth.scopes import Caller, Scope
from shared.contracts.field_errors import FieldError, pointer
from shared.contracts.times import to_text
from shared.http.body import read_model
from shared.http.problems import INVALID, Problem

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")]
Names = Annotated[list[Name], Field(max_length=100)]
Writer = Annotated[Caller, Depends(require(Scope.CAMPAIGNS_WRITE))]


class FiltersIn(BaseModel):
    """Which stage changes; what is left out or empty means any."""

    model_config = ConfigDict(extra="forbid", strict=True)

    lifecycles: Names = []
    from_stages: Names = []
    to_stages: Names = []
    transitions: Names = []
    types: list[Literal["customer.stage_changed"]] = ["customer.stage_changed"]

    def build(self) -> Filters:
        """The domain's filters."""
        sets = (self.lifecycles, self.from_stages, self.to_stages, self.transitions)
        return Filters(*(frozenset(one) for one in sets))


class SubscriptionIn(BaseModel):
    """A new endpoint."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    filters: FiltersIn = FiltersIn()
    include_customer: bool = False
    include_backfill: bool = False
    transit: bool = False


class SubscriptionOut(BaseModel):
    """An endpoint as it stands. `status` is active, paused (backlog kept) or disabled."""

    id: str
    url: str
    filters: dict[str, list[str]]
    include_customer: bool
    include_backfill: bool
    transit: bool
    status: str
    status_detail: str
    failing_since: str | None
    created_at: str


class SecretOut(SubscriptionOut):
    """An endpoint with its secret: shown now and never again."""

    secret: str


class PageOut(BaseModel):
    """Some subscriptions; `next` is set while there are more."""

    subscriptions: list[SubscriptionOut]
    next: str | None


class PingOut(BaseModel):
    """What came of a ping."""

    ok: bool
    status_code: int | None
    duration_ms: int
    error: str


def router(desk: Desk) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/subscriptions", tags=["webhooks"])

    @routes.post("", status_code=201, response_model=SecretOut, openapi_extra={"requestBody": _body(SubscriptionIn)})
    async def create(request: Request, caller: Writer) -> SecretOut:
        """Subscribe an endpoint; the answer holds its secret, this once."""
        given = await read_model(request, SubscriptionIn)
        _check_url(given.url, desk)
        subscription = _new(given, caller.tenant)
        now_ms = desk.clock()
        async with desk.database.transaction() as tx:
            await subscriptions.add(tx, subscription, now_ms)
        listed = Listed(subscription, "", now_ms)
        return SecretOut(**_fields(listed), secret=subscription.secrets[0])

    @routes.get("", response_model=PageOut)
    async def list_all(caller: Writer, limit: Limit = 50, cursor: Cursor = "") -> PageOut:
        """The tenant's endpoints."""
        async with desk.database.reading() as tx:
            found = await subscriptions.page(tx, caller.tenant, cursor, limit + 1, desk.clock())
        shown = [_out(one) for one in found[:limit]]
        return PageOut(subscriptions=shown, next=shown[-1].id if len(found) > limit else None)

    @routes.get("/{subscription_id}", response_model=SubscriptionOut)
    async def get(subscription_id: str, caller: Writer) -> SubscriptionOut:
        """One endpoint."""
        return _out(await _find(desk, caller, subscription_id))

    @routes.delete("/{subscription_id}", status_code=204)
    async def remove(subscription_id: str, caller: Writer) -> Response:
        """Delete an endpoint; what waits for it is cancelled."""
        await _find(desk, caller, subscription_id)
        async with desk.database.transaction() as tx:
            await subscriptions.remove(tx, subscription_id, desk.clock())
        return Response(status_code=204)

    @routes.post("/{subscription_id}/ping", response_model=PingOut)
    async def ping(subscription_id: str, caller: Writer) -> PingOut:
        """Post a signed `webhook.ping` now, once, and say what came of it."""
        listed = await _find(desk, caller, subscription_id)
        envelope = ping_envelope(f"ping_{uuid_utils.uuid7().hex}", desk.clock())
        made = await desk.webhooks.attempt(listed.subscription, envelope)
        return PingOut(ok=made.ok, status_code=made.status_code, duration_ms=made.duration_ms, error=made.error)

    @routes.post("/{subscription_id}/enable", response_model=SubscriptionOut)
    async def enable(subscription_id: str, caller: Writer) -> SubscriptionOut:
        """Send again to a paused or disabled endpoint, its backlog first."""
        await _find(desk, caller, subscription_id)
        async with desk.database.transaction() as tx:
            await subscriptions.enable(tx, subscription_id, desk.clock())
            tx.after_commit(desk.wake)
        return _out(await _find(desk, caller, subscription_id))

    @routes.post("/{subscription_id}/rotate-secret", response_model=SecretOut)
    async def rotate(subscription_id: str, caller: Writer) -> SecretOut:
        """Make a new secret; for a day the old one signs too."""
        await _find(desk, caller, subscription_id)
        secret = new_secret()
        async with desk.database.transaction() as tx:
            await subscriptions.rotate(tx, subscription_id, secret, desk.clock())
        return SecretOut(**_fields(await _find(desk, caller, subscription_id)), secret=secret)

    return routes


async def _find(desk: Desk, caller: Caller, subscription_id: str) -> Listed:
    async with desk.database.reading() as tx:
        found = await subscriptions.find(tx, caller.tenant, subscription_id, desk.clock())
    if found is None:
        raise not_found("subscription", subscription_id)
    return found


def _check_url(url: str, desk: Desk) -> None:
    if wrong := is_allowed_url(url, allow_private=desk.allow_private):
        advice = "write a public address like https://shop.example/hooks"
        raise Problem(INVALID, "the endpoint's URL can't be used", [FieldError(pointer("url"), wrong, advice)])


def _new(given: SubscriptionIn, tenant: str) -> Subscription:
    return Subscription(
        id=f"sub_{uuid_utils.uuid7().hex}",
        tenant=tenant,
        url=given.url,
        filters=given.filters.build(),
        status=SubscriptionStatus.ACTIVE,
        secrets=(new_secret(),),
        include_customer=given.include_customer,
        include_backfill=given.include_backfill,
        transit=given.transit,
    )


def _out(listed: Listed) -> SubscriptionOut:
    return SubscriptionOut(**_fields(listed))


def _fields(listed: Listed) -> dict[str, Any]:
    one = listed.subscription
    sets = ("lifecycles", "from_stages", "to_stages", "transitions")
    return {
        "id": one.id,
        "url": one.url,
        "filters": {name: sorted(getattr(one.filters, name)) for name in sets},
        "include_customer": one.include_customer,
        "include_backfill": one.include_backfill,
        "transit": one.transit,
        "status": one.status,
        "status_detail": listed.status_detail,
        "failing_since": to_text(one.failing_since_ms) if one.failing_since_ms is not None else None,
        "created_at": to_text(listed.created_ms),
    }


def _body(model: type[BaseModel]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}

"""`POST /v1/customers/{id}/move`: a person puts a customer into a stage, through the log like everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, TypeVar

import msgspec
import uuid_utils
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from services.stage_engine.api.desk import Admin, Reader
from services.stage_engine.api.known import check_stage, find_lifecycle
from services.stage_engine.batches.writing import conflicts_among
from services.stage_engine.default_lifecycle import default_of
from services.stage_engine.domain.by_hand import MANUAL_MOVE, ManualMove, Moved
from services.stage_engine.domain.event import Event, Origin
from services.stage_engine.domain.state import CustomerState
from services.stage_engine.store import history, lifecycles, listings, moves
from services.stage_engine.store.customers import CustomerKey
from services.stage_engine.store.history import Entry
from shared.contracts.cloudevent import Posted, encode_posted, headers, record_key
from shared.contracts.field_errors import FieldError
from shared.contracts.times import now_ms, to_text
from shared.contracts.topics import Topic
from shared.db.port import Transaction
from shared.errors import Transient
from shared.http.body import read_model
from shared.http.described import json_body
from shared.http.paths import Segment
from shared.http.problems import CONFLICT, INVALID, NOT_FOUND, Problem, unavailable
from shared.log.port import Message, Producer
from shared.service import Resources
from shared.telemetry.tracing import continued

_T = TypeVar("_T")
Text = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
Key = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class MoveIn(BaseModel):
    """Where to, why and who says so. Without `lifecycle` the tenant's default is meant. With `expected_stage` nothing is
    done unless the customer is there. `id` is yours to choose, so that a repeated request moves once; it stands beside the
    ids of the customer's events."""

    model_config = ConfigDict(extra="forbid")

    to: Key
    reason: Text
    author: Text
    lifecycle: Key | None = None
    expected_stage: Key | None = None
    id: Key | None = None


class MoveTaken(BaseModel):
    """The log has it; the engine handles it in its turn."""

    move_id: str
    status: str
    lifecycle: str
    to: str


class MoveOut(BaseModel):
    """What became of a move. `status` is applied (then `sequence` is that of its stage change) or refused (with why)."""

    move_id: str
    status: str
    lifecycle: str
    to: str
    expected_stage: str | None
    author: str
    reason: str
    handled_at: str
    sequence: int | None
    refusal: str | None


def moves_router(resources: Resources, producer: Callable[[], Producer | None]) -> APIRouter:
    """The routes. Moving needs the scope admin, reading customers:read. `producer` gives None until the engine runs."""
    at = _Moves(resources, producer)
    routes = APIRouter(prefix="/v1/customers", tags=["customers"])
    described = {409: "the customer is not in `expected_stage`, or in `to` already", 503: "send the same again"}
    routes.post(
        "/{customer_id}/move",
        status_code=202,
        summary="Put a customer into a stage by hand",
        openapi_extra={"requestBody": json_body(MoveIn)},
        responses={status: {"description": text} for status, text in described.items()},
    )(at.move)
    routes.get("/{customer_id}/moves/{move_id}", summary="What became of a move by hand")(at.get)
    return routes


@dataclass(frozen=True, slots=True)
class _Moves:
    """What each route does."""

    resources: Resources
    producer: Callable[[], Producer | None]

    async def move(self, request: Request, customer_id: Segment, caller: Admin) -> MoveTaken:
        """Take a move. 202: the log has it. It is checked again when its turn has come, for events before it count first;
        then it is applied, or refused and kept with the reason: GET …/moves/{move_id} tells."""
        given = await read_model(request, MoveIn)
        key, move_id = CustomerKey(caller.tenant, customer_id), given.id or f"move-{uuid_utils.uuid7()}"
        async with self.resources.database.reading() as transaction:
            wanted = await self._wanted(transaction, key, given)
            posted = _posted(key, move_id, wanted)
            repeated = given.id is not None and await _is_repeated(transaction, posted)
            if not repeated:
                await _check(transaction, key, wanted)
        if not repeated:
            await self._append(_message(posted, request))
        return MoveTaken(move_id=move_id, status="accepted", lifecycle=wanted.lifecycle, to=wanted.to)

    async def get(self, customer_id: Segment, move_id: Segment, caller: Reader) -> MoveOut:
        """A move that was handled; 404 while it waits for its turn."""
        async with self.resources.database.reading() as transaction:
            found = await moves.find(transaction, CustomerKey(caller.tenant, customer_id), move_id)
        if found is None:
            raise Problem(NOT_FOUND, f"no move {move_id!r} of this customer was handled; one just taken may still wait")
        return _out(found)

    async def _wanted(self, transaction: Transaction, key: CustomerKey, given: MoveIn) -> ManualMove:
        """What is asked for, in the lifecycle that is meant."""
        name = given.lifecycle or (await default_of(transaction, key.tenant, self.resources.settings)).lifecycle
        return ManualMove(name, given.to, given.author, given.reason, given.expected_stage)

    async def _append(self, message: Message) -> None:
        producer = self.producer()
        if producer is None:
            raise unavailable("the engine is starting: it waits for the database and the log")
        appending = asyncio.ensure_future(producer.append(Topic.EVENTS, [message]))
        done, _ = await asyncio.wait({appending}, timeout=self.resources.settings.append_timeout_seconds)
        if not done:
            appending.cancel()
            raise unavailable("the log did not acknowledge in time; give the move an id and send the same again")
        try:
            appending.result()
        except Transient as error:
            raise unavailable(f"{error}; give the move an id and send the same again") from None


async def _is_repeated(transaction: Transaction, posted: Posted) -> bool:
    """Whether this very move was handled before: then its sender has missed an answer, and the customer may be elsewhere by
    now. Raises Problem 409 when the id was something else's."""
    origin = Origin(posted.tenant, posted.customer_id, posted.id, posted.type)
    event = Event.taken(origin, posted.time_ms, posted.time_ms, backfill=False, data={})
    entry = Entry(event, -1, -1, encode_posted(posted))
    if not await history.bodies(transaction, [entry]):
        return False
    if await conflicts_among(transaction, [entry]):
        raise Problem(
            CONFLICT, f"the id {posted.id!r} is that of another move or event of this customer; choose another"
        )
    return True


async def _check(transaction: Transaction, key: CustomerKey, wanted: ManualMove) -> None:
    """What is asked for, against what is known now. Raises Problem 404, 409, 422."""
    registered = await lifecycles.newest(transaction)
    lifecycle = _pointed("/lifecycle", lambda: find_lifecycle(registered, wanted.lifecycle))
    _pointed("/to", lambda: check_stage(lifecycle, wanted.to, ()))
    state = await listings.state_of(transaction, key.tenant, key.customer_id)
    if state is None:
        raise Problem(NOT_FOUND, f"no event of a customer {key.customer_id!r} was ever applied for this tenant")
    _check_place(wanted, state)


def _pointed(pointer: str, check: Callable[[], _T]) -> _T:
    """A check of what may also be asked for by a query; what it finds wrong is said of the body's field."""
    try:
        return check()
    except Problem as problem:
        wrong = [FieldError(pointer, problem.detail, each.advice) for each in problem.errors]
        raise replace(problem, errors=wrong) from None


def _check_place(wanted: ManualMove, state: CustomerState) -> None:
    current = state.lifecycles.get(wanted.lifecycle)
    if current is None:
        wrong = FieldError("/lifecycle", f"the customer is not in {wanted.lifecycle}", "an event brings them there")
        raise Problem(INVALID, wrong.detail, [wrong])
    if wanted.expected_stage is not None and current.stage != wanted.expected_stage:
        why = f"the customer is in {current.stage}, not in {wanted.expected_stage}"
        raise Problem(CONFLICT, why, members={"stage": current.stage})
    if current.stage == wanted.to:
        raise Problem(CONFLICT, f"the customer is in {current.stage} already", members={"stage": current.stage})


def _posted(key: CustomerKey, move_id: str, wanted: ManualMove) -> Posted:
    return Posted(
        tenant=key.tenant,
        customer_id=key.customer_id,
        id=move_id,
        type=MANUAL_MOVE,
        time_ms=now_ms(),
        data=msgspec.json.encode(wanted),
        servertime=True,
    )


def _message(posted: Posted, request: Request) -> Message:
    trace = continued(request.headers.get("traceparent")).text()
    return Message(record_key(posted.tenant, posted.customer_id), encode_posted(posted), headers(MANUAL_MOVE, trace))


def _out(found: Moved) -> MoveOut:
    move = found.move
    return MoveOut(
        move_id=found.move_id,
        status="applied" if found.refusal is None else "refused",
        lifecycle=move.lifecycle,
        to=move.to,
        expected_stage=move.expected_stage,
        author=move.by,
        reason=move.reason,
        handled_at=to_text(found.at_ms),
        sequence=found.sequence,
        refusal=found.refusal,
    )

"""POST /v1/events: authenticate, read, decide, publish, answer."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import uuid_utils
from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.routing import Route

from services.ingest.api.answers import batch_answer, batch_problem, event_answer, event_problem
from services.ingest.api.documentation import DESCRIPTION, events_documentation
from services.ingest.domain.intake import Intake, Malformed, is_batch, take, take_batch
from services.ingest.domain.outcome import Accepted, Outcome, Refused
from services.ingest.publish import Publisher
from shared.auth.dependency import authorise
from shared.auth.scopes import Scope
from shared.contracts.cloudevent import BACKFILL, LIVE
from shared.contracts.times import now_ms
from shared.http.body import read_body
from shared.http.problems import MALFORMED, Problem, unavailable
from shared.log.port import LogUnavailable
from shared.telemetry.logging import logger
from shared.telemetry.metrics import EVENTS_ACCEPTED, EVENTS_REFUSED
from shared.telemetry.tracing import continued

_log = logger(__name__)
_JSON = "application/json"
_accepted = {mode: EVENTS_ACCEPTED.labels(mode) for mode in (LIVE, BACKFILL)}


def events_router(publisher: Publisher) -> APIRouter:
    """The route that takes events."""

    async def post_events(request: Request) -> Response:
        caller = await authorise(request, Scope.EVENTS_WRITE)
        body = await read_body(request)
        intake = Intake(caller.tenant, caller.may(Scope.EVENTS_BACKFILL), now_ms(), _new_id)
        traceparent = continued(request.headers.get("traceparent")).text()
        if is_batch(body):
            return await _answer_batch(publisher, _take_batch(intake, body), traceparent)
        return await _answer_event(publisher, take(intake, body), traceparent)

    router = APIRouter(tags=["events"])
    # The plain route answers; the one behind it is never reached and only documents. FastAPI's own resolving of an
    # endpoint that declares nothing would cost a quarter more for each request.
    router.routes.append(Route("/v1/events", post_events, methods=["POST"]))
    router.add_api_route(
        "/v1/events",
        post_events,
        methods=["POST"],
        status_code=202,
        summary="Post events",
        description=DESCRIPTION,
        response_class=Response,
        openapi_extra={**events_documentation(), "security": [{"api_key": []}]},
    )
    return router


def _take_batch(intake: Intake, body: bytes) -> list[Outcome]:
    try:
        return take_batch(intake, body)
    except Malformed as error:
        EVENTS_REFUSED.labels("malformed").inc()
        raise Problem(MALFORMED, str(error)) from None


async def _answer_event(publisher: Publisher, outcome: Outcome, traceparent: str) -> Response:
    _count_refused([outcome])
    if isinstance(outcome, Refused):
        raise event_problem(outcome)
    await _publish(publisher, [outcome], traceparent)
    return Response(event_answer(outcome), 202, media_type=_JSON)


async def _answer_batch(publisher: Publisher, outcomes: Sequence[Outcome], traceparent: str) -> Response:
    _count_refused(outcomes)
    answered = batch_answer(outcomes)
    if answered.accepted == 0:
        raise batch_problem(answered)
    await _publish(publisher, [outcome for outcome in outcomes if isinstance(outcome, Accepted)], traceparent)
    return Response(msgspec.json.encode(answered), 207 if answered.refused else 202, media_type=_JSON)


async def _publish(publisher: Publisher, events: Sequence[Accepted], traceparent: str) -> None:
    try:
        await publisher.publish(events, traceparent)
    except LogUnavailable as error:
        EVENTS_REFUSED.labels("log_unavailable").inc(len(events))
        _log.warning("events were not acknowledged", events=len(events), error=str(error))
        raise unavailable("the log did not take the events in time; send the same request again") from None
    imported = sum(event.mode == BACKFILL for event in events)
    _accepted[BACKFILL].inc(imported)
    _accepted[LIVE].inc(len(events) - imported)


def _count_refused(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, Refused):
            EVENTS_REFUSED.labels(outcome.reason).inc()


def _new_id() -> str:
    return str(uuid_utils.uuid7())

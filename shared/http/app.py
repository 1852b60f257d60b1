"""The FastAPI application of a process: the services' routes, health, metrics, documentation, and how errors answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, iter_route_contexts
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.auth.authenticator import Authenticator
from shared.auth.dependency import DOCUMENTED_KEY
from shared.auth.tenants import Tenants
from shared.contracts.field_errors import FieldError, pointer
from shared.errors import Permanent, Transient
from shared.http import problems
from shared.http.paths import PathSegments
from shared.http.problems import Kind, Problem, answer, unavailable
from shared.service import Check, Resources, Service
from shared.telemetry.logging import logger

_log = logger(__name__)
_CHECK_SECONDS: Final = 3.5
_DOCS: Final = (Path(__file__).parent / "docs.html").read_text(encoding="utf-8")
_KINDS: Final = {
    kind.status: kind
    for kind in (
        problems.MALFORMED,
        problems.NOT_FOUND,
        problems.METHOD_NOT_ALLOWED,
        problems.TOO_LARGE,
        problems.UNSUPPORTED,
        problems.INVALID,
    )
}


class _Application(FastAPI):
    """FastAPI that documents the API key also for routes that check it themselves."""

    def openapi(self) -> dict[str, Any]:
        schema = super().openapi()
        schemes = schema.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes.setdefault(DOCUMENTED_KEY.scheme_name, DOCUMENTED_KEY.model.model_dump(mode="json", exclude_none=True))
        return schema


def create_app(services: Sequence[Service], resources: Resources) -> FastAPI:
    """The application of one process. `app.state` carries the authenticator and the tenants."""
    app = _Application(
        title="Jornada",
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.authenticator = Authenticator(resources.database)
    app.state.tenants = Tenants(resources.database)
    for service in services:
        for router in service.routers():
            app.include_router(router)
    _refuse_declared_bodies(app)
    _add_health(app, services)
    _add_handlers(app)
    return app


def _refuse_declared_bodies(app: FastAPI) -> None:
    """FastAPI reads a declared body whole, and before it knows who is calling."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and route.body_field is not None:
            raise Permanent(
                f"{route.path} declares a body parameter; take the Request, and read it by shared.http.body.read_model"
            )


def _add_health(app: FastAPI, services: Sequence[Service]) -> None:
    async def livez() -> Response:
        """Whether each service's loop is alive; 503 means that only a new process helps."""
        alive = {service.name: service.alive() for service in services}
        status = 200 if all(alive.values()) else 503
        return JSONResponse({"alive": status == 200, "services": alive}, status)

    async def readyz() -> Response:
        """Whether everything that the services need answers, each by name with what to do."""
        asked = await asyncio.gather(*(_checks(service) for service in services))
        found = [check for checks in asked for check in checks]
        ready = all(check.ok for check in found)
        listed = [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in found]
        return JSONResponse({"ready": ready, "checks": listed}, 200 if ready else 503)

    async def metrics() -> Response:
        """Prometheus metrics of this process."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def docs() -> Response:
        return HTMLResponse(_DOCS)

    for path, endpoint in (("/livez", livez), ("/readyz", readyz), ("/metrics", metrics)):
        app.add_api_route(path, endpoint, methods=["GET"], tags=["operation"], response_class=Response)
    app.add_api_route("/docs", docs, methods=["GET"], include_in_schema=False)


async def _checks(service: Service) -> Sequence[Check]:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            return [Check(f"{service.name}: {check.name}", check.ok, check.detail) for check in await service.checks()]
    except TimeoutError:
        return [Check(service.name, False, f"its checks did not end within {_CHECK_SECONDS} s")]
    except Transient as error:
        return [Check(service.name, False, str(error))]


def _add_handlers(app: FastAPI) -> None:
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(Transient, _on_transient)
    app.add_middleware(_UnexpectedErrors)
    app.add_middleware(PathSegments)


async def _on_problem(request: Request, error: Exception) -> Response:
    return answer(request, cast("Problem", error))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    raised = cast("HTTPException", error)
    kind = _KINDS.get(raised.status_code) or Kind(f"http-{raised.status_code}", raised.status_code, raised.detail)
    detail = {
        404: f"there is nothing at {request.url.path[:200]}",
        405: f"{request.method} is not offered at {request.url.path[:200]}",
    }
    said = detail.get(raised.status_code, raised.detail)
    return answer(request, Problem(kind, said, headers=dict(raised.headers or {})))


async def _on_validation(request: Request, error: Exception) -> Response:
    found = cast("RequestValidationError", error).errors()
    errors = [_request_error(one) for one in found]
    return answer(request, Problem(problems.INVALID, "some of the request does not fit", errors))


def _request_error(one: dict[str, Any]) -> FieldError:
    place, *path = one["loc"]
    if place == "body":
        return FieldError(pointer(*path), one["msg"])
    return FieldError("", f"{place} parameter {'.'.join(map(str, path))}: {one['msg']}")


async def _on_transient(request: Request, error: Exception) -> Response:
    _log.warning("a server is away", path=request.url.path, error=str(error))
    return answer(request, unavailable("a server behind this one is away; the same request may succeed soon"))


class _UnexpectedErrors:
    """The edge of a request: what nobody expected is logged once and answered without internals."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            _log.error("a request failed", path=scope.get("path"), method=scope.get("method"), exc_info=error)
            if started:
                raise
            failed = Problem(problems.INTERNAL, "the failure was logged; trying again may help")
            await answer(Request(scope), failed)(scope, receive, send)

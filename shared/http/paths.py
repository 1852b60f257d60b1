"""Paths whose segments are names: an id of somebody's may hold a slash, written `%2F`, and stays one segment.

A server hands on the path decoded, where that slash and the ones between segments look the same. Here the routes see
a path in which only `/` and `%` inside a segment are still written `%2F` and `%25`; `Segment` takes that back.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote_to_bytes

from pydantic import AfterValidator
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.http.problems import NOT_FOUND, Problem


def _name(segment: str) -> str:
    name = segment.replace("%2F", "/").replace("%25", "%")
    if "\x00" in name:
        # Nothing that can be posted has one, and a database may not even be asked for it.
        raise Problem(NOT_FOUND, f"no id has a NUL in it, as {name[:200]!r} has")
    return name


Segment = Annotated[str, AfterValidator(_name)]
"""A path parameter that is a name, whatever characters it holds. A plain `str` would show `%25` where `%` was meant."""


class PathSegments:
    """Gives the routes the path by its segments as they were written. The outermost middleware of an application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and ("%" in scope["path"] or b"%" in (scope.get("raw_path") or b"")):
            scope = {**scope, "path": _routed(scope)}
        await self._app(scope, receive, send)


def _routed(scope: Scope) -> str:
    raw: bytes | None = scope.get("raw_path")
    if raw is None:  # ASGI leaves it to the server; without it a slash inside a segment is past telling
        return str(scope["path"]).replace("%", "%25")
    return "/".join(_kept(unquote_to_bytes(segment).decode(errors="replace")) for segment in raw.split(b"/"))


def _kept(name: str) -> str:
    return name.replace("%", "%25").replace("/", "%2F")

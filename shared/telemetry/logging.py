"""Structured logs on standard error: JSON in production, coloured on a terminal, plain text elsewhere.

Log ids, never payloads: bytes, mappings and lists are replaced by their size before anything is written.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, TextIO, cast

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from shared.settings import Settings

Logger = structlog.stdlib.BoundLogger

_CHATTY = {
    "aiokafka": logging.WARNING,
    "aiosqlite": logging.INFO,
    "asyncio": logging.WARNING,
    "uvicorn": logging.WARNING,
}
_MAX_TEXT = 2_000
_plain_traceback: Final = structlog.dev.plain_traceback
"""Never the prettier one, which prints the values of local variables: payloads among them."""
_OWN_FIELDS = frozenset({"positional_args", "exc_info"})


def logger(name: str) -> Logger:
    """A logger; `name` is the module's. Give facts as keywords: `log.info("batch committed", partition=3)`."""
    return cast("Logger", structlog.get_logger(name))


_SELDOM_SECONDS = 10.0


def configure_logging(settings: Settings) -> None:
    """Send everything, ours and the libraries', through one handler. Call once at start; calling again replaces it."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        without_payloads,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _StandardError()
    handler.addFilter(Seldom())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_rendering(settings.environment))
    )
    logging.root.handlers[:] = [*(one for one in logging.root.handlers if not isinstance(one, _StandardError)), handler]
    logging.root.setLevel(settings.log_level)
    for name, level in _CHATTY.items():
        logging.getLogger(name).setLevel(max(level, logging.getLevelName(settings.log_level)))


class Seldom(logging.Filter):
    """Lets a message of the Kafka client through once in ten seconds, with how many like it were left out. While a broker
    is away the client complains hundreds of times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("aiokafka"):
            return True
        key, now = (record.name, str(record.msg)), time.monotonic()
        since, left_out = self._seen.get(key, (-_SELDOM_SECONDS, 0))
        if now - since < _SELDOM_SECONDS:
            self._seen[key] = (since, left_out + 1)
            return False
        if left_out:
            record.msg = f"{record.msg} ({left_out} more like it)"
        self._seen[key] = (now, 0)
        return True


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to whatever standard error is at the moment."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def without_payloads(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    """Replace whatever may hold a customer's data by its kind and size, and cut endless text."""
    return {name: value if name in _OWN_FIELDS else _bounded(name, value) for name, value in fields.items()}


def _bounded(name: str, value: Any) -> Any:
    if name.startswith("_"):  # structlog's own
        return value
    if isinstance(value, bytes | bytearray | memoryview | Mapping | list):
        return f"<{type(value).__name__} of {len(value)}>"
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        return value[:_MAX_TEXT] + "…"
    return value


def _rendering(environment: str) -> list[Processor]:
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if environment == "production":
        return [remove, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [remove, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_plain_traceback)]

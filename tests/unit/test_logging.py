"""What may stand in a log line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from shared.settings import Settings
from shared.telemetry.logging import Seldom, configure_logging, logger


@pytest.fixture
def _restored_logging() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.mark.usefixtures("_restored_logging")
def test_production_logs_are_json_without_payloads(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings(environment="production"))
    logger("shop").info("event taken", event_id="e-1", data={"email": "ana@example.com"}, raw=b"ana@example.com")
    logging.getLogger("library").warning("from %s", "elsewhere")
    ours, theirs = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (ours["event"], ours["event_id"], ours["level"], ours["logger"]) == ("event taken", "e-1", "info", "shop")
    assert (ours["data"], ours["raw"]) == ("<dict of 1>", "<bytes of 15>")
    assert (theirs["event"], theirs["logger"]) == ("from elsewhere", "library")


@pytest.mark.usefixtures("_restored_logging")
def test_development_logs_are_plain_text_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings(environment="development"))
    logger("shop").info("event taken", event_id="e-1")
    logger("shop").debug("too fine")
    written = capsys.readouterr().err
    assert "event_id=e-1" in written
    assert "\x1b[" not in written
    assert "too fine" not in written


@pytest.mark.usefixtures("_restored_logging")
def test_failures_are_logged_with_their_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings(environment="production"))
    try:
        raise ValueError("broken")
    except ValueError as error:
        logger("shop").error("failed", exc_info=error)
    assert "ValueError: broken" in json.loads(capsys.readouterr().err)["exception"]


def test_a_client_that_complains_all_the_time_is_heard_seldom_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("shared.telemetry.logging.time.monotonic", lambda: now[0])
    seldom = Seldom()

    def heard(name: str, message: str) -> str | None:
        record = logging.LogRecord(name, logging.ERROR, "", 0, message, (1,), None)
        return record.getMessage() if seldom.filter(record) else None

    told = [heard("aiokafka.client", "node %s is away") for _ in range(5)]
    assert told == ["node 1 is away", None, None, None, None]
    assert heard("jornada", "node %s is away") == "node 1 is away"
    now[0] = 11.0
    assert heard("aiokafka.client", "node %s is away") == "node 1 is away (4 more like it)"

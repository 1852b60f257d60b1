"""What an import makes of each answer that a server may give: wait, go on, tell it by line, or stop with advice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.importing.ordering import Queued
from services.cli.importing.posting import Ingest, Item, Waiting, checked_url
from services.cli.main import app
from shared.errors import Permanent

Answer = tuple[int, dict[str, str], object]
"""Status, headers, and a body that is sent as JSON, or as it is when it is a text."""
BATCH = [Queued((1, 1, 2, 0), b'{"id":"a"}'), Queued((1, 1, 3, 0), b'{"id":"b"}')]
NO_SCOPE = {"status": "refused", "reason": "missing_scope"}
TAKEN = {"accepted": 2, "refused": 0, "items": [{"index": 0, "status": "accepted"}, {"index": 1, "status": "accepted"}]}
PARTLY = {
    "accepted": 1,
    "refused": 1,
    "items": [
        {"index": 0, "status": "accepted", "id": "a"},
        {
            "index": 1,
            "status": "refused",
            "reason": "invalid_time",
            "errors": [{"pointer": "/1/time", "detail": "it is odd", "advice": "mend it"}],
        },
    ],
}


@contextmanager
def server(answers: Sequence[Answer]) -> Iterator[tuple[str, list[bytes]]]:
    """Gives these answers one after the other, the last for ever; gives its address and the bodies that came."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            status, headers, body = answers[min(len(bodies), len(answers)) - 1]
            content = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return None

    with HTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = Thread(target=serving.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{serving.server_port}", bodies
        finally:
            serving.shutdown()
            thread.join()


class Waited:
    """How long was waited, without waiting."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.said: list[str] = []

    def post(self, answers: Sequence[Answer]) -> list[Item]:
        with server(answers) as (url, bodies):
            with Ingest(url, "jrn_1.x", Waiting(self.said.append, self.seconds.append)) as ingest:
                refused = ingest.post(BATCH)
            assert set(bodies) == {b'[{"id":"a"},{"id":"b"}]'}
            return refused


def test_a_server_that_is_away_is_waited_for_ever_longer_and_as_long_as_it_asks() -> None:
    waited = Waited()
    away: list[Answer] = [
        (503, {}, {}),
        (500, {}, "<html>"),
        (502, {"Retry-After": "7"}, {}),
        (429, {"Retry-After": "x"}, {}),
    ]
    assert waited.post([*away, (202, {}, TAKEN)]) == []
    assert waited.seconds == [0.5, 1.0, 7.0, 4.0]
    assert "it answers 503" in waited.said[0]


def test_a_date_to_come_back_at_is_kept() -> None:
    waited = Waited()
    later = formatdate(time.time() + 90, usegmt=True)
    waited.post([(503, {"Retry-After": later}, {}), (202, {}, TAKEN)])
    assert 80 < waited.seconds[0] <= 90


def test_waiting_grows_to_half_a_minute_and_no_further() -> None:
    waited = Waited()
    waited.post([*[(503, {}, {})] * 10, (202, {}, TAKEN)])
    assert waited.seconds[-3:] == [30.0, 30.0, 30.0]


@pytest.mark.parametrize("status", [207, 422])
def test_what_is_refused_is_told_by_item(status: int) -> None:
    (refused,) = Waited().post([(status, {}, PARTLY)])
    assert (refused.index, refused.reason, refused.errors[0].detail) == (1, "invalid_time", "it is odd")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, {}, {"detail": "send an API key"}), "answered 401: send an API key"),
        ((403, {}, {"detail": "scope missing"}), "events:write and events:backfill"),
        ((404, {}, "nothing"), "--url must be the address of ingest"),
        ((301, {"Location": "https://elsewhere.example/"}, ""), "to https://elsewhere.example/"),
        ((200, {}, "<html>hello"), "--url must be the address of ingest"),
        ((202, {}, "<html>hello"), "none of ingest's"),
        ((202, {}, {"id": "a", "status": "accepted"}), "none of ingest's"),
        ((202, {}, {"accepted": 1, "refused": 0, "items": []}), "answered for 0 events of 2"),
        ((400, {}, {"detail": "no JSON"}), "answered 400: no JSON"),
        ((413, {}, []), "answered 413"),
        (
            (422, {}, {"accepted": 0, "refused": 2, "items": [{"index": n, **NO_SCOPE} for n in (0, 1)]}),
            "lacks the scope events:backfill",
        ),
    ],
)  # fmt: skip
def test_what_somebody_has_to_mend_is_told_at_once(answer: Answer, words: str) -> None:
    waited = Waited()
    with pytest.raises(Permanent) as caught:
        waited.post([answer])
    assert words in str(caught.value)
    assert waited.seconds == []


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x", "http://", "http://x:99999", "http://[::1"])
def test_what_is_no_address_is_refused_before_anything_is_tried(url: str) -> None:
    with pytest.raises(Permanent, match="--url"):
        checked_url(url)


def test_the_address_may_end_as_the_path_does() -> None:
    assert checked_url("http://x/") == checked_url("http://x/v1/events") == "http://x"


# --- what the command makes of it

Run = Callable[..., Any]
STATE = Path("visits.jsonl.import-state.json")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `jornada import visits.jsonl …` in a folder with two good lines, 2 and 4."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JORNADA_KEY", "jrn_1.x")
    line = '{{"id": "{0}", "type": "signup", "customer_id": "ana", "time": "2026-01-0{1}T00:00:00Z", "data": {{}}}}\n'
    Path("visits.jsonl").write_text("\n" + line.format("b", 2) + "\n" + line.format("a", 1))
    runner = CliRunner()
    return lambda *words: runner.invoke(app, ["import", "visits.jsonl", *words], catch_exceptions=False)


def test_what_ingest_refuses_stops_an_import_and_is_told_by_line(run: Run) -> None:
    """The second event in the order of time is that of line 2."""
    with server([(207, {}, PARTLY)]) as (url, _):
        result = run("--url", url)
    assert result.exit_code == 1
    assert "line 2: /time: it is odd (mend it)" in result.output
    assert json.loads(STATE.read_bytes())["posted"] == 0


def test_what_ingest_refuses_is_listed_when_bad_lines_are_skipped(run: Run) -> None:
    with server([(207, {}, PARTLY)]) as (url, bodies):
        result = run("--url", url, "--skip-bad")
        again = run("--url", url, "--skip-bad")
    assert (result.exit_code, again.exit_code, len(bodies)) == (1, 1, 1)
    assert "error visits.jsonl:2: /time: it is odd (mend it)" in result.output
    assert "1 event refused by ingest: visits.jsonl.rejected.jsonl lists them" in result.output
    assert "already" in again.output
    listed = [json.loads(line) for line in Path("visits.jsonl.rejected.jsonl").read_text().splitlines()]
    assert [(each["line"], each["detail"]) for each in listed] == [(2, "it is odd")]


def test_another_key_is_worth_a_note(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with server([(401, {}, {}), (202, {}, TAKEN)]) as (url, _):
        assert run("--url", url).exit_code == 1
        assert "another key" not in (first := run("--url", url)).output
        monkeypatch.setenv("JORNADA_KEY", "jrn_2.x")
        assert "another key posted before" in run("--url", url).output
    assert first.exit_code == 0
    assert "jrn_1.x" not in STATE.read_text()

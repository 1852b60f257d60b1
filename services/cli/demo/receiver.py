"""A webhook receiver as a customer of ours would write it: real HTTP on loopback, signatures checked by the library that
the Standard Webhooks project publishes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook, WebhookVerificationError

_SILENT = 204
_REFUSED = 401


@dataclass(frozen=True, slots=True)
class Received:
    """A webhook whose signature was right."""

    id: str
    signature: str
    payload: dict[str, Any]


@dataclass(slots=True)
class Receiver:
    """What came in so far. `secret` is set once the subscription is made; nothing can be verified before."""

    url: str = ""
    secret: str = ""
    verified: list[Received] = field(default_factory=list)
    refused: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """Verify one request and keep it; gives the status to answer."""
        try:
            payload = Webhook(self.secret).verify(body, headers)
        except (WebhookVerificationError, EmptyWebhookSecretError, ValueError):
            with self._lock:
                self.refused += 1
            return _REFUSED
        with self._lock:
            self.verified.append(Received(headers["webhook-id"], headers["webhook-signature"], payload))
        return _SILENT


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port, for as long as the block lasts."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            status = receiver.take({name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: what was received is shown at the end."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/hooks"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

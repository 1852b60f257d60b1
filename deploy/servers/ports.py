"""Ports of our own on loopback."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
# Below every system's range of ephemeral ports. A port from that range can be taken by any outgoing connection while
# its server is down for a restart; worse, a client that keeps trying to reconnect can connect to itself.
_FIRST, _LAST = 15_000, 28_000


def free_port() -> int:
    """A TCP port that nobody listens on at this moment.

    Raises:
        RuntimeError: none found among 200 tried.
    """
    for _ in range(200):
        # Not from the global generator: tests that seed it would all pick the same port.
        port = random.SystemRandom().randint(_FIRST, _LAST)
        if is_free(port):
            return port
    raise RuntimeError(f"no free TCP port on {LOOPBACK} between {_FIRST} and {_LAST}")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True

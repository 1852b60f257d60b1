"""`python -m deploy.servers`: both servers, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from deploy.servers import KafkaServer, PostgresServer, ServerError

_WATCH_SECONDS = 0.5


def main() -> int:
    """Runs both servers and prints their addresses; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.servers", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder that keeps the data; without it they are thrown away")
    data: Path | None = parser.parse_args().data
    # So that `kill` ends the servers in order, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run(data)
    except KeyboardInterrupt:
        print("stopped", flush=True)
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def run(data: Path | None) -> None:
    """Starts both and returns only by an exception.

    Raises:
        KeyboardInterrupt: Ctrl-C.
        ServerError: a server did not start, or ended by itself.
    """
    with (
        PostgresServer(data / "postgres" if data else None) as postgres,
        KafkaServer(data / "kafka" if data else None) as kafka,
    ):
        print(f"PostgreSQL  {postgres.url}\nKafka       {kafka.bootstrap}\nCtrl-C ends both", flush=True)
        while postgres.running and kafka.running:
            time.sleep(_WATCH_SECONDS)
        ended = postgres if not postgres.running else kafka
        raise ServerError(f"{ended.name} ended by itself: see {ended.log_path}")


if __name__ == "__main__":
    sys.exit(main())

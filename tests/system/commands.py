"""Commands run as people run them: as processes of their own, in a folder of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]
JORNADA = ("-m", "services.cli.main")


def environment(**settings: str) -> dict[str, str]:
    """Ours without any JORNADA_ setting but those given."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("JORNADA_")}
    return kept | {"PYTHONPATH": str(PROJECT_ROOT)} | {f"JORNADA_{name.upper()}": v for name, v in settings.items()}


def finished(
    arguments: Sequence[str], folder: Path, timeout_seconds: float, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments to its end."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )


@contextmanager
def running(arguments: Sequence[str], folder: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """A process for the length of a block; killed at its end if it still runs. Standard error goes to `stderr.txt`."""
    with (folder / "stderr.txt").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment(**settings),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def read_until(process: subprocess.Popen[str], marker: str) -> str:
    """What it has printed when `marker` comes; all of it when it ends without."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if marker in line:
            break
    return said


def ended_by(process: subprocess.Popen[str], number: signal.Signals, timeout_seconds: float = 20) -> int:
    """Send a signal and give the exit code. Raises TimeoutExpired."""
    process.send_signal(number)
    return process.wait(timeout_seconds)

"""Every letter is read and rendered once before any is sent, in a process of its own with bounds on memory and time.

Templates are bounded already (`liquid`). Should one find a way around those bounds, it costs this process, and the start
ends with the letter's name; the service's own memory it never gets. Run by `dry_run`, which `main` calls; where the system
has no limit on memory (macOS takes none), the one on time still holds.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import msgspec

from services.notifier.liquid import TemplateError
from services.notifier.rendering import Letters

_PROJECT_ROOT = Path(__file__).resolve().parents[2]
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """What reading and rendering all letters once may take. The shipped ones take 40 MiB and a fifth of a second."""

    memory_bytes: int = 256 * _MIB
    seconds: float = 30.0


class Asked(msgspec.Struct, frozen=True):
    """What the other process is to do."""

    folder: str
    default_locale: str
    values: dict[str, Any]
    memory_bytes: int


class _Ended(IntEnum):
    """How the other process says what came of it."""

    WELL = 0
    WRONG = 3
    OUT_OF_MEMORY = 4


def dry_run(folder: Path, default_locale: str, values: Mapping[str, Any], bounds: Bounds | None = None) -> None:
    """Read all letters of a folder and render each with these values. Raises TemplateError for the first that is wrong
    or takes more than the bounds."""
    bounds = bounds or Bounds()
    asked = Asked(str(folder), default_locale, dict(values), bounds.memory_bytes)
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "services.notifier.dry_run"],
            input=msgspec.json.encode(asked),
            capture_output=True,
            timeout=bounds.seconds,
            env={**os.environ, "PYTHONPATH": str(_PROJECT_ROOT)},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TemplateError(f"{_last_line(error.stdout)}: not done within {bounds.seconds:g} s; simplify it") from None
    if ended.returncode != _Ended.WELL:
        raise TemplateError(_problem(ended, bounds))


def _problem(ended: subprocess.CompletedProcess[bytes], bounds: Bounds) -> str:
    letter, said, code = _last_line(ended.stdout), ended.stderr.decode(errors="replace").strip(), ended.returncode
    if code == _Ended.WRONG:
        return said
    # What is no Python may end the whole process where there is no memory left for it.
    if code in (_Ended.OUT_OF_MEMORY, -signal.SIGABRT, -signal.SIGSEGV, -signal.SIGKILL):
        return f"{letter}: takes more than {bounds.memory_bytes // _MIB} MiB of memory; simplify it"
    return f"{letter}: the dry run ended with exit code {code}: {_last_line(ended.stderr)}"


def _last_line(output: bytes | None) -> str:
    """The letter that was begun last."""
    lines = (output or b"").decode(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "the templates")


def main() -> int:
    """The other process: names each letter as it is begun, and says what is wrong with one."""
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    _limit_memory(asked.memory_bytes)
    try:
        Letters(asked.default_locale, Path(asked.folder), _begin).check(asked.values, _begin)
    except (TemplateError, MemoryError) as error:
        sys.stderr.write(str(error))
        return _Ended.OUT_OF_MEMORY if _is_want_of_memory(error) else _Ended.WRONG
    return _Ended.WELL


def _is_want_of_memory(error: BaseException | None) -> bool:
    """Whether that is behind it: the engine wraps whatever its parser meets."""
    while error is not None and not isinstance(error, MemoryError):
        error = error.__cause__ or error.__context__
    return error is not None


def _begin(letter: str) -> None:
    sys.stdout.write(f"{letter}\n")
    sys.stdout.flush()


def _limit_memory(size_bytes: int) -> None:
    """Where the system refuses, or has a lower limit, that is what holds."""
    with suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (size_bytes, hard))


if __name__ == "__main__":
    sys.exit(main())

"""Runs one server and ends it when the process that asked for it is gone, however that one died.

Started by `processes.GuardedProcess` as a file of its own (`python -I guard.py <json>`), so it uses nothing but the
standard library. Between the two is a pipe: each line is the number of a signal to pass on; its end means that the
other side has died. A pipe rather than a parent-death signal alone, because Linux sends that one when the *thread*
that started a child ends, which would take the server along with any worker thread that restarted it.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# From linux/prctl.h, linux/securebits.h and linux/capability.h.
_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522


@dataclass(frozen=True)
class Order:
    """What to run and how to end it. Times in seconds, signals as numbers."""

    command: list[str]
    log_path: str
    working_dir: str
    user_id: int | None
    group_id: int | None
    keeps_folder_access: bool
    orphan_signal: int
    orphan_grace_seconds: float
    remove_when_orphaned: str | None


def run(order: Order) -> int:
    """Runs the server to its end; reports its process id on standard output; returns its exit code."""
    libc = ctypes.CDLL(None, use_errno=True)
    process = _spawn(order, libc)
    print(process.pid, flush=True)
    orphaned = threading.Event()
    threading.Thread(target=_pass_signals_on, args=(process, order, orphaned), daemon=True).start()
    code = process.wait()
    if orphaned.is_set() and order.remove_when_orphaned is not None:
        shutil.rmtree(order.remove_when_orphaned, ignore_errors=True)
    return code


def _spawn(order: Order, libc: ctypes.CDLL) -> subprocess.Popen[bytes]:
    with Path(order.log_path).open("ab") as log:
        return subprocess.Popen(
            order.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=order.working_dir,
            preexec_fn=_before_exec(order, libc),
        )


def _before_exec(order: Order, libc: ctypes.CDLL) -> Callable[[], None]:
    def prepare() -> None:
        if order.user_id is not None and order.group_id is not None:
            become(order.user_id, order.group_id, libc, keeps_folder_access=order.keeps_folder_access)
        if sys.platform == "linux":
            # After the change of user, which clears it. Covers the death of this guard itself; its main thread lives
            # as long as it does, so the thread rule above does no harm.
            libc.prctl(_PR_SET_PDEATHSIG, order.orphan_signal, 0, 0, 0)

    return prepare


def become(user_id: int, group_id: int, libc: ctypes.CDLL, *, keeps_folder_access: bool) -> None:
    """Gives up root for another user; on Linux it can keep the one right to pass through folders closed to that user.

    PostgreSQL refuses to run as root, and a project below /root is out of any other user's reach. Where the right
    cannot be kept, the change of user still happens.
    """
    keeps_rights = (
        keeps_folder_access
        and sys.platform == "linux"
        and libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0
    )
    os.setgroups([])
    os.setresgid(group_id, group_id, group_id)
    os.setresuid(user_id, user_id, user_id)
    if keeps_rights:
        _keep_only_folder_access(libc)


def _keep_only_folder_access(libc: ctypes.CDLL) -> None:
    wanted = 1 << _CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Twice (effective, permitted, inheritable): the low and the high 32 capabilities.
    sets = (ctypes.c_uint32 * 6)(wanted, wanted, wanted, 0, 0, 0)
    if libc.capset(header, sets) != 0:
        # Must not go on with all of root's capabilities under another name: the lesser set is the empty one.
        empty = (ctypes.c_uint32 * 6)()
        if libc.capset(header, empty) != 0:
            os._exit(126)
        return
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


def _pass_signals_on(process: subprocess.Popen[bytes], order: Order, orphaned: threading.Event) -> None:
    for line in sys.stdin:
        process.send_signal(int(line))
    orphaned.set()
    # A stopped process would keep any signal but SIGKILL waiting.
    process.send_signal(signal.SIGCONT)
    process.send_signal(order.orphan_signal)
    threading.Timer(order.orphan_grace_seconds, process.kill).start()


def main() -> int:
    """Takes one Order as JSON in the first argument."""
    code = run(Order(**json.loads(sys.argv[1])))
    # By convention a process that a signal ended reports 128 + its number.
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    # Not sys.exit: interpreter shutdown would wait for a thread that may be inside a read of the pipe.
    exit_code = main()
    sys.stdout.flush()
    os._exit(exit_code)

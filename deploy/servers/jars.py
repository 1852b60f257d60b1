"""Apache Kafka's jars, fetched once into a cache folder and checked against `kafka-jars.txt`."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.servers.processes import ServerError

KAFKA_VERSION = "4.3.1"
_LIST = Path(__file__).with_name("kafka-jars.txt")
_PROJECT_ROOT = Path(__file__).parents[2]
# A jar of 8 MB over a slow line, per read rather than in all.
_READ_TIMEOUT_SECONDS = 60
_PARALLEL_DOWNLOADS = 4
_FETCH = "import sys; from deploy.servers import jars; sys.exit(jars.fetch_here(*sys.argv[1:]))"


@dataclass(frozen=True)
class Jar:
    """One jar: its coordinates and the SHA-256 of its content, in hexadecimal."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Its name in the cache folder."""
        return f"{self.artifact}-{self.version}.jar"


def cache_dir() -> Path:
    """`.cache/jars` in the project, or `jars` in the folder that JORNADA_CACHE names."""
    root = os.environ.get("JORNADA_CACHE")
    return (Path(root).resolve() if root else _PROJECT_ROOT / ".cache") / "jars"


def kafka_class_path() -> list[Path]:
    """The jars of Apache Kafka, fetching those that are not in the cache; says so on standard error.

    Raises:
        ServerError: a jar could not be had, or is not the one it should be.
    """
    folder = cache_dir()
    jars = _read_list()
    if _missing(jars, folder):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "fetching.lock").open("w") as lock:
            # Several processes may start a server at once; one fetches, the others wait for it.
            fcntl.flock(lock, fcntl.LOCK_EX)
            _fetch_missing(jars, folder)
    return [folder / jar.file_name for jar in jars]


def _missing(jars: list[Jar], folder: Path) -> list[Jar]:
    return [jar for jar in jars if not (folder / jar.file_name).exists()]


def _fetch_missing(jars: list[Jar], folder: Path) -> None:
    if missing := _missing(jars, folder):
        _say(
            f"fetching Apache Kafka {KAFKA_VERSION} into {folder} ({len(missing)} of {len(jars)} jars, 45 MB in all, once) …"
        )
        _fetch_apart(missing, folder)
        _say(f"fetched Apache Kafka {KAFKA_VERSION}")


def _fetch_apart(missing: list[Jar], folder: Path) -> None:
    """Fetch in a process of its own: the resolver leaves connections open that would haunt this one as long as it lives."""
    wanted = json.dumps([asdict(jar) for jar in missing])
    command = [sys.executable, "-c", _FETCH, wanted, str(folder)]
    fetched = subprocess.run(command, cwd=_PROJECT_ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if fetched.returncode:
        raise ServerError(fetched.stdout.strip() or "the jars of Apache Kafka could not be fetched")


def fetch_here(wanted: str, folder: str) -> int:
    """What that process does; says on standard output what could not be had, and gives its exit code."""
    try:
        _fetch([Jar(**each) for each in json.loads(wanted)], Path(folder))
    except ServerError as error:
        print(error)
        return 1
    return 0


def _read_list() -> list[Jar]:
    lines = _LIST.read_text(encoding="ascii").splitlines()
    return [_parse(line) for line in lines if line and not line.startswith("#")]


def _parse(line: str) -> Jar:
    coordinates, checksum = line.split(" sha256:")
    group, artifact, version = coordinates.split(":")
    return Jar(group, artifact, version, checksum)


def _fetch(jars: list[Jar], folder: Path) -> None:
    # A download is moved out of here only when its checksum is right, so that a file in the cache is always whole; and
    # each run has its own, so that two at once do not meet.
    with (
        tempfile.TemporaryDirectory(prefix="unchecked-", dir=folder) as unchecked,
        ThreadPoolExecutor(_PARALLEL_DOWNLOADS) as executor,
    ):
        futures = [executor.submit(_fetch_one, jar, Path(unchecked), folder) for jar in jars]
        try:
            for future in futures:
                future.result()
        finally:
            # After the first failure the rest would only wait for the same dead line.
            executor.shutdown(wait=True, cancel_futures=True)


def _fetch_one(jar: Jar, unchecked: Path, folder: Path) -> None:
    from jgo.maven import MavenContext

    try:
        context = MavenContext(repo_cache=unchecked, timeout=_READ_TIMEOUT_SECONDS)
        path = Path(context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve())
    except (OSError, RuntimeError, ValueError) as error:  # its HTTP library's errors are OSErrors
        raise ServerError(_advice(jar, type(error).__name__)) from error
    if hashlib.sha256(path.read_bytes()).hexdigest() != jar.sha256:
        raise ServerError(_advice(jar, "what came has another checksum than kafka-jars.txt says"))
    path.replace(folder / jar.file_name)


def _advice(jar: Jar, reason: str) -> str:
    return (
        f"could not fetch {jar.group}:{jar.artifact}:{jar.version} ({reason}), which Kafka {KAFKA_VERSION} needs. "
        "Check the connection to the Java package registry and run the same command again (what has come is kept), or "
        "name a broker that runs already: JORNADA_TEST_KAFKA=host:port"
    )


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)

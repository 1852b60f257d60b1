"""Every setting, in one place: name, unit, default and why. From the environment (`JORNADA_…`) or a file of the same names.

The file is named by `JORNADA_SETTINGS` (KEY=value lines); the environment wins. A wrong value ends the start with a
message that names the variable, what it holds and what it accepts; so does a name that is no setting.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, NoDecode, SettingsConfigDict

from shared.contracts.money import MINOR_UNIT_EXPONENT
from shared.errors import Permanent

PREFIX = "JORNADA_"
Seconds = Annotated[float, Field(gt=0, le=86_400)]
_OTHERS = re.compile(
    "JORNADA_(SETTINGS|CACHE|KEY|POSTGRES_PASSWORD|TEST_.*)"
    "|JORNADA_(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_.*)?)"
)
"""Variables that are no settings: ours beside the service (which file, tests, downloads, the documentation's examples,
compose), and those that Kubernetes sets for each of its services whose name begins like ours."""
_SERVICE_LINK = re.compile("(tcp|udp|sctp)://")
_PASSWORD = re.compile("//[^/]*@")


class Settings(BaseSettings):
    """All settings. Units are in the names; each default has its reason beside it."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    # Where things are
    log: Literal["sql", "kafka"] = Field("sql", description="which log carries the events; sql needs no other server")
    database_url: str = Field(
        "sqlite+aiosqlite:///.run/jornada.db",
        description="postgresql+asyncpg://user:password@host/name or sqlite+aiosqlite:///file; "
        "the default needs no other server",
    )
    database_pool_size: Annotated[int, Field(ge=2, le=200)] = Field(
        10, description="connections of one process; twice the partitions that work at once is plenty"
    )
    kafka_bootstrap: str = Field("127.0.0.1:9092", description="host:port of Kafka brokers, comma-separated")
    partitions: Annotated[int, Field(ge=1, le=1000)] = Field(
        12, description="of each topic; how far engines can be spread; can't be changed once topics exist"
    )
    replication_factor: Annotated[int, Field(ge=1, le=7)] = Field(
        1, description="copies of each Kafka topic; 3 in production"
    )

    # HTTP
    http_host: str = Field("127.0.0.1", description="address to listen on; loopback until you decide otherwise")
    http_port: Annotated[int, Field(ge=0, le=65_535)] = Field(8000, description="0 takes a free one")
    public_url: str = Field(
        "http://127.0.0.1:8000", description="how customers' browsers reach this service, for unsubscribe links"
    )
    append_timeout_seconds: Seconds = Field(
        5, description="how long ingest waits for the log before it answers 503; clients must not hang"
    )

    # Stage engine
    lifecycles: Annotated[tuple[str, ...], NoDecode] = Field(
        ("ecommerce", "customer_care"),
        min_length=1,
        description="lifecycles that run, comma-separated; shipped names or YAML paths",
    )
    retired_lifecycles: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="names of lifecycles that ran and are to stop, comma-separated; an engine that just leaves one out of "
        "those that run does not start",
    )
    default_lifecycle: str | None = Field(
        None,
        description="the one meant where a request names none and its tenant has chosen none; unset takes the first that runs",
    )
    default_currency: str = Field("BRL", description="ISO 4217; for tenants that were created without one")
    session_timeout_ms: Annotated[int, Field(ge=1_000, le=300_000)] = Field(
        6_000, description="silence after which a dead member's partitions go to others; Kafka's own floor is 6000"
    )
    batch_records: Annotated[int, Field(ge=1, le=50_000)] = Field(
        500,
        description="most records of a partition in one transaction; larger amortises commits, smaller bounds memory",
    )
    timers_batch: Annotated[int, Field(ge=1, le=50_000)] = Field(
        400, description="most timers fired in one transaction, so that fresh events are never far behind"
    )
    backfill_settle_seconds: Seconds = Field(
        5,
        description="log time after a customer's last imported event before silence may wake a timer: imports go first",
    )
    history_retention_days: Annotated[int, Field(ge=1)] | None = Field(
        None, description="age at which applied events are trimmed; unset keeps them for ever"
    )
    log_retention_days: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="age at which the SQL log is trimmed behind its readers; unset keeps 30 days as Kafka's topics do",
    )

    # Notifier
    campaigns_dir: Path | None = Field(None, description="folder of campaign YAML files; unset takes the shipped ones")
    default_locale: str = Field("pt-BR", description="language of letters to customers whose own is not written in")
    delivery: Literal["files", "allowlist", "live"] = Field(
        "files", description="who may be sent to: nobody (e-mails become .eml files), the allow-list, or everybody"
    )
    delivery_allowlist: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="addresses or @domains that `allowlist` sends to, comma-separated"
    )
    outbox_dir: Path = Field(Path(".run/outbox"), description="where .eml files go")
    smtp_url: str = Field("smtp://127.0.0.1:1025", description="smtp[s]://user:password@host:port of the mail server")
    mail_from: str = Field("Jornada <no-reply@jornada.example>", description="sender of e-mails")
    webhook_allow_private: bool = Field(
        False, description="let webhooks go to loopback and private addresses; for development only"
    )
    webhook_timeout_seconds: Seconds = Field(15, description="of one attempt, body included; receivers should be quick")
    dispatch_concurrency: Annotated[int, Field(ge=1, le=1000)] = Field(
        50, description="deliveries under way at once in one process"
    )
    dispatch_per_endpoint: Annotated[int, Field(ge=1, le=1000)] = Field(
        8, description="of these, at most so many to one endpoint: a slow one delays no other"
    )
    delivery_lease_seconds: Seconds = Field(
        60, description="how long a claimed delivery is its sender's; longer than any attempt may take"
    )
    stale_after_hours: Annotated[float, Field(gt=0)] = Field(
        24, description="marketing about a change older than this is suppressed: nobody wants yesterday's news"
    )
    delivery_retention_days: Annotated[int, Field(ge=31)] = Field(
        400,
        description="age at which a finished delivery is trimmed: a year can be compared with the one before; 31 or more, "
        "longer than the log keeps what it was about",
    )
    attempt_retention_days: Annotated[int, Field(ge=7)] = Field(
        90,
        description="age at which attempts and records that the notifier could not read are trimmed: who looks into a "
        "failure does so within weeks",
    )

    # Operation
    environment: Literal["development", "production"] = Field(
        "development",
        description="production logs JSON; `jornada up` lets webhooks reach this machine in development only",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level that is logged")
    stop_timeout_seconds: Seconds = Field(10, description="how long a stop may take to finish what is under way")

    @field_validator("lifecycles", "retired_lifecycles", "delivery_allowlist", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        scheme, _, rest = value.partition("://")
        if scheme not in ("postgresql+asyncpg", "sqlite+aiosqlite") or not rest:
            meant = {"sqlite": "sqlite+aiosqlite", "postgres": "postgresql+asyncpg", "postgresql": "postgresql+asyncpg"}
            hint = f"; write {meant[scheme]}://… instead of {scheme}://…" if scheme in meant else ""
            raise ValueError(
                "must begin with postgresql+asyncpg:// or sqlite+aiosqlite:/// (four slashes for a path from the root)"
                + hint
            )
        return value

    @field_validator("default_currency")
    @classmethod
    def _known_currency(cls, value: str) -> str:
        if value not in MINOR_UNIT_EXPONENT:
            raise ValueError("must be an ISO 4217 code such as BRL, USD or EUR")
        return value


def load(**overrides: Any) -> Settings:
    """Read the settings once, at start. Raises Permanent that lists every wrong one with what it accepts."""
    source = os.environ.get(PREFIX + "SETTINGS")
    if source and not Path(source).is_file():
        raise Permanent(f"{PREFIX}SETTINGS names {source}, which is no file")
    given: dict[str, Mapping[str, str | None]] = {"the environment": os.environ}
    if source:
        given[source] = DotEnvSettingsSource(Settings, env_file=source).env_vars
    if unknown := [problem for where, names in given.items() for problem in _unknown(where, names)]:
        raise Permanent("\n".join(unknown))
    try:
        return Settings(_env_file=source, **overrides)
    except ValidationError as error:
        raise Permanent("\n".join(_explain(cast("dict[str, Any]", problem)) for problem in error.errors())) from None


def _unknown(where: str, given: Mapping[str, str | None]) -> list[str]:
    """What is named like a setting and is none: most likely one that is misspelt and would be passed over in silence."""
    known = [name.upper() for name in Settings.model_fields]
    found = []
    for written, value in given.items():
        name = written.upper()
        short = name.removeprefix(PREFIX)
        if not name.startswith(PREFIX) or short in known or _OTHERS.fullmatch(name):
            continue
        if name.endswith("_PORT") and _SERVICE_LINK.match(value or ""):
            continue
        close = difflib.get_close_matches(short, known, n=1)
        meant = f"did you mean {PREFIX}{close[0]}?" if close else "docs/operations.md lists all settings; remove it"
        found.append(f"{name} in {where} is no setting; {meant}")
    return found


def _explain(problem: dict[str, Any]) -> str:
    name = str(problem["loc"][0])
    field = Settings.model_fields[name]
    given, wrong = _PASSWORD.sub("//…@", repr(problem["input"])), problem["msg"].removeprefix("Value error, ")
    return f"{PREFIX}{name.upper()} is {given}: {wrong}. It means: {field.description}. Default: {field.default!r}."

"""The settings that differ from their defaults, and where each came from; secrets are never shown. Pure but for `where`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from services.cli.doctor.finding import Finding
from services.cli.serving import for_one_machine
from shared.http.server import url_for
from shared.settings import PREFIX, Settings

_HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Configured:
    """A setting that somebody set."""

    variable: str
    value: str
    source: str


def configured(settings: Settings, environment: Mapping[str, str]) -> list[Configured]:
    """Those whose values are not the default, in the order in which settings are declared."""
    upper = {name.upper() for name in environment}
    file = environment.get(PREFIX + "SETTINGS", "")
    found = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if name in settings.model_fields_set and value != field.default:
            variable = PREFIX + name.upper()
            found.append(Configured(variable, shown(value), "environment" if variable in upper else file))
    return found


def shown(value: object) -> str:
    """A setting's value for people, without the password of a URL."""
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    if "://" not in text:
        return text
    head, at, host = text.rpartition("@")
    scheme, _, login = head.partition("://")
    return f"{scheme}://{login.partition(':')[0]}:{_HIDDEN}@{host}" if at and ":" in login else text


def here() -> Mapping[str, str]:
    """The environment of this process."""
    return os.environ


def sending(settings: Settings) -> list[Finding]:
    """Whether the notifier's settings fit together. Where `jornada up` changes one for one machine, it is said."""
    up = for_one_machine(settings, url_for(settings.http_host, settings.http_port or "<free port>"))
    return [_delivery(settings), _links(settings, up), _webhooks(settings, up)]


def _delivery(settings: Settings) -> Finding:
    if settings.delivery == "files":
        return Finding("delivery", True, f"files: e-mails go to {settings.outbox_dir}/ and reach nobody")
    if settings.delivery == "allowlist":
        entries = ", ".join(settings.delivery_allowlist)
        advice = "name addresses or @domains in JORNADA_DELIVERY_ALLOWLIST"
        return Finding("delivery", bool(entries), f"allowlist: {entries or 'nobody is on the list'}", advice)
    return Finding("delivery", True, "live: everybody with consent and an address is written to")


def _links(settings: Settings, up: Settings) -> Finding:
    private = _is_private(settings.public_url)
    advice = "set JORNADA_PUBLIC_URL to how customers' browsers reach the notifier"
    ok = not (private and (settings.environment == "production" or settings.delivery == "live"))
    differs = f"; those of `jornada up` to {up.public_url}" if up.public_url != settings.public_url else ""
    return Finding("unsubscribe links", ok, f"lead to {settings.public_url}{differs}", advice)


def _webhooks(settings: Settings, up: Settings) -> Finding:
    if not settings.webhook_allow_private:
        differs = "; those of `jornada up` to this machine and private addresses too, because this is development"
        return Finding("webhooks", True, f"go to public addresses only{differs if up.webhook_allow_private else ''}")
    advice = "unset JORNADA_WEBHOOK_ALLOW_PRIVATE: a subscriber could make it call your own machines"
    return Finding("webhooks", settings.environment != "production", "may go to loopback and private addresses", advice)


def _is_private(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host in ("", "localhost")

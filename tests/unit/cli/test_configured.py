"""What `doctor` says of settings: where they came from, without secrets, and whether they fit together."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli.doctor.configured import configured, sending, shown
from services.cli.serving import for_one_machine
from shared.settings import Settings, load


def test_only_settings_that_differ_are_listed_with_their_source(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "jornada.env"
    file.write_text("JORNADA_PARTITIONS=4\nJORNADA_HTTP_PORT=8000\n")
    environment = {"JORNADA_SETTINGS": str(file), "jornada_log_level": "DEBUG"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = {one.variable: (one.value, one.source) for one in configured(load(), environment)}
    assert found == {"JORNADA_PARTITIONS": ("4", str(file)), "JORNADA_LOG_LEVEL": ("DEBUG", "environment")}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("postgresql+asyncpg://shop:se@cret@db/jornada", "postgresql+asyncpg://shop:***@db/jornada"),
        ("smtp://user:pass@mail:25", "smtp://user:***@mail:25"),
        ("sqlite+aiosqlite:///.run/jornada.db", "sqlite+aiosqlite:///.run/jornada.db"),
        (("a@b.example", "@c.example"), "a@b.example,@c.example"),
    ],
)
def test_no_password_is_shown(value: object, expected: str) -> None:
    assert shown(value) == expected


def failing(**settings: object) -> set[str]:
    return {finding.name for finding in sending(Settings(**settings)) if not finding.ok}  # type: ignore[arg-type]


def test_settings_that_contradict_each_other_fail() -> None:
    assert failing() == set()
    assert failing(delivery="allowlist") == {"delivery"}
    assert failing(delivery="live") == {"unsubscribe links"}
    assert failing(delivery="live", public_url="https://news.shop.example") == set()
    assert failing(environment="production", webhook_allow_private=True, public_url="https://a.example") == {"webhooks"}


HERE = "http://127.0.0.1:9001"


def test_up_lets_webhooks_reach_this_machine_in_development_only() -> None:
    assert for_one_machine(Settings(), HERE).webhook_allow_private
    assert not for_one_machine(Settings(environment="production"), HERE).webhook_allow_private
    assert not for_one_machine(Settings(webhook_allow_private=False), HERE).webhook_allow_private


def test_links_in_emails_lead_to_where_up_listens_unless_somebody_said_where() -> None:
    assert for_one_machine(Settings(http_port=0), HERE).public_url == HERE
    assert for_one_machine(Settings(public_url="https://x.example"), HERE).public_url == "https://x.example"


def said(**settings: object) -> dict[str, str]:
    return {finding.name: finding.detail for finding in sending(Settings(**settings))}  # type: ignore[arg-type]


def test_doctor_says_what_up_would_use_instead() -> None:
    changed = said(http_host="0.0.0.0", http_port=9001)
    assert "`jornada up` to http://127.0.0.1:9001" in changed["unsubscribe links"]
    assert "`jornada up` to this machine" in changed["webhooks"]
    assert "free port" in said(http_port=0)["unsubscribe links"]


def test_doctor_is_silent_about_up_where_it_changes_nothing() -> None:
    same = said(environment="production", public_url="https://x.example")
    assert "up" not in same["unsubscribe links"].split()
    assert "development" not in same["webhooks"]

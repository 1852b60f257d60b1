"""`jornada tenants`, on a database file of its own: each tenant with the lifecycle that it means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.stage_engine.definitions.registering import register
from tests.unit.cli.left_behind import on_database

Run = Callable[..., Any]


@pytest.fixture
def run(url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `jornada …` on a database with two tenants and the default lifecycles."""
    monkeypatch.setenv("JORNADA_DATABASE_URL", url)
    runner = CliRunner()

    def call(*words: str) -> Any:
        return runner.invoke(app, list(words), catch_exceptions=False, terminal_width=200)

    assert call("migrate").exit_code == 0
    for tenant in ("shop", "bakery"):
        assert call("keys", "create", "--tenant", tenant, "--scope", "admin").exit_code == 0
    on_database(url, lambda database: register(database, ("ecommerce", "customer_care"), 1))
    return call


def _told(result: Any) -> str:
    """The last line: what is logged before it depends on who has configured logging in this process."""
    return str(result.output.splitlines()[-1])


def test_a_tenant_means_the_first_lifecycle_until_it_chooses(run: Run) -> None:
    assert _told(run("tenants", "default-lifecycle", "shop")) == "shop means ecommerce (by the settings)"
    assert _told(run("tenants", "default-lifecycle", "shop", "customer_care")) == "shop means customer_care (chosen)"
    listed = run("tenants", "list").output.splitlines()
    (bakery,) = [line for line in listed if "bakery" in line]
    (shop,) = [line for line in listed if "shop" in line]
    assert "ecommerce (settings)" in bakery
    assert "customer_care" in shop
    assert _told(run("tenants", "default-lifecycle", "shop", "--clear")) == "shop means ecommerce (by the settings)"


def test_the_setting_counts_for_who_has_not_chosen(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JORNADA_DEFAULT_LIFECYCLE", "customer_care")
    run("tenants", "default-lifecycle", "shop", "ecommerce")
    assert "customer_care (by the settings)" in run("tenants", "default-lifecycle", "bakery").output
    assert "ecommerce (chosen)" in run("tenants", "default-lifecycle", "shop").output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("shop", "ecomerce"), "no lifecycle 'ecomerce' is registered; did you mean \"ecommerce\"?"),
        (("shp", "ecommerce"), "there is no tenant 'shp'"),
        (("shp",), "there is no tenant 'shp'"),
        (("shp", "--clear"), "there is no tenant 'shp'"),
        (("shop", "ecommerce", "--clear"), "not both"),
    ],
)
def test_what_there_is_not_can_not_be_chosen(run: Run, words: tuple[str, ...], told: str) -> None:
    result = run("tenants", "default-lifecycle", *words)
    assert (result.exit_code, told in result.stderr) == (1, True), result.stderr
    assert "(by the settings)" in run("tenants", "default-lifecycle", "shop").output


def test_without_tenants_the_list_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JORNADA_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}")
    runner = CliRunner()
    runner.invoke(app, ["migrate"])
    assert "no tenants yet" in runner.invoke(app, ["tenants", "list"]).output

"""Settings: a name that is none is refused, wherever it was written, and what others need is let through."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import Permanent
from shared.settings import load


def test_a_misspelt_variable_is_refused_with_what_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JORNADA_HTTP_PORTT", "9000")
    with pytest.raises(Permanent, match=r"JORNADA_HTTP_PORTT in the environment .* did you mean JORNADA_HTTP_PORT\?"):
        load()


def test_a_misspelt_name_in_the_settings_file_is_refused_with_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "jornada.env"
    file.write_text("JORNADA_PARTITIONS=4\nJORNADA_DELIVRY=live\nPOSTGRES_USER=shop\n")
    monkeypatch.setenv("JORNADA_SETTINGS", str(file))
    with pytest.raises(Permanent) as caught:
        load()
    assert str(caught.value) == f"JORNADA_DELIVRY in {file} is no setting; did you mean JORNADA_DELIVERY?"


def test_a_name_like_no_other_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JORNADA_ZZZ", "1")
    with pytest.raises(Permanent, match="lists all settings"):
        load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JORNADA_CACHE", "/var/cache"),
        ("JORNADA_KEY", "jrn_1.2"),
        ("JORNADA_POSTGRES_PASSWORD", "secret"),
        ("JORNADA_TEST_KAFKA", "127.0.0.1:9092"),
        ("jornada_log_level", "DEBUG"),
        # Kubernetes tells every pod of the services beside it.
        ("JORNADA_SERVICE_HOST", "10.0.0.7"),
        ("JORNADA_INGEST_SERVICE_PORT_HTTP", "8001"),
        ("JORNADA_PORT", "tcp://10.0.0.7:8000"),
        ("JORNADA_INGEST_PORT_8001_TCP_ADDR", "10.0.0.7"),
    ],
)
def test_what_is_known_or_belongs_to_others_is_let_through(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    load()


def test_a_port_is_a_service_link_by_its_value_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JORNADA_HTP_PORT", "9000")
    with pytest.raises(Permanent, match="did you mean JORNADA_HTTP_PORT"):
        load()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("sqlite:///shop.db", "write sqlite+aiosqlite://… instead of sqlite://…"),
        ("postgresql://shop:secret@db/shop", "write postgresql+asyncpg://… instead of postgresql://…"),
        ("mysql://shop:secret@db/shop", "must begin with postgresql+asyncpg:// or sqlite+aiosqlite:///"),
        ("shop.db", "must begin with"),
        ("", "must begin with"),
    ],
)
def test_a_database_that_is_not_known_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, value: str, told: str
) -> None:
    monkeypatch.setenv("JORNADA_DATABASE_URL", value)
    with pytest.raises(Permanent) as caught:
        load()
    assert told in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_engine_without_lifecycles_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JORNADA_LIFECYCLES", " ")
    with pytest.raises(Permanent, match=r"JORNADA_LIFECYCLES is \(\): .* at least 1"):
        load()

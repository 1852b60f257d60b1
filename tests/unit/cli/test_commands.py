"""The command line as a person meets it: on a database file of its own, without any server."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from services.cli.main import app
from services.notifier.store import dead_records
from services.stage_engine.definitions.registering import register
from services.stage_engine.store import dead_letters, tables
from services.stage_engine.store.dead_letters import DeadLetter
from shared.contracts.dead_letters import DeadLetterReason
from shared.contracts.topics import Topic
from shared.db.port import Database
from shared.log.port import Record
from shared.log.sql_tables import records
from tests.unit.cli.left_behind import on_database
from tests.unit.cli.test_replaying import BROKEN, EVENT

Run = Callable[..., Any]
"""Words in, typer's result out."""


@pytest.fixture
def run(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `jornada …` on a fresh database in a fresh folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JORNADA_DATABASE_URL", url)
    runner = CliRunner()
    return lambda *words: runner.invoke(app, list(words), catch_exceptions=False, terminal_width=200)


@pytest.fixture
def migrated(run: Run) -> Run:
    assert run("migrate").exit_code == 0
    assert run("topics", "create").exit_code == 0
    return run


@pytest.fixture
def no_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The port to listen on is taken, so that a service that should have refused to start ends all the same."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("JORNADA_HTTP_PORT", str(taken.getsockname()[1]))
        yield


def set_aside(url: str, value: bytes, reason: DeadLetterReason = DeadLetterReason.INVALID_PAYLOAD) -> None:
    async def add(database: Database) -> None:
        letter = DeadLetter("3-17", 3, 17, reason, "amount has three decimals", "shop", "c-1", b"shop:c-1", value, 1)
        async with database.transaction() as transaction:
            await transaction.write_all([dead_letters.add([letter])])

    on_database(url, add)


def set_aside_by_notifier(url: str, value: bytes) -> str:
    async def add(database: Database) -> None:
        record = Record(Topic.STAGE_CHANGED, 2, 9, 2, b"shop:c-[/b]", value, ())
        async with database.transaction() as transaction:
            await dead_records.keep(transaction, [(record, "the detail [/red]")])

    on_database(url, add)
    return "jornada.stage-changed.v1/2-9"


def logged(url: str) -> list[tuple[bytes, bytes]]:
    async def read(database: Database) -> list[tuple[bytes, bytes]]:
        async with database.reading() as transaction:
            found = await transaction.execute(select(records.c.key, records.c.value))
            return [(key, value) for key, value in map(tuple, found)]

    return on_database(url, read)


def stored(url: str) -> tuple[bytes, int | None]:
    async def read(database: Database) -> tuple[bytes, int | None]:
        table = tables.dead_letters
        async with database.reading() as transaction:
            value, replayed_ms = tuple((await transaction.execute(select(table.c.value, table.c.replayed_ms))).one())
            return value, replayed_ms

    return on_database(url, read)


def test_help_names_every_command(run: Run) -> None:
    listed = run("--help").output.partition("Commands")[2]
    assert set(re.findall(r"^\S ([a-z-]+) {2,}", listed, re.MULTILINE)) == {
        "up", "ingest", "engine", "notifier", "migrate", "topics", "keys", "tenants", "dead-letters", "lifecycle",
        "explain", "rebuild", "demo", "doctor", "import",
    }  # fmt: skip


@pytest.mark.parametrize(
    "words", [("keys", "list"), ("topics", "create"), ("dead-letters", "list"), ("ingest",), ("engine",)]
)
def test_a_database_without_tables_is_one_clear_message(run: Run, words: tuple[str, ...], tmp_path: Path) -> None:
    result = run(*words)
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert f"error: there is no database at {tmp_path}/jornada.db: start in the folder where `jornada up` runs" in said
    assert "Traceback" not in result.output
    assert not (tmp_path / "jornada.db").exists()
    (tmp_path / "jornada.db").touch()
    assert "error: the database has no tables yet; run `jornada migrate`" in run(*words).output


def test_a_file_that_is_no_database_is_one_clear_message(run: Run, tmp_path: Path) -> None:
    (tmp_path / "jornada.db").write_text("once upon a time there was a text that went on and on and was no database")
    for words in (("keys", "list"), ("migrate",), ("doctor",)):
        result = run(*words)
        assert (result.exit_code, "is no SQLite database; name another" in result.output) == (1, True), result.output
        assert "Traceback" not in result.output
    told = run("doctor").output
    assert re.search(r"failed\s+migrations .*is no SQLite database", told)
    assert re.search(r"ok\s+lifecycles .*ok\s+campaigns .*ok\s+delivery .*ok\s+webhooks ", told, re.DOTALL), told


def test_a_wrong_setting_is_named_with_what_it_accepts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JORNADA_LOG", "rabbit")
    result = run("keys", "list")
    assert result.exit_code == 1
    assert "JORNADA_LOG is 'rabbit'" in result.output
    assert "'sql' or 'kafka'" in result.output


def test_migrating_goes_to_the_newest_revision_and_back(run: Run) -> None:
    assert "the database is at revision" in run("migrate").output
    assert "base (no tables)" in run("migrate", "--to", "base").output
    assert run("keys", "list").exit_code == 1


def test_creating_topics_again_is_harmless_and_another_count_is_refused(
    migrated: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "jornada.customer-updated.v1  12 partitions" in migrated("topics", "create").output
    monkeypatch.setenv("JORNADA_PARTITIONS", "6")
    result = migrated("topics", "create")
    assert result.exit_code == 1
    assert "set JORNADA_PARTITIONS=12" in result.output


@pytest.mark.usefixtures("no_port")
@pytest.mark.parametrize("command", ["ingest", "engine", "notifier"])
def test_a_service_refuses_another_number_of_partitions_than_the_log_has(
    migrated: Run, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("JORNADA_PARTITIONS", "6")
    result = migrated(command)
    assert result.exit_code == 1
    assert "has 12 partitions, the settings say 6" in result.output
    assert "set JORNADA_PARTITIONS=12" in result.output


@pytest.mark.usefixtures("no_port")
def test_a_service_without_topics_says_how_to_make_them(run: Run) -> None:
    assert run("migrate").exit_code == 0
    result = run("ingest")
    assert result.exit_code == 1
    assert "run `jornada topics create`" in result.output


@pytest.mark.usefixtures("no_port")
def test_a_campaign_for_a_stage_that_there_is_not_is_refused_and_shown_by_doctor(
    migrated: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    campaigns = tmp_path / "campaigns"
    campaigns.mkdir()
    steps = "steps: [{key: one, template: welcome}]"
    (campaigns / "hello.yaml").write_text(
        f"key: hello\nclass: marketing\ntrigger: {{lifecycle: ecommerce, entered: at_rsk}}\n{steps}\n"
    )
    monkeypatch.setenv("JORNADA_CAMPAIGNS_DIR", str(campaigns))
    said = "hello.yaml:3:33: the campaign `hello` waits for the stage `at_rsk`"
    for command in ("notifier", "doctor"):
        result = migrated(command)
        assert result.exit_code == 1
        assert said in result.output
        assert "did you mean `at_risk`?" in result.output


def club(stage: str) -> str:
    ways = f"transitions: [{{id: joined, from: guest, to: {stage}, on: purchase}}]"
    return f"lifecycle: club\nstart: guest\nstages: {{guest: {{order: 1}}, {stage}: {{order: 2}}}}\n{ways}\n"


@pytest.fixture
def campaign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A campaign that waits for the stage `member` of club.yaml, which the settings list."""
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "campaigns" / "hello.yaml").write_text(
        "key: hello\nclass: marketing\ntrigger: {lifecycle: club, entered: member}\nsteps: [{key: one, template: welcome}]\n"
    )
    monkeypatch.setenv("JORNADA_CAMPAIGNS_DIR", "campaigns")
    monkeypatch.setenv("JORNADA_LIFECYCLES", "club.yaml")


@pytest.mark.usefixtures("no_port", "campaign")
@pytest.mark.parametrize(("active", "listed"), [("member", "friend"), ("friend", "member")])
def test_campaigns_are_held_against_what_is_active_and_not_against_a_file_that_differs(
    migrated: Run, url: str, tmp_path: Path, active: str, listed: str
) -> None:
    (tmp_path / "club.yaml").write_text(club(active))
    on_database(url, lambda database: register(database, ("club.yaml",), 1))
    (tmp_path / "club.yaml").write_text(club(listed))
    for command, otherwise in (("notifier", "can't listen"), ("doctor", "all is well")):
        result = migrated(command)
        assert ("waits for the stage `member`" in result.output) == (active == "friend")
        assert ("club version 1 is active and was looked at" in result.output) == (active == "friend")
        assert (otherwise in result.output) == (active == "member"), result.output


@pytest.mark.usefixtures("no_port", "campaign")
def test_while_the_database_is_away_campaigns_are_held_against_the_files(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "club.yaml").write_text(club("friend"))
    monkeypatch.setenv("JORNADA_DATABASE_URL", "postgresql+asyncpg://nobody@127.0.0.1:9/nothing")
    result = run("notifier")
    assert (result.exit_code, "waits for the stage `member`" in result.output) == (1, True)
    assert "is active and was looked at" not in result.output


def test_a_misspelt_setting_is_one_clear_message(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JORNADA_HTTP_PORTT", "9000")
    result = run("keys", "list")
    assert result.exit_code == 1
    assert "did you mean JORNADA_HTTP_PORT?" in result.output


def test_a_key_is_shown_once_and_can_be_revoked(migrated: Run) -> None:
    made = migrated("keys", "create", "--tenant", "shop", "--scope", "events:write", "--scope", "admin", "--label", "x")
    token = made.stdout.split()[0]
    identity = re.fullmatch(r"jrn_([0-9a-f]{16})\.\S{43}", token)
    assert identity, made.output
    listed = migrated("keys", "list").output
    assert identity[1] in listed
    assert token.partition(".")[2] not in listed
    assert migrated("keys", "revoke", identity[1]).exit_code == 0
    assert migrated("keys", "revoke", "0000").exit_code == 1


def test_a_tenant_keeps_its_currency(migrated: Run) -> None:
    scope = ("--scope", "admin")
    assert migrated("keys", "create", "--tenant", "shop", "--currency", "EUR", *scope).exit_code == 0
    refused = migrated("keys", "create", "--tenant", "shop", "--currency", "BRL", *scope)
    assert refused.exit_code == 1
    assert "counts in EUR" in refused.output


def test_dead_letters_are_listed_by_reason_and_shown_with_their_bytes(migrated: Run, url: str) -> None:
    set_aside(url, json.dumps(BROKEN).encode())
    assert "3-17" in migrated("dead-letters", "list").output
    assert "3-17" in migrated("dead-letters", "list", "--reason", "invalid_payload").output
    assert "no dead letters" in migrated("dead-letters", "list", "--reason", "invalid_json").output
    shown = migrated("dead-letters", "show", "3-17").output
    assert '"amount": "129.901"' in shown
    assert "partition 3, offset 17" in shown
    assert migrated("dead-letters", "show", "3-17", "--raw").stdout_bytes == json.dumps(BROKEN).encode()


def test_the_notifiers_dead_records_are_listed_beside_the_engines_and_shown(migrated: Run, url: str) -> None:
    set_aside(url, json.dumps(BROKEN).encode())
    identity = set_aside_by_notifier(url, b"\xff[/red]")
    both = migrated("dead-letters", "list").output
    assert re.search(rf"{identity}\W+notifier\W.*shop\W+c-\[/b\]", both)
    assert re.search(r"3-17\W+engine\W", both)
    assert both.index(identity) < both.index(" 3-17"), "the newest first"
    assert identity not in migrated("dead-letters", "list", "--of", "engine").output
    assert " 3-17" not in migrated("dead-letters", "list", "--of", "notifier").output
    assert identity not in migrated("dead-letters", "list", "--reason", "invalid_payload").output
    assert identity in migrated("dead-letters", "list", "--limit", "1").output
    shown = migrated("dead-letters", "show", identity).output
    assert "jornada.stage-changed.v1, partition 2, offset 9" in shown
    assert "the detail [/red]" in shown
    assert "ff 5b" in shown
    assert migrated("dead-letters", "show", identity, "--raw").stdout_bytes == b"\xff[/red]"


def test_what_the_engine_alone_may_write_is_not_replayed(migrated: Run, url: str) -> None:
    result = migrated("dead-letters", "replay", set_aside_by_notifier(url, b"{}"))
    assert result.exit_code == 1
    assert "can't be replayed: the stage engine alone decides" in result.output
    assert logged(url) == []


def test_bytes_that_are_no_json_are_shown_as_hex(migrated: Run, url: str) -> None:
    set_aside(url, b"\xff\x00abc" + b"z" * 2000)
    shown = migrated("dead-letters", "show", "3-17").output
    assert "00000000  ff 00 61 62 63" in shown
    assert "981 bytes more" in shown


def test_a_broken_dead_letter_is_not_replayed_and_keeps_its_bytes(migrated: Run, url: str) -> None:
    set_aside(url, json.dumps(BROKEN).encode())
    result = migrated("dead-letters", "replay", "3-17")
    assert result.exit_code == 1
    assert "invalid_payload" in result.output
    assert logged(url) == []
    assert stored(url) == (json.dumps(BROKEN).encode(), None)


def test_a_repaired_one_goes_to_the_log_and_the_original_bytes_stay(migrated: Run, url: str, tmp_path: Path) -> None:
    set_aside(url, json.dumps(BROKEN).encode())
    repaired = tmp_path / "repaired.json"
    repaired.write_text(json.dumps(EVENT))
    result = migrated("dead-letters", "replay", "3-17", "--file", str(repaired))
    assert result.exit_code == 0, result.output
    assert logged(url) == [(b"shop:c-1", repaired.read_bytes())]
    value, replayed_ms = stored(url)
    assert value == json.dumps(BROKEN).encode()
    assert replayed_ms is not None
    assert "no dead letters" in migrated("dead-letters", "list").output
    assert "3-17" in migrated("dead-letters", "list", "--all").output


def test_an_unknown_dead_letter_is_refused(migrated: Run) -> None:
    for words in (("replay", "9-9"), ("show", "9-9"), ("show", "jornada.stage-changed.v1/9-9")):
        result = migrated("dead-letters", *words)
        assert result.exit_code == 1
        assert f"there is no dead letter '{words[1]}'" in result.output


def test_doctor_says_what_to_do_and_fails_until_it_is_done(run: Run) -> None:
    before = run("doctor")
    assert before.exit_code == 1
    assert "run `jornada migrate`" in before.output
    assert run("migrate").exit_code == 0
    between = run("doctor")
    assert between.exit_code == 1
    assert "run `jornada topics create`" in between.output
    assert run("topics", "create").exit_code == 0
    after = run("doctor")
    assert after.exit_code == 0, after.output
    assert "JORNADA_DATABASE_URL" in after.output
    assert "failed" not in after.output


def test_doctor_fails_for_a_mail_server_that_is_away_and_a_lifecycle_that_is_wrong(
    migrated: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JORNADA_DELIVERY", "live")
    monkeypatch.setenv("JORNADA_SMTP_URL", "smtp://user:secret@127.0.0.1:1")
    monkeypatch.setenv("JORNADA_LIFECYCLES", "ecommerce,nonesuch")
    result = migrated("doctor")
    assert result.exit_code == 1
    assert re.search(r"failed\s+mail server", result.output)
    assert re.search(r"failed\s+lifecycles .*nonesuch", result.output)
    assert "secret" not in result.output
    monkeypatch.setenv("JORNADA_SMTP_URL", "smtp://mail:smtp")
    assert re.search(r"failed\s+mail server +JORNADA_SMTP_URL must be written like", migrated("doctor").output)


def test_the_demo_removes_no_folder_that_it_has_not_made(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "beach.jpg").write_bytes(b"x")
    result = run("demo", "--folder", "photos")
    assert result.exit_code == 1
    assert "no demo has made" in result.output
    assert (tmp_path / "photos" / "beach.jpg").exists()

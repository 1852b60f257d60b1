"""`jornada lifecycle publish|rollback|history|diff` as a person and as a program meet them, on a database file of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from services.cli.main import app
from services.stage_engine.api.lifecycle_forms import PublishedOut
from services.stage_engine.definitions.registering import register
from shared.contracts.times import now_ms, parse_text
from shared.contracts.topics import Topic
from shared.db.port import Database
from shared.log.sql_tables import records
from shared.settings import Settings
from tests.unit.cli.left_behind import on_database

Run = Callable[..., Any]
CLUB = """\
lifecycle: club
start: guest
stages: {guest: {order: 1}, member: {order: 2}}
transitions:
  - {id: joined, from: guest, to: member, on: purchase}
"""
GOLD = CLUB.replace("order: 2}}", "order: 2}, gold: {order: 3}}") + (
    '  - {id: many, from: member, to: gold, when: "facts.orders >= 3"}\n'
)
STRICT = GOLD.replace(">= 3", ">= 9")
RENAMED = CLUB.replace("member", "friend")
CAMPAIGN = (
    "key: hello\nclass: marketing\ntrigger: {lifecycle: club, entered: gold}\nsteps: [{key: one, template: welcome}]\n"
)


@pytest.fixture
def run(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `jornada lifecycle …` where an engine has registered club.yaml; no campaign waits for anything."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JORNADA_DATABASE_URL", url)
    monkeypatch.setenv("JORNADA_CAMPAIGNS_DIR", str(tmp_path / "campaigns"))
    (tmp_path / "campaigns").mkdir()
    for name, text in {"club": CLUB, "gold": GOLD, "strict": STRICT, "renamed": RENAMED}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    runner = CliRunner()
    assert runner.invoke(app, ["migrate"]).exit_code == 0
    assert runner.invoke(app, ["topics", "create"]).exit_code == 0
    on_database(url, lambda database: register(database, ("club.yaml",), now_ms()))
    return lambda *words: runner.invoke(app, ["lifecycle", *words], catch_exceptions=False)


def told_partitions(url: str) -> dict[int, int]:
    """How many control records each partition of the events topic has."""

    async def read(database: Database) -> dict[int, int]:
        columns = records.c
        counted = select(columns.partition, func.count()).where(columns.topic == Topic.EVENTS)
        async with database.reading() as transaction:
            found = await transaction.execute(counted.group_by(columns.partition))
            return {int(partition): int(number) for partition, number in map(tuple, found)}

    return on_database(url, read)


def published(run: Run, *words: str) -> Any:
    result = run(*words, "-m", "a test", "--author", "ana", "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def active(run: Run) -> int:
    return int(json.loads(run("history", "club", "--format", "json").stdout)[-1]["version"])


def lines(result: Any) -> list[str]:
    return [" ".join(line.replace("│", " ").split()) for line in result.stdout.splitlines()]


def waits_for_gold(tmp_path: Path) -> None:
    (tmp_path / "campaigns" / "hello.yaml").write_text(CAMPAIGN)


def test_a_program_gets_the_publication_as_http_tells_it(run: Run, url: str) -> None:
    before = now_ms()
    told = published(run, "publish", "gold.yaml", "--notify", "--migrate", "old=member")
    assert list(told) == list(PublishedOut.model_fields)
    assert (told["lifecycle"], told["version"], told["number"], told["new"]) == ("club", 2, 2, True)
    assert (told["message"], told["author"], told["notify"]) == ("a test", "ana", True)
    assert told["migrate"] == {"old": "member"}
    assert before <= parse_text(told["created_at"]) <= now_ms()
    assert told_partitions(url) == dict.fromkeys(range(Settings().partitions), 1)


def test_a_person_is_told_what_is_published_and_when_customers_meet_it(run: Run) -> None:
    said = " ".join(run("publish", "gold.yaml", "-m", "why").stdout.split())
    assert said.startswith("club version 2 is published (")
    assert "Customers meet it when they are next touched" in said
    assert active(run) == 2


def test_the_same_file_once_more_is_announced_again_and_not_published(run: Run, url: str) -> None:
    first = published(run, "publish", "gold.yaml")
    assert published(run, "publish", "gold.yaml") == {**first, "new": False}
    again = run("publish", "gold.yaml", "-m", "once more")
    assert (again.exit_code, again.stdout) == (0, "club version 2 is active already; it was announced again\n")
    assert set(told_partitions(url).values()) == {3}


@pytest.mark.parametrize(
    ("file", "more", "why"),
    [
        ("renamed.yaml", (), "no stage member any more"),
        ("renamed.yaml", ("--migrate", "member=pal"), "migrate leads to pal"),
        ("renamed.yaml", ("--migrate", "member"), "--migrate member: write old=new"),
        ("other.yaml", (), "no engine runs a lifecycle 'other'"),
        ("unfit.yaml", (), "there is no active lifecycle `nothing`"),
        ("broken.yaml", (), "unknown fact `facts.ordres`; did you mean `orders`?"),
    ],
)
def test_what_can_not_be_published_is_refused_and_changes_nothing(
    run: Run, url: str, tmp_path: Path, file: str, more: tuple[str, ...], why: str
) -> None:
    (tmp_path / "other.yaml").write_text(CLUB.replace("lifecycle: club", "lifecycle: other"))
    (tmp_path / "unfit.yaml").write_text(GOLD.replace("facts.orders >= 3", "stages.nothing == 'x'"))
    (tmp_path / "broken.yaml").write_text(GOLD.replace("facts.orders", "facts.ordres"))
    refused = run("publish", file, *more, "-m", "why")
    assert (refused.exit_code, why in refused.stderr, refused.stdout) == (1, True, ""), refused.output
    assert (active(run), told_partitions(url)) == (1, {})


def test_a_lost_stage_is_published_with_where_its_customers_go(run: Run) -> None:
    assert published(run, "publish", "renamed.yaml", "--migrate", "member=friend")["migrate"] == {"member": "friend"}


def test_a_file_that_lacks_what_a_campaign_waits_for_is_not_published(run: Run, url: str, tmp_path: Path) -> None:
    waits_for_gold(tmp_path)
    refused = run("publish", "renamed.yaml", "--migrate", "member=friend", "-m", "why")
    assert refused.exit_code == 1
    assert (
        "hello.yaml:3:28: the campaign `hello` waits for the stage `gold`, which club does not have" in refused.stderr
    )
    assert (active(run), told_partitions(url)) == (1, {})
    assert run("publish", "gold.yaml", "-m", "it has gold").exit_code == 0


def test_rolling_back_publishes_the_version_before_or_the_one_named(run: Run) -> None:
    published(run, "publish", "gold.yaml")
    published(run, "publish", "strict.yaml")
    before = published(run, "rollback", "club")
    assert (before["version"], before["number"], before["new"]) == (2, 4, True)
    assert list(before) == list(PublishedOut.model_fields)
    named = run("rollback", "club", "--to", "1", "--migrate", "gold=member", "-m", "back to the start")
    assert (named.exit_code, named.stdout.startswith("club version 1 is published")) == (0, True)
    assert active(run) == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("club", "--to", "7"), "can't be rolled back to version 7; others than the active one: 1"),
        (("club", "--to", "2"), "can't be rolled back to version 2; others than the active one: 1"),
        (("clubs",), "no engine runs a lifecycle 'clubs' (registered: club)"),
        (("club",), "no stage gold any more"),
    ],
)
def test_a_rollback_that_leads_nowhere_is_refused(run: Run, words: tuple[str, ...], why: str) -> None:
    published(run, "publish", "gold.yaml")
    refused = run("rollback", *words, "-m", "why")
    assert (refused.exit_code, why in refused.stderr) == (1, True), refused.output
    assert active(run) == 2


def test_a_version_that_lacks_what_a_campaign_waits_for_is_not_rolled_back_to(run: Run, tmp_path: Path) -> None:
    published(run, "publish", "gold.yaml")
    published(run, "publish", "strict.yaml")
    waits_for_gold(tmp_path)
    refused = run("rollback", "club", "--to", "1", "--migrate", "gold=member", "-m", "why")
    assert refused.exit_code == 1
    assert "the campaign `hello` waits for the stage `gold`, which club does not have" in refused.stderr
    assert active(run) == 3
    assert run("rollback", "club", "-m", "version 2 has gold").exit_code == 0
    assert active(run) == 2


def test_history_tells_programs_each_publication(run: Run) -> None:
    told = published(run, "publish", "renamed.yaml", "--migrate", "member=friend", "--notify")
    first, second = json.loads(run("history", "club", "--format", "json").stdout)
    assert (first["number"], first["version"], first["author"], first["notify"]) == (1, 1, "engine", False)
    assert {name: second[name] for name in told if name != "new"} == {k: v for k, v in told.items() if k != "new"}


def test_history_tells_people_who_published_what_and_which_is_active(run: Run) -> None:
    moved = ("--migrate", "member=friend", "--notify")
    assert run("publish", "renamed.yaml", *moved, "-m", "why [/not] [b]so[/b]", "--author", "ana [x]").exit_code == 0
    result = run("history", "club")
    assert result.exit_code == 0
    first, second = [line for line in lines(result) if "Z " in line]
    assert first.endswith("Z 1 engine registered when an engine started")
    assert second.endswith("Z 2 (active) ana [x] why [/not] [b]so[/b] member → friend yes")


def test_the_history_of_what_was_never_registered_is_an_error(run: Run) -> None:
    refused = run("history", "clubs")
    assert (refused.exit_code, "no lifecycle 'clubs' was ever registered" in refused.stderr) == (1, True)


def test_a_difference_is_told_by_parts_and_lines_and_exits_with_1(run: Run) -> None:
    result = run("diff", "club", "gold.yaml")
    assert result.exit_code == 1
    said = result.stdout.splitlines()
    assert said[:2] == ["stages added: gold", "transitions added: many"]
    assert '+  - {id: many, from: member, to: gold, when: "facts.orders >= 3"}' in said
    assert [line for line in said if line.startswith("-") and not line.startswith("---")] == [
        "-stages: {guest: {order: 1}, member: {order: 2}}"
    ]


def test_programs_get_the_difference_and_the_same_exit_code(run: Run) -> None:
    published(run, "publish", "gold.yaml")
    result = run("diff", "club@1", "club", "--format", "json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["stages"] == {"added": ["gold"], "removed": [], "changed": []}
    assert told["transitions"] == {"added": ["many"], "removed": [], "changed": []}
    assert any(line.startswith("+  - {id: many") for line in told["text"])


def test_no_difference_exits_with_0(run: Run) -> None:
    same = run("diff", "club", "./club.yaml")
    assert (same.exit_code, same.stdout) == (0, "they are the same\n")
    told = run("diff", "club@1", "club.yaml", "--format", "json")
    assert (told.exit_code, json.loads(told.stdout)["text"]) == (0, [])


def test_a_side_that_there_is_not_is_told_with_those_there_are(run: Run) -> None:
    refused = run("diff", "club@4", "club")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "there is no 'club@4'; stored are: club@1. A path to a YAML file works too" in " ".join(
        refused.stderr.split()
    )

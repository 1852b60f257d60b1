"""`jornada demo` as somebody runs it who has just cloned the project."""

from __future__ import annotations

import email
import email.policy
from pathlib import Path

import pytest

from services.cli.demo.story import STORY
from tests.system.commands import JORNADA, finished

LIE = """
import sys
from dataclasses import replace
from services.cli.demo import story
from services.cli.demo.plot import Fate
from services.cli.main import main

first, *others = story.STORY.customers
lied = replace(first, fates=(*first.fates, Fate("win-back", "hello", "sent")))
story.STORY = replace(story.STORY, customers=(lied, *others))
sys.argv = ["jornada", "demo", "--patience", "20"]
main()
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One demo, told to its end: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    result = finished([*JORNADA, "demo"], folder, timeout_seconds=120)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / ".run" / "demo", result.stdout


def test_the_demo_ends_well_and_says_that_all_expectations_hold(told: tuple[Path, str]) -> None:
    assert "expectations hold" in told[1]
    assert "differs" not in told[1]


def test_a_timer_fires_while_you_watch_and_wins_back(told: tuple[Path, str]) -> None:
    feed, _, shown = told[1].partition("Each customer's path")
    waiting = feed.index("waiting for two silences to end")
    assert feed.index("Helena Martins: repeat_customer → at_risk (went_quiet)") > waiting
    assert feed.index("Helena Martins: win-back/hello sent") > waiting
    assert "timer due" in shown


def test_every_reason_for_silence_is_shown(told: tuple[Path, str]) -> None:
    for reason in ("no_consent", "missing_address", "open_complaint", "stale", "left_stage"):
        assert f"{reason}: " in told[1]


def test_the_emails_are_files_that_a_mail_program_opens(told: tuple[Path, str]) -> None:
    letters = sorted((told[0] / "outbox").glob("*.eml"))
    read = [email.message_from_bytes(one.read_bytes(), policy=email.policy.default) for one in letters]
    assert len(read) == STORY.letters()
    assert all(one["Subject"] and "@customers.example" in one["To"] for one in read)


def test_the_webhooks_are_shown_as_verified(told: tuple[Path, str]) -> None:
    assert f"{STORY.webhooks()} webhooks, each verified by its receiver" in told[1]


def test_a_demo_that_saw_something_else_than_expected_fails_and_says_what(tmp_path: Path) -> None:
    result = finished(["-c", LIE], tmp_path, timeout_seconds=120)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "differs Ana Souza: campaign win-back/hello sent must have come about" in result.stdout
    assert "expectations hold" not in result.stdout

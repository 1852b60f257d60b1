"""`jornada lifecycle backtest`: from a database file to tables, to JSON, and to what is left when it is stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from services.cli.lifecycles import backtest
from services.cli.main import app
from services.stage_engine.backtesting.backtest import Backtest
from services.stage_engine.backtesting.findings import Findings
from services.stage_engine.domain.event import Event
from tests.unit.cli.left_behind import TENANT, leave, on_database
from tests.unit.stage_engine.backtests import CLUB, EASIER, purchase

Run = Callable[..., Any]
BOUGHT = ("2026-03-02 10:00", "2026-03-03 12:00", "2026-03-05 09:00")


@pytest.fixture
def run(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `jornada lifecycle backtest …` on a database with two buyers and one who bought once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JORNADA_DATABASE_URL", url)
    runner = CliRunner()
    assert runner.invoke(app, ["migrate"]).exit_code == 0
    bought = {"a[na]": BOUGHT, "bia": BOUGHT[:2], "rui": BOUGHT[:1]}
    lives = {customer: _life(customer, moments) for customer, moments in bought.items()}
    on_database(url, lambda database: leave(database, CLUB, lives))
    (tmp_path / "easier.yaml").write_text(EASIER)
    days = ("--from", "2026-03-02", "--to", "2026-03-04")
    return lambda *words: runner.invoke(
        app, ["lifecycle", "backtest", "easier.yaml", *days, *words], catch_exceptions=False
    )


def _life(customer: str, moments: Sequence[str]) -> list[Event]:
    return [msgspec.structs.replace(purchase(each), tenant=TENANT, customer_id=customer) for each in moments]


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_people_get_tables_in_words(run: Run) -> None:
    result = run()
    assert result.exit_code == 0
    said = _lines(result.stdout)
    assert said[0].startswith("club version 2, beside version 1")
    assert said[1 : said.index("active tried customers")] == [
        "3 customers with 5 events, 2026-03-02 to 2026-03-04 (America/Sao_Paulo), by day",
        "How many customers are in a stage, over time",
        "stage active tried first last",
        "guest ··▃▃ ··▃▃ 0 1",
        "member ·█▅▅ ·█·· 0 0 -2",
        "gold ···· ··▅▅ 0 2 +2",
        "The same in numbers, as tried and against active",
        "at the end of guest member gold",
        "2026-03-01 0 0 0",
        "2026-03-02 0 3 0",
        "2026-03-03 1 0 -2 2 +2",
        "2026-03-04 1 0 -2 2 +2",
        "Moves",
        "from to active tried",
        "begin guest 3 3",
        "guest member 3 3",
        "member guest 1 1",
        "member gold 0 2 +2",
        "Ways through a stage; medians are right to within 10 %",
        "stage entered left went on to a higher one median stay",
        "guest active 4 3 3 (75%)",
        "tried 4 3 3 (75%)",
        "member active 3 1 0 (0%) 1 day 12 hours",
        "tried 3 3 2 (67%) 1 day 2 hours",
        "gold active 0 0",
        "tried 2 0 0 (0%)",
        "2 of 3 customers end elsewhere, 2 were elsewhere at some time since their history begins",
    ]
    assert "member gold 2" in said
    first = said.index("shop:a[na] from 2026-03-03 15:00:00 UTC on")
    assert said[first + 1 : first + 3] == [
        "active: stays in member; ends in member",
        "tried: member → gold by spends, purchase purchase-2026-03-03 12:00 of 2026-03-03 15:00:00 UTC (orders was 2); "
        "ends in gold",
    ]


def test_programs_get_all_of_it(run: Run) -> None:
    result = run("--format", "json", "--every", "week")
    assert result.exit_code == 0
    assert "" not in result.stderr.splitlines(), "a bar leaves nothing behind where there is no terminal"
    found = json.loads(result.stdout)
    assert list(found) == [
        "lifecycle", "active_version", "candidate_version", "from", "to", "time_zone", "every", "complete", "customers",
        "events", "passed_over", "trimmed", "populations", "moves", "stages", "differences",
    ]  # fmt: skip
    assert (found["from"], found["to"]) == ("2026-03-02T03:00:00.000Z", "2026-03-05T03:00:00.000Z")
    assert (found["every"], found["complete"], found["active_version"], found["candidate_version"]) == (
        "week", True, 1, 2,
    )  # fmt: skip
    assert [each["candidate"] for each in found["populations"]] == [{}, {"guest": 1, "gold": 2}]
    member = next(each for each in found["stages"] if each["stage"] == "member")
    assert member["active"] == {"entered": 3, "left": 1, "went_on": 0, "share": 0.0, "median_stay": "P1DT12H"}
    assert member["candidate"] == {"entered": 3, "left": 3, "went_on": 2, "share": 0.6667, "median_stay": "P1DT2H"}


def test_an_unknown_tenant_and_a_lost_stage_are_told(run: Run, tmp_path: Path) -> None:
    unknown = run("--tenant", "nobody")
    assert (unknown.exit_code, "no event of a customer of the tenant 'nobody'" in unknown.stderr) == (1, True)
    (tmp_path / "easier.yaml").write_text(EASIER.replace("gold", "golden"))
    lost = run()
    assert (lost.exit_code, "has no stage gold any more" in lost.stderr) == (1, True)
    assert run("--migrate", "gold=golden").exit_code == 0


class CutOff(Backtest):
    """Somebody presses Ctrl-C after the second customer of three."""

    async def run(self, findings: Findings) -> AsyncGenerator[int, None]:
        async with aclosing(Backtest.run(replace(self, page=2), findings)) as pages:
            async for looked_at in pages:
                if looked_at == 2:
                    os.kill(os.getpid(), signal.SIGINT)
                yield looked_at


def test_ctrl_c_tells_what_was_found_so_far(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtest, "Backtest", CutOff)
    result = run()
    assert result.exit_code == 130
    said = _lines(result.stdout)
    assert said[0].startswith("partial: ended after 2 ")
    assert said[2].startswith("2 customers with 4 events, ")
    assert "guest member 2 2" in said
    told = run("--format", "json")
    assert told.exit_code == 130
    found = json.loads(told.stdout)
    assert (found["complete"], found["customers"], found["to"]) == (False, 2, "2026-03-05T03:00:00.000Z")


class CutOffAtOnce(Backtest):
    """Somebody presses Ctrl-C before the first customer was looked at."""

    async def size(self) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0)
        return await Backtest.size(self)


def test_ctrl_c_before_anything_was_found_tells_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtest, "Backtest", CutOffAtOnce)
    result = run()
    assert (result.exit_code, result.stdout) == (130, "")

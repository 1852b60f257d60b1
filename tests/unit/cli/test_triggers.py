"""Campaigns are compared with the lifecycles that run before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli.triggers import check_triggers
from services.notifier.definitions.load import CampaignError
from services.stage_engine.definitions.definition import SHIPPED, Definition, load_definition
from services.stage_engine.store.lifecycles import Stored
from shared.settings import Settings

CAMPAIGN = """\
key: hello
class: marketing
trigger:
  lifecycle: ecommerce
  {trigger}
steps:
  - {{key: one, template: welcome}}
"""


def settings(folder: Path, trigger: str, **others: object) -> Settings:
    (folder / "hello.yaml").write_text(CAMPAIGN.format(trigger=trigger))
    return Settings(campaigns_dir=folder, **others)  # type: ignore[arg-type]


def refusal(chosen: Settings, *active: Stored) -> str:
    with pytest.raises(CampaignError) as caught:
        check_triggers(chosen, active)
    return str(caught.value)


@pytest.mark.parametrize(
    ("trigger", "place", "meant"),
    [
        ("entered: at_rsk", "5:3", "did you mean `at_risk`?"),
        ("left: [lead, loyl]", "5:16", "did you mean `loyal`?"),
        ("from: prospekt", "5:3", "did you mean `prospect`?"),
        ("to: zzz", "5:3", "its stages are prospect, lead"),
    ],
)
def test_a_stage_that_there_is_not_is_told_with_its_place_and_what_was_meant(
    tmp_path: Path, trigger: str, place: str, meant: str
) -> None:
    said = refusal(settings(tmp_path, trigger))
    assert said.startswith(f"hello.yaml:{place}: the campaign `hello` waits for the stage ")
    assert meant in said


def test_a_lifecycle_that_does_not_run_is_told(tmp_path: Path) -> None:
    said = refusal(settings(tmp_path, "entered: lead", lifecycles=("customer_care",)))
    assert said.startswith("hello.yaml:4:3: the campaign `hello` waits for the lifecycle `ecommerce`")
    assert "JORNADA_LIFECYCLES runs customer_care" in said


def test_all_problems_are_listed(tmp_path: Path) -> None:
    assert len(refusal(settings(tmp_path, "entered: [one, lead, two]")).splitlines()) == 2


def test_a_good_campaign_passes(tmp_path: Path) -> None:
    check_triggers(settings(tmp_path, "entered: [lead, loyal]"))


def test_every_shipped_campaign_fits_the_shipped_lifecycles() -> None:
    check_triggers(Settings(lifecycles=tuple(sorted(path.stem for path in SHIPPED.glob("*.yaml")))))


def test_shipped_campaigns_of_a_lifecycle_that_does_not_run_merely_rest() -> None:
    check_triggers(Settings(lifecycles=("customer_care",)))


def shop(folder: Path, *stages: str) -> Definition:
    """A file of the lifecycle `ecommerce` with some stages."""
    orders = ", ".join(f"{stage}: {{order: {number}}}" for number, stage in enumerate(stages))
    ways = f"transitions: [{{id: on, from: {stages[0]}, to: {stages[-1]}, on: purchase}}]"
    file = folder / "shop.yml"
    file.write_text(f"lifecycle: ecommerce\nstart: {stages[0]}\nstages: {{{orders}}}\n{ways}\n")
    return load_definition(file)


def stored(definition: Definition, version: int = 2) -> Stored:
    return Stored(definition.name, version, definition.digest, definition.body)


def test_what_was_published_counts_and_not_the_file_that_lags_behind(tmp_path: Path) -> None:
    active = stored(shop(tmp_path, "prospect", "regular"))
    lagging = settings(tmp_path, "entered: regular", lifecycles=(shop(tmp_path, "prospect", "loyal").file,))
    assert "waits for the stage `regular`" in refusal(lagging)
    check_triggers(lagging, [active])
    said = refusal(settings(tmp_path, "entered: loyal", lifecycles=lagging.lifecycles), active).splitlines()
    assert "waits for the stage `loyal`, which ecommerce does not have; its stages are prospect, regular" in said[0]
    assert said[1].startswith("ecommerce version 2 is active and was looked at; the file says something else")


def test_a_lifecycle_that_was_not_registered_yet_is_taken_from_its_file(tmp_path: Path) -> None:
    chosen = settings(tmp_path, "entered: loyal", lifecycles=(shop(tmp_path, "prospect", "loyal").file,))
    other = Stored("club", 1, "0", "no YAML: [")
    check_triggers(chosen, [other])


def test_what_was_published_once_and_is_not_listed_does_not_run(tmp_path: Path) -> None:
    active = stored(shop(tmp_path, "prospect", "loyal"))
    said = refusal(settings(tmp_path, "entered: loyal", lifecycles=("customer_care",)), active)
    assert "waits for the lifecycle `ecommerce`, which does not run" in said
    assert len(said.splitlines()) == 1

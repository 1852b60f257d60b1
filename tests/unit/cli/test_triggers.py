"""Campaigns are compared with the lifecycles that run before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli.triggers import check_triggers
from services.notifier.definitions.load import CampaignError
from services.stage_engine.definitions.definition import SHIPPED
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


def refusal(chosen: Settings) -> str:
    with pytest.raises(CampaignError) as caught:
        check_triggers(chosen)
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

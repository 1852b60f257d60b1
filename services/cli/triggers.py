"""Campaigns against lifecycles: a campaign that waits for a stage that does not exist would never be sent, in silence.

Composed here, because the notifier knows nothing of lifecycles and the stage engine nothing of campaigns.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from services.notifier.definitions.load import CampaignError, Source, read
from services.stage_engine.definitions.definition import load_definition, shipped_or_path
from shared.settings import Settings

Stages = Mapping[str, Collection[str]]
"""The stages of each lifecycle that runs."""

_STAGE_KEYS: Final = {"entered": "entered", "left": "left", "from": "from_", "to": "to"}


def check_triggers(settings: Settings) -> None:
    """Raises CampaignError that lists every trigger that can't come about; what `read` and the lifecycles' files raise.

    Shipped campaigns whose lifecycle does not run merely rest.
    """
    stages = {one.name: one.shape.stages for one in map(load_definition, map(shipped_or_path, settings.lifecycles))}
    shipped = settings.campaigns_dir is None
    sources = [one for one in read(settings.campaigns_dir) if not shipped or one.shape.trigger.lifecycle in stages]
    if problems := [problem for source in sources for problem in trigger_problems(source, stages)]:
        raise CampaignError("\n".join(problems))


def trigger_problems(source: Source, stages: Stages) -> Iterator[str]:
    """What is wrong with a campaign's trigger, each with its place and what was probably meant."""
    trigger = source.shape.trigger
    campaign = f"the campaign `{source.campaign.key}`"
    known = stages.get(trigger.lifecycle)
    if known is None:
        place = source.place("trigger", "lifecycle")
        meant = _meant(trigger.lifecycle, stages, "JORNADA_LIFECYCLES runs")
        yield f"{place}: {campaign} waits for the lifecycle `{trigger.lifecycle}`, which does not run; {meant}"
        return
    for key, attribute in _STAGE_KEYS.items():
        for index, stage in enumerate(getattr(trigger, attribute) or ()):
            if stage not in known:
                place = source.place("trigger", key, index)
                meant = _meant(stage, known, "its stages are")
                yield f"{place}: {campaign} waits for the stage `{stage}`, which {trigger.lifecycle} does not have; {meant}"


def _meant(name: str, known: Collection[str], introduction: str) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    return f"did you mean `{close[0]}`?" if close else f"{introduction} {', '.join(known)}"

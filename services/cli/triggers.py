"""Campaigns against lifecycles: a campaign that waits for a stage that does not exist would never be sent, in silence.

Composed here, because the notifier knows nothing of lifecycles and the stage engine nothing of campaigns.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from services.notifier.definitions.load import CampaignError, Source, read
from services.stage_engine.definitions.definition import Definition, load_definition, shipped_or_path
from services.stage_engine.definitions.stored import parsed
from services.stage_engine.store import lifecycles
from services.stage_engine.store.lifecycles import Stored
from shared.db.port import Database
from shared.settings import Settings

Stages = Mapping[str, Collection[str]]
"""The stages of each lifecycle that runs."""

_STAGE_KEYS: Final = {"entered": "entered", "left": "left", "from": "from_", "to": "to"}


async def active_versions(database: Database) -> list[Stored]:
    """The active version of each lifecycle that was ever registered. Raises DatabaseUnavailable."""
    async with database.reading() as transaction:
        return await lifecycles.newest(transaction)


def check_triggers(settings: Settings, active: Sequence[Stored] = ()) -> None:
    """Raises CampaignError that lists every trigger that can't come about; what `read` and the lifecycles' files raise.

    Those lifecycles count that the settings list: each by its `active` version where there is one, for a file may lag
    behind what was published, and otherwise by its file. Shipped campaigns whose lifecycle does not run merely rest.
    """
    running = {each.name: each for each in (_in_force(name, active) for name in settings.lifecycles)}
    stages = {name: each.shape.stages for name, each in running.items()}
    shipped = settings.campaigns_dir is None
    sources = [one for one in read(settings.campaigns_dir) if not shipped or one.shape.trigger.lifecycle in stages]
    if problems := [problem for source in sources for problem in trigger_problems(source, stages)]:
        raise CampaignError("\n".join([*problems, *_notes(settings, running)]))


def _in_force(listed: str, active: Sequence[Stored]) -> Definition:
    """What holds of a lifecycle that is listed by name or path."""
    definition = load_definition(shipped_or_path(listed))
    for each in active:
        if each.name == definition.name and each.digest != definition.digest:
            return parsed(each)
    return definition


def _notes(settings: Settings, running: Mapping[str, Definition]) -> Iterator[str]:
    """Which lifecycles were not looked at as their files say, since that is where people look."""
    files = {str(shipped_or_path(listed)) for listed in settings.lifecycles}
    for each in running.values():
        if each.file not in files:
            yield f"{each.file} is active and was looked at; the file says something else (`jornada lifecycle diff`)"


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

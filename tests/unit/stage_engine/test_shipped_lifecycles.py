"""What every shipped lifecycle must have: names in three languages, a story for every transition, a place beside the others."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest

from services.stage_engine.definitions.definition import SHIPPED, load_definition, shipped_or_path
from services.stage_engine.definitions.lint import lint
from services.stage_engine.definitions.together import check_together
from services.stage_engine.domain.advance import NEW_CUSTOMER, advance
from services.stage_engine.domain.decision import Applied
from services.stage_engine.domain.state import encode_state
from shared.settings import Settings
from tests.unit.stage_engine.busy_customer import EVENTS, busy_life
from tests.unit.stage_engine.stories import shipped
from tests.unit.stage_engine.timeline import play

NAMES = sorted(file.stem for file in SHIPPED.glob("*.yaml"))
NEEDS = {"customer_care": ("ecommerce",)}
"""Lifecycles that read the stage of another."""
LOCALES = {"pt-BR", "es", "en"}
MOST_BYTES = 8 * 1024


def stories_of(name: str) -> ModuleType:
    return import_module(f"tests.unit.stage_engine.test_{name}_story")


def event_types(*names: str) -> frozenset[str]:
    """All that the lifecycles look at."""
    shapes = [load_definition(SHIPPED / f"{name}.yaml").shape for name in names]
    by_edges = {each for shape in shapes for part in shape.transitions for each in part.on or ()}
    return frozenset(
        by_edges | {each for shape in shapes for fact in shape.facts.values() for each in fact.event_types}
    )


def largest_state(*names: str) -> int:
    """The most bytes that a busy customer's stored state has at any time."""
    rules, state, largest = shipped(*names), NEW_CUSTOMER, 0
    for number, event in enumerate(busy_life(event_types(*names))):
        decision = advance(rules, state, event)
        assert isinstance(decision, Applied)
        assert decision.errors == ()
        state = decision.state
        if number % 20 == 0 or number == EVENTS - 1:
            largest = max(largest, len(encode_state(state)))
    return largest


def test_there_is_one_for_each_published_model() -> None:
    assert NAMES == [
        "activation_journey",
        "brand_defenders",
        "customer_care",
        "ecommerce",
        "loyalty_tiers",
        "marketing_funnel",
        "product_life",
        "retention_journey",
        "service_journey",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_named_after_its_lifecycle(name: str) -> None:
    assert load_definition(SHIPPED / f"{name}.yaml").name == name


@pytest.mark.parametrize("name", NAMES)
def test_lifecycle_stages_and_facts_have_names_in_three_languages(name: str) -> None:
    shape = load_definition(SHIPPED / f"{name}.yaml").shape
    assert shape.labels.keys() == LOCALES
    labels = {key: stage.label for key, stage in shape.stages.items()} | {
        key: fact.label for key, fact in shape.facts.items()
    }
    assert [key for key, label in labels.items() if label.keys() != LOCALES] == []


@pytest.mark.parametrize("name", NAMES)
def test_no_two_stages_look_alike(name: str) -> None:
    shape = load_definition(SHIPPED / f"{name}.yaml").shape
    stages = shape.stages.values()
    for locale in LOCALES:
        assert len({stage.label[locale] for stage in stages}) == len(stages)  # type: ignore[index]
    assert len({stage.order for stage in stages}) == len(stages)


@pytest.mark.parametrize("name", NAMES)
def test_lint_has_nothing_to_say(name: str) -> None:
    assert lint(load_definition(SHIPPED / f"{name}.yaml")) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_transition_is_taken_from_each_of_its_stages_in_a_story(name: str) -> None:
    module = stories_of(name)
    changes = [change for steps, _ in module.STORIES.values() for change in play(module.RULES, *steps).changes]
    mine = [change for change in changes if change.transition and change.lifecycle.name == name]
    declared = load_definition(SHIPPED / f"{name}.yaml").shape.transitions
    assert {(change.from_, change.transition.id) for change in mine if change.transition} == {
        (source, part.id) for part in declared for source in part.from_
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_is_where_some_story_ends(name: str) -> None:
    module = stories_of(name)
    ends = {play(module.RULES, *steps).state.lifecycles[name].stage for steps, _ in module.STORIES.values()}
    assert ends == load_definition(SHIPPED / f"{name}.yaml").shape.stages.keys()


def test_all_of_them_run_in_one_engine() -> None:
    check_together([load_definition(SHIPPED / f"{name}.yaml") for name in NAMES])
    assert [each.name for each in shipped(*NAMES).lifecycles].index("customer_care") > NAMES.index("ecommerce") - 1


@pytest.mark.parametrize("name", NAMES)
def test_each_runs_with_no_more_than_what_it_reads(name: str) -> None:
    check_together([load_definition(SHIPPED / f"{each}.yaml") for each in (name, *NEEDS.get(name, ()))])


def test_the_default_setting_is_the_shop_and_its_complaints() -> None:
    chosen = Settings.model_fields["lifecycles"].default
    assert chosen == ("ecommerce", "customer_care")
    check_together([load_definition(shipped_or_path(each)) for each in chosen])


@pytest.mark.parametrize("name", NAMES)
def test_a_busy_customer_stays_small(name: str) -> None:
    assert largest_state(name, *NEEDS.get(name, ())) <= MOST_BYTES


def test_a_busy_customer_of_all_lifecycles_at_once_stays_within_twice_that() -> None:
    assert largest_state(*NAMES) <= 2 * MOST_BYTES


def test_the_busy_customer_is_busy() -> None:
    events = list(busy_life(event_types(*NAMES)))
    assert len(events) == EVENTS
    assert event_types(*NAMES) <= {event.type for event in events}
    busiest = list(busy_life(event_types("loyalty_tiers")))
    order_days = {event.time_ms // 86_400_000 for event in busiest if event.type == "purchase"}
    assert len(order_days) > 350

"""What is allowed in a lifecycle file and hardly meant: said as warnings, each with its place and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import NamedTuple

from services.stage_engine.definitions.circles import Circle, Transitions, possible_circles
from services.stage_engine.definitions.contradictions import never_holds
from services.stage_engine.definitions.definition import Definition
from services.stage_engine.definitions.expressions import names_in
from services.stage_engine.definitions.file_model import FollowPart, LifecycleFile
from services.stage_engine.definitions.shadowed import Ways, never_taken
from services.stage_engine.definitions.yaml_source import Document, Path, Problem
from services.stage_engine.domain.advance import MOST_BY_TIME
from shared.contracts.events import EventType


class Warned(NamedTuple):
    """What is hardly meant, and where in the file it stands."""

    path: Path
    message: str


def lint(definition: Definition) -> list[Problem]:
    """Warnings about a file that has no errors, in the order of the file."""
    shape = definition.shape
    found = [
        *_unreachable(shape),
        *_dead_ends(shape),
        *_never_holding(shape),
        *_never_winning(shape),
        *_loops(shape),
        *_endless(shape),
        *_unused_facts(shape),
        *_misspelt_types(shape),
    ]
    if not found:
        return []
    document = Document(definition.file, definition.body)
    problems = [document.problem(each.path, each.message) for each in found]
    return sorted(problems, key=lambda each: (each.line, each.column))


def _unreachable(shape: LifecycleFile) -> Iterator[Warned]:
    reached = {shape.start, *Ways(shape.transitions).reached(shape.start)}
    for key in shape.stages:
        if key not in reached:
            yield Warned(("stages", key), f"nobody can reach `{key}`: no way leads there from `{shape.start}`")


def _dead_ends(shape: LifecycleFile) -> Iterator[Warned]:
    left = {source for part in shape.transitions for source in part.from_}
    for key, stage in shape.stages.items():
        if key not in left and not stage.end:
            yield Warned(("stages", key), f"nothing leads out of `{key}`; say `end: true` if that is meant")
        if key in left and stage.end:
            yield Warned(("stages", key), f"`{key}` says `end: true`, but a transition leads out of it")


def _never_holding(shape: LifecycleFile) -> Iterator[Warned]:
    for index, part in enumerate(shape.transitions):
        if never_holds(part.when):
            path: Path = ("transitions", index, "when")
            yield Warned(path, f"`{part.id}` can never hold: what its `when` asks for excludes itself")


def _never_winning(shape: LifecycleFile) -> Iterator[Warned]:
    for index, winners in never_taken(shape):
        says = "always holds when it does" if len(winners) == 1 else "always hold when it does"
        names, id_ = ", ".join(f"`{winner}`" for winner in winners), shape.transitions[index].id
        yield Warned(("transitions", index, "id"), f"`{id_}` is never taken: {names}, earlier in the file, {says}")


def _loops(shape: LifecycleFile) -> Iterator[Warned]:
    """Circles of transitions that need neither an event nor time: a customer goes round as far as rules let them."""
    pure = [part for part in shape.transitions if not part.on and part.after is None]
    for circle in possible_circles(shape, pure, lambda _: True):
        message = f"{circle.named} can hold at once and lead in a circle: {circle.way}; make one exclude the other"
        yield Warned(_at(circle), message)


def _endless(shape: LifecycleFile) -> Iterator[Warned]:
    """Circles of transitions that need nothing but time: whoever gets into one goes round until something happens."""
    silent = [part for part in shape.transitions if not part.on]
    for circle in possible_circles(shape, silent, _goes_on):
        yield Warned(
            _at(circle),
            f"{circle.named} can lead in a circle by time alone: {circle.way}; whoever is silent is then moved "
            f"{MOST_BY_TIME:,} times before they rest. Give one of them an `on`, or make one exclude the other",
        )


def _goes_on(way: Transitions) -> bool:
    """Whether time can keep up a circle. No stage is visited twice in one decision, so it takes two waits that begin anew
    with each round: one that counts from a fact is over for good, and a round that needs one decision alone stops short
    of the stage where it began."""
    return sum(part.after is not None and part.since_fact is None for part in way) > 1


def _at(circle: Circle) -> Path:
    return ("transitions", circle.first, "id")


def _unused_facts(shape: LifecycleFile) -> Iterator[Warned]:
    texts = [*(part.when for part in shape.transitions), *(fact.expr for fact in shape.facts.values())]
    used = {name for text in texts if text for kind, name in names_in(text) if kind in ("facts", "known")}
    for part in shape.transitions:
        used |= {part.since_fact} if part.since_fact else set()
        used |= {part.after.fact} if isinstance(part.after, FollowPart) else set()
    for name in shape.facts:
        if name not in used:
            yield Warned(("facts", name), f"no transition and no other fact reads `{name}`")


def _misspelt_types(shape: LifecycleFile) -> Iterator[Warned]:
    named: list[tuple[Path, Sequence[str]]] = [
        (("transitions", index, "on"), part.on or ()) for index, part in enumerate(shape.transitions)
    ]
    for name, fact in shape.facts.items():
        key = "of" if fact.of else fact.kind
        named.append((("facts", name, key), fact.of or fact.count or fact.average_gap or ()))
    told: set[str] = set()
    for path, types in named:
        for index, type_ in enumerate(types):
            if type_ not in told and (meant := _meant(type_)):
                told.add(type_)
                yield Warned(
                    (*path, index),
                    f"`{type_}` is no built-in event type; did you mean `{meant}`? If it is one of your own, give it a "
                    "name that is less alike",
                )


@lru_cache(10_000)
def _meant(type_: str) -> str | None:
    """The built-in event type that a name misses by one slip. Types of one's own may be alike in more than that."""
    known = [each.value for each in EventType if abs(len(each) - len(type_)) <= 1]
    return None if type_ in known else next((each for each in known if _is_a_slip(type_, each)), None)


def _is_a_slip(name: str, meant: str) -> bool:
    """Whether one character is missing, one is too many, one is another, or two have changed places; digits are meant."""
    start = _alike_for(name, meant)
    end = _alike_for(name[start:][::-1], meant[start:][::-1])
    one, other = name[start : len(name) - end], meant[start : len(meant) - end]
    if any(character.isdigit() for character in one):
        return False
    return max(len(one), len(other)) <= 1 or (len(one) == 2 and one == other[::-1])


def _alike_for(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))

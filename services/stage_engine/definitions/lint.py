"""What is allowed in a lifecycle file and hardly meant: said as warnings, each with its place and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from services.stage_engine.definitions.contradictions import conjuncts, contradict
from services.stage_engine.definitions.definition import Definition
from services.stage_engine.definitions.expressions import names_in
from services.stage_engine.definitions.file_model import FollowPart, LifecycleFile, TransitionPart
from services.stage_engine.definitions.yaml_source import Document, Path, Problem
from services.stage_engine.domain.advance import MOST_BY_TIME

_MOST_LOOPS = 20
_MOST_WAYS = 20_000
"""How many ways are looked at for circles: a file of a thousand transitions has more than anybody can wait for."""

Transitions = Sequence[TransitionPart]


def lint(definition: Definition) -> list[Problem]:
    """Warnings about a file that has no errors, in the order of the file."""
    document, shape = Document(definition.file, definition.body), definition.shape
    found = [
        *_unreachable(document, shape),
        *_dead_ends(document, shape),
        *_never_winning(document, shape),
        *_loops(document, shape),
        *_endless(document, shape),
        *_unused_facts(document, shape),
    ]
    return sorted(found, key=lambda each: (each.line, each.column))


class _Ways:
    """Which stages follow which."""

    def __init__(self, transitions: Transitions) -> None:
        self._steps: dict[str, set[str]] = {}
        self._pure_steps: dict[str, set[str]] = {}
        for part in transitions:
            for source in part.from_:
                self._steps.setdefault(source, set()).add(part.to)
                if not part.on:
                    self._pure_steps.setdefault(source, set()).add(part.to)
        self._in_one_decision: dict[str, set[str]] = {}

    def reached(self, start: str) -> set[str]:
        """Stages to which transitions lead from one, by any number of steps."""
        return _followed(self._steps, self._steps.get(start, ()))

    def in_one_decision(self, start: str) -> set[str]:
        """The same within one decision: whatever comes first, then transitions without `on`."""
        found = self._in_one_decision.get(start)
        if found is None:
            found = self._in_one_decision[start] = _followed(self._pure_steps, self._steps.get(start, ()))
        return found


def _followed(steps: Mapping[str, set[str]], starts: Iterable[str]) -> set[str]:
    reached, waiting = set(starts), list(starts)
    while waiting:
        news = steps.get(waiting.pop(), set()) - reached
        reached |= news
        waiting += news
    return reached


def _unreachable(document: Document, shape: LifecycleFile) -> Iterator[Problem]:
    reached = {shape.start, *_Ways(shape.transitions).reached(shape.start)}
    for key in shape.stages:
        if key not in reached:
            yield document.problem(
                ("stages", key), f"nobody can reach `{key}`: no way leads there from `{shape.start}`"
            )


def _dead_ends(document: Document, shape: LifecycleFile) -> Iterator[Problem]:
    left = {source for part in shape.transitions for source in part.from_}
    for key, stage in shape.stages.items():
        if key not in left and not stage.end:
            yield document.problem(("stages", key), f"nothing leads out of `{key}`; say `end: true` if that is meant")
        if key in left and stage.end:
            yield document.problem(("stages", key), f"`{key}` says `end: true`, but a transition leads out of it")


def _never_winning(document: Document, shape: LifecycleFile) -> Iterator[Problem]:
    ways, earlier = _Ways(shape.transitions), dict[str, list[TransitionPart]]()
    for index, part in enumerate(shape.transitions):
        winners = [_winner(ways, earlier.setdefault(source, []), part, source) for source in part.from_]
        for source in part.from_:
            earlier[source].append(part)
        if None in winners:
            continue
        names = ", ".join(sorted({f"`{winner}`" for winner in winners}))
        says = "always holds when it does" if len(set(winners)) == 1 else "always hold when it does"
        path: Path = ("transitions", index, "id")
        yield document.problem(path, f"`{part.id}` is never taken: {names}, earlier in the file, {says}")


def _winner(ways: _Ways, earlier: Transitions, part: TransitionPart, source: str) -> str | None:
    """The earlier transition out of a stage that is taken whenever this one could be; None when there is none."""
    for other in earlier:
        if _covers(other, part) and not _may_be_passed_over(ways, other, part, source):
            return other.id
    return None


def _covers(other: TransitionPart, part: TransitionPart) -> bool:
    """Whether `other` holds whenever `part` does, as far as the text tells: the same event, and no condition of its own."""
    if bool(other.on) != bool(part.on) or not set(part.on or ()) <= set(other.on or ()):
        return False
    return _is_over(other, part) and conjuncts(other.when) <= conjuncts(part.when)


def _is_over(other: TransitionPart, part: TransitionPart) -> bool:
    """Whether the wait of `other` is over whenever that of `part` is."""
    if other.after is None:
        return True
    if part.after is None or (other.since or "entered") != (part.since or "entered"):
        return False
    if isinstance(other.after, int) and isinstance(part.after, int):
        return other.after <= part.after
    return other.after == part.after


def _may_be_passed_over(ways: _Ways, other: TransitionPart, part: TransitionPart, source: str) -> bool:
    """Whether a decision may come through the target of `other` before it is at `source`: no stage is visited twice in
    one decision, so `other` is not taken then, and is not looked at again when `part` alone is woken later. One with
    `on` is always a decision's first; and of two that say the same and lead to the same both are passed over."""
    if part.on or (other.to == part.to and _covers(part, other)):
        return False
    return source in ways.in_one_decision(other.to)


def _loops(document: Document, shape: LifecycleFile) -> Iterator[Problem]:
    """Circles of transitions that need neither an event nor time: a customer goes round as far as rules let them."""
    places = {part.id: index for index, part in enumerate(shape.transitions)}
    told: set[frozenset[str]] = set()
    for start, circle in _circles(_pure(shape), shape.stages):
        ids = frozenset(part.id for part in circle)
        if ids in told or contradict(each for part in circle for each in conjuncts(part.when)):
            continue
        if len(told) == _MOST_LOOPS:
            return
        told.add(ids)
        way = " → ".join([start, *(part.to for part in circle)])
        path: Path = ("transitions", min(places[part.id] for part in circle), "id")
        named = ", ".join(f"`{part.id}`" for part in circle)
        yield document.problem(
            path, f"{named} can hold at once and lead in a circle: {way}; make one exclude the other"
        )


def _endless(document: Document, shape: LifecycleFile) -> Iterator[Problem]:
    """Circles of transitions that need nothing but time: whoever gets into one goes round until something happens."""
    places = {part.id: index for index, part in enumerate(shape.transitions)}
    told: set[frozenset[str]] = set()
    alone = _leaving(part for part in shape.transitions if not part.on and part.when is None)
    for start, circle in _circles(alone, shape.stages):
        ids = frozenset(part.id for part in circle)
        if ids in told:
            continue
        if len(told) == _MOST_LOOPS:
            return
        told.add(ids)
        way = " → ".join([start, *(part.to for part in circle)])
        named = ", ".join(f"`{part.id}`" for part in circle)
        path: Path = ("transitions", min(places[part.id] for part in circle), "id")
        yield document.problem(
            path,
            f"{named} lead in a circle by time alone: {way}; whoever is silent is moved {MOST_BY_TIME:,} times and then "
            "rests. Give one of them an `on` or a `when`",
        )


def _pure(shape: LifecycleFile) -> dict[str, list[TransitionPart]]:
    """By stage, what needs neither an event nor a wait."""
    return _leaving(part for part in shape.transitions if not part.on and part.after is None)


def _leaving(parts: Iterable[TransitionPart]) -> dict[str, list[TransitionPart]]:
    """By the stage that they lead out of."""
    found: dict[str, list[TransitionPart]] = {}
    for part in parts:
        for source in part.from_:
            found.setdefault(source, []).append(part)
    return found


def _circles(
    leaving: Mapping[str, list[TransitionPart]], stages: Iterable[str]
) -> Iterator[tuple[str, list[TransitionPart]]]:
    """Ways from a stage back to it that visit no other stage twice; a bounded number of them is looked at."""
    looked = 0
    for start in stages:
        waiting: list[tuple[str, list[TransitionPart]]] = [(start, [])]
        while waiting:
            stage, way = waiting.pop()
            for part in leaving.get(stage, ()):
                looked += 1
                if looked > _MOST_WAYS:
                    return
                if part.to == start:
                    yield start, [*way, part]
                elif all(part.to != before.to for before in way):
                    waiting.append((part.to, [*way, part]))


def _unused_facts(document: Document, shape: LifecycleFile) -> Iterator[Problem]:
    texts = [*(part.when for part in shape.transitions), *(fact.expr for fact in shape.facts.values())]
    used = {name for text in texts if text for kind, name in names_in(text) if kind in ("facts", "known")}
    for part in shape.transitions:
        used |= {part.since.removeprefix("facts.")} if part.since else set()
        used |= {part.after.fact} if isinstance(part.after, FollowPart) else set()
    for name in shape.facts:
        if name not in used:
            yield document.problem(("facts", name), f"no transition and no other fact reads `{name}`")

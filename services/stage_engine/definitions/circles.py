"""Circles of transitions: ways from a stage back to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.stage_engine.definitions.contradictions import exclude, size
from services.stage_engine.definitions.file_model import LifecycleFile, TransitionPart

_MOST_LOOPS = 20
_MOST_WAYS = 20_000
"""How much is looked at for circles: a file of a thousand transitions has more of them than anybody can wait for."""

Transitions = Sequence[TransitionPart]


@dataclass(frozen=True, slots=True)
class Circle:
    """A way back to where it began."""

    start: str
    parts: Transitions
    first: int
    """Where the earliest of its transitions stands in the file."""

    @property
    def way(self) -> str:
        """Its stages, back to the first."""
        return " → ".join([self.start, *(part.to for part in self.parts)])

    @property
    def named(self) -> str:
        """Its transitions."""
        return ", ".join(f"`{part.id}`" for part in self.parts)


def possible_circles(
    shape: LifecycleFile, parts: Transitions, wanted: Callable[[Transitions], bool]
) -> Iterator[Circle]:
    """Circles whose conditions may hold together, each once however many stages it can be entered at; the first ones."""
    places = {part.id: index for index, part in enumerate(shape.transitions)}
    told: set[frozenset[str]] = set()
    for start, way in _circles(_leaving(parts), shape.stages):
        ids = frozenset(part.id for part in way)
        if ids in told or not wanted(way) or exclude(part.when for part in way):
            continue
        if len(told) == _MOST_LOOPS:
            return
        told.add(ids)
        yield Circle(start, way, min(places[part.id] for part in way))


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
        waiting: list[tuple[str, list[TransitionPart], frozenset[str]]] = [(start, [], frozenset())]
        while waiting:
            stage, way, visited = waiting.pop()
            for part in leaving.get(stage, ()):
                looked += 1
                if looked > _MOST_WAYS:
                    return
                if part.to == start:
                    yield start, [*way, part]
                    looked += sum(size(each.when) for each in [*way, part])
                elif part.to not in visited:
                    waiting.append((part.to, [*way, part], visited | {part.to}))

"""Who is next: events before what can wait, neither for ever, and a place in line that outlasts a few errands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from services.stage_engine.batches.turns import Place, Turns


class Line:
    """People who stand in line by name, and who had a turn so far."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.had: list[str] = []
        self._tasks: dict[str, asyncio.Task[bool]] = {}

    async def stands(self, name: str, place: Place) -> None:
        """Begins to stand in line."""

        async def standing() -> bool:
            mine = await place.reached()
            if mine:
                self.had.append(name)
            return mine

        self._tasks[name] = asyncio.create_task(standing())
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def told(self, name: str) -> bool:
        return await asyncio.wait_for(self._tasks[name], 1)

    async def next(self) -> list[str]:
        """The turn is over; who has had one by then."""
        self.turns.end()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return self.had

    async def leave(self, name: str) -> None:
        self._tasks[name].cancel()
        await asyncio.gather(self._tasks[name], return_exceptions=True)

    async def close(self) -> None:
        for name in self._tasks:
            await self.leave(name)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    """One turn at a time, and it is taken."""
    opened = Line(Turns(0))
    yield opened
    await opened.close()


async def test_no_more_turns_are_given_than_there_are() -> None:
    line = Line(Turns(2))
    for name in "abc":
        await line.stands(name, line.turns.for_events())
    assert line.had == ["a", "b"]
    assert await line.next() == ["a", "b", "c"]
    await line.close()


async def test_events_go_before_what_can_wait_and_every_other_turn_is_for_the_latter(line: Line) -> None:
    for name in ("timer", "sweep"):
        await line.stands(name, line.turns.for_what_can_wait())
    for name in ("e1", "e2", "e3"):
        await line.stands(name, line.turns.for_events())
    for _ in range(5):
        await line.next()
    assert line.had == ["e1", "timer", "e2", "sweep", "e3"]


async def test_events_alone_have_every_turn(line: Line) -> None:
    for name in ("e1", "e2"):
        await line.stands(name, line.turns.for_events())
    await line.next()
    assert await line.next() == ["e1", "e2"]


async def test_who_steps_aside_keeps_the_place(line: Line) -> None:
    first, second = line.turns.for_what_can_wait(), line.turns.for_what_can_wait()
    await line.stands("first", first)
    await line.stands("second", second)
    first.step_aside()
    assert await line.told("first") is False
    await line.stands("first", first)
    assert await line.next() == ["first"]


async def test_a_turn_that_came_while_nobody_stood_there_goes_to_the_next_and_is_not_put_off_again(line: Line) -> None:
    first = line.turns.for_what_can_wait()
    first.keep()
    await line.stands("second", line.turns.for_what_can_wait())
    assert not first.is_overdue
    assert await line.next() == ["second"]
    assert first.is_overdue
    await line.stands("first", first)
    first.step_aside()
    assert await line.next() == ["second", "first"]
    assert not first.is_overdue


async def test_who_has_had_a_turn_starts_at_the_end_of_the_line(line: Line) -> None:
    first, second = line.turns.for_what_can_wait(), line.turns.for_what_can_wait()
    await line.stands("first", first)
    await line.stands("second", second)
    await line.next()
    first.done()
    await line.stands("first again", first)
    await line.next()
    assert line.had == ["first", "second", "first again"]


GONE: dict[str, Callable[[Line, Place], object]] = {
    "gives up": lambda _line, place: place.give_up(),
    "is cancelled": lambda line, _place: asyncio.ensure_future(line.leave("gone")),
}


@pytest.mark.parametrize("how", GONE)
async def test_who_is_gone_takes_no_turn(line: Line, how: str) -> None:
    place = line.turns.for_events()
    await line.stands("gone", place)
    GONE[how](line, place)
    await asyncio.sleep(0.01)
    await line.stands("next", line.turns.for_events())
    assert await line.next() == ["next"]


async def test_a_turn_given_to_who_is_cancelled_before_they_know_goes_on(line: Line) -> None:
    place = line.turns.for_events()
    await line.stands("gone", place)
    await line.stands("next", line.turns.for_events())
    line.turns.end()
    await line.leave("gone")
    await asyncio.sleep(0)
    assert line.had == ["next"]


async def test_a_turn_for_as_long_as_a_block_lasts_ends_with_it_also_by_an_error(line: Line) -> None:
    line.turns.end()
    with pytest.raises(ValueError, match="inside"):
        async with line.turns.taken():
            raise ValueError("inside")
    assert line.turns.free == 1

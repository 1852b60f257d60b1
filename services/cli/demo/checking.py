"""Compares what was seen with what must come of the story. Pure: gives what differs, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from services.cli.demo.plot import Customer, Move, Story
from services.cli.demo.seen import Seen, SeenCustomer


def differences(story: Story, seen: Seen) -> list[str]:
    """Everything that is not as it must be; empty when all is well."""
    return [*_of_customers(story, seen), *_of_webhooks(story, seen), *_of_letters(story, seen)]


def expectations(story: Story) -> int:
    """How many single things `differences` compares."""
    per_customer = (len(one.moves) + len(one.fates) + len(one.facts) + 1 for one in story.customers)
    return sum(per_customer) + story.webhooks() + 3


def of_customer(customer: Customer, seen: SeenCustomer) -> list[str]:
    """What differs about one customer."""
    found = [*_moves(customer, seen), *_sequence(seen), *_fates(customer, seen), *_facts(customer, seen)]
    return [f"{customer.name}: {each}" for each in found]


def _of_customers(story: Story, seen: Seen) -> Iterator[str]:
    for customer in story.customers:
        yield from of_customer(customer, seen.customers.get(customer.id, SeenCustomer()))


def _moves(customer: Customer, seen: SeenCustomer) -> Iterator[str]:
    made = [change.move for change in seen.changes]
    for lifecycle in sorted({move.lifecycle for move in (*customer.moves, *made)}):
        wanted = [str(move) for move in customer.moves if move.lifecycle == lifecycle]
        found = [str(move) for move in made if move.lifecycle == lifecycle]
        if wanted != found:
            yield f"the path in {lifecycle} must be [{', '.join(wanted)}] and is [{', '.join(found)}]"


def _sequence(seen: SeenCustomer) -> Iterator[str]:
    numbers = [change.sequence for change in seen.changes]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"stage changes are numbered {numbers}, with a gap or a double"
    yield from (f"the stage change {one} is there twice" for one in _doubles(change.id for change in seen.changes))


def _fates(customer: Customer, seen: SeenCustomer) -> Iterator[str]:
    wanted = Counter(str(fate) for fate in customer.fates)
    found = Counter(str(one.fate) for one in seen.emails())
    yield from (f"campaign {one} must have come about" for one in (wanted - found).elements())
    yield from (f"campaign {one} must not have come about" for one in (found - wanted).elements())
    unsent = [one.id for one in seen.deliveries if one.channel == "webhook" and one.fate.status != "sent"]
    yield from (f"the webhook {one} was not sent" for one in unsent)


def _facts(customer: Customer, seen: SeenCustomer) -> Iterator[str]:
    for name, wanted in customer.facts.items():
        if (found := seen.facts.get(name)) != wanted:
            yield f"the fact {name} must be {wanted!r} and is {found!r}"


def _of_webhooks(story: Story, seen: Seen) -> Iterator[str]:
    wanted = Counter(
        _hook(customer.id, move)
        for customer in story.customers
        for move in customer.moves
        if move.live and move.settled
    )
    found = Counter(_hook_of(received.payload["data"]) for received in seen.webhooks)
    yield from (f"no verified webhook says {one}" for one in (wanted - found).elements())
    yield from (f"a webhook too many says {one}" for one in (found - wanted).elements())
    yield from (f"the webhook {one} came twice" for one in _doubles(received.id for received in seen.webhooks))
    if seen.refused_webhooks:
        yield f"{seen.refused_webhooks} webhooks had no valid signature"


def _hook(customer_id: str, move: Move) -> str:
    return f"{customer_id} in {move.lifecycle}: {move.from_} → {move.to}"


def _hook_of(data: dict[str, Any]) -> str:
    return f"{data['customer_id']} in {data['lifecycle']}: {data['from']} → {data['to']}"


def _of_letters(story: Story, seen: Seen) -> Iterator[str]:
    if len(seen.letters) != story.letters():
        yield f"{story.letters()} e-mails must have been written, there are {len(seen.letters)}"


def _doubles(ids: Iterable[str]) -> list[str]:
    return [one for one, times in Counter(ids).items() if times > 1]

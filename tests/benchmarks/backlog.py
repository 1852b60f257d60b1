"""A backlog in the events topic, as a shop's customers would have left it while no engine was running."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from shared.contracts.cloudevent import Posted, encode_posted, headers, record_key
from shared.contracts.times import now_ms
from shared.contracts.topics import Topic
from shared.db.connect import connect
from shared.log.connect import open_log
from shared.log.port import Message
from tests.benchmarks.cluster import Cluster

_AT_ONCE = 2_000
TYPES = ("signup", "purchase", "engagement", "cart_updated", "survey_response", "complaint", "complaint_resolved")
WEIGHTS = (8, 25, 45, 14, 4, 2, 2)


@dataclass(frozen=True, slots=True)
class Backlog:
    """Events of a tenant's customers, each of a customer chosen at random."""

    tenant: str
    events: int
    customers: int
    seed: int = 1

    def messages(self) -> Iterator[Message]:
        """A shop's mixture: mostly visits and carts, a quarter purchases, few complaints; of the last minute."""
        source, now = random.Random(self.seed), now_ms()
        for number in range(self.events):
            customer, kind = f"c-{source.randrange(self.customers)}", source.choices(TYPES, WEIGHTS)[0]
            event_id = f"e-{self.seed}-{number}"
            yield message(
                Posted(self.tenant, customer, event_id, kind, now - source.randrange(60_000), data(kind, number))
            )


def message(posted: Posted) -> Message:
    """The record that ingest would have appended."""
    return Message(record_key(posted.tenant, posted.customer_id), encode_posted(posted), headers(posted.type, None))


def data(kind: str, number: int) -> bytes:
    """A payload of a built-in type, told from others of its type by a number."""
    texts: Mapping[str, Callable[[], str]] = {
        "signup": lambda: f'{{"name":"Ana {number}","email":"ana{number}@shop.example","locale":"pt-BR"}}',
        "purchase": lambda: f'{{"order_id":"o-{number}","amount":"129.90","currency":"BRL"}}',
        "engagement": lambda: '{"channel":"visit"}',
        "cart_updated": lambda: f'{{"cart_id":"k-{number}","items":[{{"sku":"A1","quantity":2}}]}}',
        "survey_response": lambda: f'{{"kind":"nps","score":{number % 11}}}',
        "complaint": lambda: f'{{"complaint_id":"p-{number}","severity":"low"}}',
        "complaint_resolved": lambda: f'{{"complaint_id":"p-{number}"}}',
    }
    return texts[kind]().encode()


async def append(cluster: Cluster, messages: Iterable[Message]) -> None:
    """Put records into the events topic, a few thousand at a time, so that memory stays small."""
    database = connect(cluster.settings.database_url, 2)
    log = open_log(cluster.settings, database)
    producer = await log.producer()
    waiting = iter(messages)
    while chunk := list(islice(waiting, _AT_ONCE)):
        await producer.append(Topic.EVENTS, chunk)
    await producer.close()
    await log.close()
    await database.close()

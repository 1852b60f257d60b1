"""What stage changes that nobody has published would make campaigns do: planned as `batch` plans, and nothing written.

For a plan of a lifecycle, which is composed on the command line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.notifier.batch import Decided, Known, Moved, decide, read
from services.notifier.domain.campaign import Campaign, CampaignIndex
from services.notifier.domain.delivery import Planned, Suppressed
from services.notifier.domain.verdict import Allowed, Circumstances, objection
from services.notifier.store import contacts
from services.notifier.store.contacts import customer_key
from shared.db.port import Database
from shared.log.port import Record


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Campaigns on their trial, beside what the notifier knows of its contacts and of what they had before."""

    database: Database
    campaigns: Mapping[str, Campaign]
    stale_after_ms: int

    async def results(self, records: Sequence[Record], now_ms: int) -> list[Planned | Suppressed]:
        """Every step that records of the stage-changed topic would start: planned, or suppressed with the reason.

        A planned one is judged as it would be when it is due, if nothing but the records happens until then. Webhooks, the
        kill switches and the allow-list are left out. Raises DatabaseUnavailable.
        """
        reads = [each for each in map(read, records) if isinstance(each, Moved)]
        keys = {customer_key(each.change.tenant, each.change.customer_id) for each in reads}
        async with self.database.reading() as transaction:
            known, runs = await contacts.load(transaction, keys), await contacts.load_runs(transaction, keys)
        decided = Decided(known)
        decide(reads, decided, runs, Known(CampaignIndex(self.campaigns), {}, now_ms))
        return [*self._judged(decided, now_ms), *decided.suppressed]

    def _judged(self, decided: Decided, now_ms: int) -> Iterator[Planned | Suppressed]:
        for planned in decided.planned.values():
            contact = decided.contacts[customer_key(planned.tenant, planned.customer_id)]
            at_ms = max(now_ms, planned.due_ms)
            reason = objection(planned, Circumstances(contact, False, Allowed(True), self.stale_after_ms, at_ms))
            yield planned if reason is None else Suppressed(planned, reason)

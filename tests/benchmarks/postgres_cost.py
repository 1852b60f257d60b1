"""What PostgreSQL counts while it works: pages that it had to fetch, and what it wrote to its log ahead."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from tests.benchmarks.cluster import Cluster

_READ = """
SELECT d.blks_hit, d.blks_read, w.wal_records, w.wal_fpi, w.wal_bytes::bigint, c.num_timed + c.num_requested,
       pg_database_size(current_database())
FROM pg_stat_database d, pg_stat_wal w, pg_stat_checkpointer c WHERE d.datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """Pages of 8 KiB found in PostgreSQL's own cache and fetched into it; records, whole pages and bytes of the log
    ahead; checkpoints; and the database's size in bytes."""

    hit: int
    fetched: int
    records: int
    whole_pages: int
    bytes: int
    checkpoints: int
    size: int

    def since(self, before: Counts, events: int) -> str:
        """What was counted per event since then, for the table."""
        pages, fetched, size, whole = (
            (now - then) / events
            for now, then in (
                (self.hit + self.fetched, before.hit + before.fetched),
                (self.fetched, before.fetched),
                (self.bytes, before.bytes),
                (self.whole_pages, before.whole_pages),
            )
        )
        checkpoints = self.checkpoints - before.checkpoints
        return (
            f"pages {pages:.1f}, fetched {fetched:.2f}, logged {size:,.0f} bytes with {whole:.2f} whole pages; "
            f"{checkpoints} checkpoints; {self.size / 2**20:,.0f} MiB"
        )


async def counts(cluster: Cluster) -> Counts:
    """Everything since the server began. A session tells what it did about a second later."""
    connection = await asyncpg.connect(cluster.settings.database_url.replace("+asyncpg", ""))
    try:
        return Counts(*await connection.fetchrow(_READ))
    finally:
        await connection.close()

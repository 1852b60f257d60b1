"""How much of everything: the full run, and the short form within `make test`."""

from __future__ import annotations

from tests.faults.chaos import Deed, Trouble
from tests.faults.cluster import Team
from tests.faults.run import Scenario
from tests.faults.story import Size

FULL = Scenario(
    size=Size(events=20_000, customers=2_000),
    team=Team(engines=3, notifiers=2),
    trouble=Trouble(
        kills=20,
        others=(
            Deed.SUSPEND_ENGINE,
            Deed.SUSPEND_ENGINE,
            Deed.SUSPEND_ENGINE,
            Deed.SUSPEND_NOTIFIER,
            Deed.RESTART_POSTGRES,
            Deed.KILL_POSTGRES,
            Deed.RESTART_KAFKA,
            Deed.KILL_KAFKA,
            Deed.PUBLISH,
            Deed.PUBLISH,
            Deed.PUBLISH,
        ),
    ),
    pace=90,
    patience_seconds=120,
)
"""About 12,000 requests in about two and a half minutes."""

SHORT = Scenario(
    size=Size(events=3_000, customers=300),
    team=Team(engines=2, notifiers=1),
    trouble=Trouble(kills=3, others=(Deed.SUSPEND_ENGINE, Deed.KILL_POSTGRES, Deed.PUBLISH, Deed.PUBLISH)),
    pace=130,
    patience_seconds=40,
)
"""About 1,800 requests in under 20 s."""

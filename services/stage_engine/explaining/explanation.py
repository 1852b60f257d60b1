"""Why a customer is where they are, what each way out waits for, and what time alone would bring.

Nothing here decides: conditions are judged part by part as they stand at a moment (`ways_out`), and the future is found
by letting `advance` go on with nothing but time (`by_time`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from services.stage_engine.definitions.definition import Definition
from services.stage_engine.domain.lifecycle import Lifecycle, Rules
from services.stage_engine.domain.own_facts import STAGES, FactView, known_values
from services.stage_engine.domain.publishing import shown_facts
from services.stage_engine.domain.state import CustomerState, FactValue, LifecycleState
from services.stage_engine.explaining.by_time import next_by_time
from services.stage_engine.explaining.ways_out import Json, Standing, ways_out
from services.stage_engine.in_force import Known
from services.stage_engine.store.listings import KeptChange
from shared.contracts.times import to_text


@dataclass(frozen=True, slots=True)
class Explaining:
    """What is explained: a state under the rules and definitions that hold for it, at a moment."""

    rules: Rules
    definitions: Mapping[str, Definition]
    state: CustomerState
    at_ms: int

    def lifecycles(self) -> Json:
        """Each lifecycle that the customer is in, as stable JSON."""
        return {
            lifecycle.name: self._lifecycle(lifecycle, self.state.lifecycles[lifecycle.name])
            for lifecycle in self.rules.lifecycles
            if lifecycle.name in self.state.lifecycles
        }

    def facts(self, lifecycle: Lifecycle) -> Mapping[str, FactValue]:
        """All that conditions of a lifecycle may read, as it stands now."""
        current = self.state.lifecycles[lifecycle.name]
        stages = {
            f"{STAGES}{name}": self.state.lifecycles[name].stage
            for name in lifecycle.reads_stages & self.state.lifecycles.keys()
        }
        return FactView(lifecycle.own, self.state.facts, current.tallies, self.at_ms, stages)

    def own_facts(self, lifecycle: Lifecycle) -> Json:
        """The lifecycle's own facts with their values, as people read them; what has none is left out."""
        own = lifecycle.own.types
        return dict(shown_facts(known_values(self.facts(lifecycle), sorted(own)), own, self.rules.currency))

    def at_least(self, lifecycle: Lifecycle) -> Json:
        """Own facts that count no further, where there are any: their value means "at least"."""
        tallies = self.state.lifecycles[lifecycle.name].tallies
        names = lifecycle.own.saturated(tallies, self.at_ms)
        return {"at_least": names} if names else {}

    def _lifecycle(self, lifecycle: Lifecycle, current: LifecycleState) -> Json:
        definition, facts = self.definitions[lifecycle.name], self.facts(lifecycle)
        standing = Standing(lifecycle, definition, current, facts, self.rules.currency, self.at_ms)
        return {
            "version": lifecycle.version,
            "stage": current.stage,
            "since": to_text(current.entered_ms),
            "entry": current.entries[current.stage],
            "facts": self.own_facts(lifecycle),
            **self.at_least(lifecycle),
            "ways_out": ways_out(standing),
            "by_time_alone": self._by_time(lifecycle),
        }

    def _by_time(self, lifecycle: Lifecycle) -> Json | None:
        coming = next_by_time(self.rules, self.state, lifecycle.name)
        if coming is None:
            return None
        change = coming.change
        return {
            "transition": change.transition.id if change.transition else None,
            "to": change.to,
            "settles_in": coming.settles_in,
            "effective_at": to_text(change.effective_ms),
            "noticed_at": to_text(coming.noticed_ms),
        }


def explanation(customer_id: str, known: Known, at_ms: int) -> Json:
    """The whole answer about a customer: for each lifecycle why, and what may come; past moves as they were kept."""
    explained = Explaining(known.rules, known.definitions, known.state, at_ms).lifecycles()
    for name, part in explained.items():
        kept = known.last_changes.get(name)
        part["last_change"] = _kept(kept) if kept else None
    return {
        "customer_id": customer_id,
        "at": to_text(at_ms),
        "currency": known.rules.currency,
        "facts": shown_facts(known.state.facts, {}, known.rules.currency),
        "lifecycles": explained,
    }


def _kept(change: KeptChange) -> Json:
    data: Json = msgspec.json.decode(change.data)
    data.pop("customer", None)
    return {"id": change.change_id, "effective_at": to_text(change.effective_ms), **data}

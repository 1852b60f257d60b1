"""A plan as it is told: as JSON for programs, as tables for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from services.cli.lifecycles.formats import counted, in_words, readable
from services.notifier.domain.delivery import Planned, Suppressed
from services.stage_engine.planning.candidate import Candidate
from services.stage_engine.planning.forecast import Affected, Forecast, Move, Source, Way, new_facts
from shared.contracts.stage_changed import StageChanged
from shared.contracts.times import to_text

Json = dict[str, Any]

LEFT_OUT = (
    "webhooks",
    "kill switches and the allow-list",
    "steps waiting now that leaving a stage would cancel",
    "whatever customers do before a delayed step is due",
)
"""What the count of deliveries knows nothing of."""


@dataclass(slots=True)
class CampaignCount:
    """What one campaign would do: `changes` are the stage changes that start it, `deliveries` the steps that nothing known
    now speaks against."""

    changes: int = 0
    deliveries: int = 0
    suppressed: Counter[str] = field(default_factory=Counter)

    def reasons(self) -> list[tuple[str, int]]:
        """Why some would not be sent, the most frequent reason first."""
        return sorted(self.suppressed.items(), key=lambda each: (-each[1], each[0]))


@dataclass(slots=True)
class Campaigns:
    """What campaigns would do under `--notify`."""

    counts: dict[str, CampaignCount] = field(default_factory=dict)

    def add(self, results: Iterable[Planned | Suppressed]) -> None:
        """Take in what some stage changes would start; all results of a change come together."""
        started: set[tuple[str, str]] = set()
        for each in results:
            step = each.planned if isinstance(each, Suppressed) else each
            count = self.counts.setdefault(step.campaign, CampaignCount())
            count.changes += (step.campaign, step.change_id) not in started
            started.add((step.campaign, step.change_id))
            if isinstance(each, Suppressed):
                count.suppressed[each.reason.value] += 1
            else:
                count.deliveries += 1


@dataclass(slots=True)
class Plan:
    """What was found, of `total` customers. `outdated` says that something was published while it was made."""

    candidate: Candidate
    tenant: str | None
    at_ms: int
    total: int
    forecast: Forecast
    campaigns: Campaigns = field(default_factory=Campaigns)
    complete: bool = False
    outdated: bool = False


def as_json(plan: Plan) -> Json:
    """The form of `--format json`."""
    candidate, forecast = plan.candidate, plan.forecast
    name = candidate.definition.name
    return {
        "lifecycle": name,
        "version": candidate.version,
        "active_version": candidate.active.get(name),
        "at": to_text(plan.at_ms),
        "tenant": plan.tenant,
        "complete": plan.complete,
        "outdated": plan.outdated,
        "customers": {"total": plan.total, "looked_at": forecast.customers, "moved": forecast.moved},
        "moved_before_by_time_or_earlier_publications": forecast.moved_before,
        "moved_by_time_within_7_days": {"active": forecast.soon_active, "candidate": forecast.soon_candidate},
        "decided_from": {each.value: forecast.sources[each] for each in Source},
        "recomputed_facts": new_facts(candidate),
        "moves": {
            lifecycle: [
                {"from": move.from_, "to": move.to, "customers": count} for move, count in sorted_moves(plan, lifecycle)
            ]
            for lifecycle in forecast.orders
        },
        "hops": [
            {
                "lifecycle": way.lifecycle,
                "from": way.from_,
                "to": way.to,
                "transition": way.transition,
                "changes": count,
            }
            for way, count in forecast.ways.most_common()
        ],
        "failing_conditions": [
            {**each._asdict(), "customers": count} for each, count in forecast.failing.most_common()
        ],
        "campaigns": {
            "without_notify": 0,
            "with_notify": [_campaign_json(key, count) for key, count in sorted(plan.campaigns.counts.items())],
            "left_out": list(LEFT_OUT),
        },
        "most_affected": [_affected_json(each) for each in forecast.most_affected()],
    }


def sorted_moves(plan: Plan, lifecycle: str) -> list[tuple[Move, int]]:
    """The matrix of a lifecycle, in the order of stages."""
    orders = plan.forecast.orders[lifecycle]
    found = plan.forecast.moves.get(lifecycle, Counter()).items()
    return sorted(found, key=lambda each: (orders.get(each[0].from_ or "", -1), orders[each[0].to], each[0].to))


def show(out: Console, plan: Plan) -> None:
    """The same, for people."""
    candidate, name = plan.candidate, plan.candidate.definition.name
    if candidate.in_force:
        out.print(f"{name} version {candidate.version} is active already: publishing this file would change nothing")
        return
    against = "which no engine runs yet" if candidate.new else f"against version {candidate.active[name]}"
    out.rule(f"{name} version {candidate.version}, {against} · {readable(to_text(plan.at_ms))}", align="left")
    _show_extent(out, plan)
    for lifecycle in plan.forecast.orders:
        _show_matrix(out, plan, lifecycle)
    _show_failing(out, plan.forecast)
    if candidate.new:
        out.print("No campaign would act on it: a lifecycle that an engine runs for the first time begins silently.")
    else:
        _show_campaigns(out, plan)
    _show_most_affected(out, plan.forecast.most_affected())
    how = "An engine started with it in JORNADA_LIFECYCLES" if candidate.new else "`jornada lifecycle publish`"
    out.print(f"[dim]Nothing was changed. {how} makes it so.[/]")


def _show_extent(out: Console, plan: Plan) -> None:
    forecast = plan.forecast
    if not plan.complete:
        out.print(f"[bold yellow]partial[/]: ended after {forecast.customers:,} of {plan.total:,} customers")
    if plan.outdated:
        out.print("[bold yellow]outdated[/]: something was published meanwhile; plan again")
    out.print(f"{forecast.customers:,} customers looked at, [bold]{forecast.moved:,}[/] of them would move")
    if forecast.moved_before:
        out.print(f"{forecast.moved_before:,} are moved before by what is due already, and counted from there")
    if forecast.soon_active or forecast.soon_candidate:
        as_it_is = f"as things are it moves {forecast.soon_active:,}"
        out.print(f"within 7 days more, time alone would move {forecast.soon_candidate:,} from there; {as_it_is}")
    from_history = forecast.sources[Source.HISTORY] + forecast.sources[Source.TRIMMED_HISTORY]
    if facts := new_facts(plan.candidate):
        out.print(f"new or changed facts, computed from history: {', '.join(facts)}")
    out.print(f"decided from the stored state: {forecast.sources[Source.STATE]:,}, from history: {from_history:,}")
    if trimmed := forecast.sources[Source.TRIMMED_HISTORY]:
        out.print(f"for {trimmed:,} of them older history was trimmed: these facts count from the horizon on")


def _show_matrix(out: Console, plan: Plan, lifecycle: str) -> None:
    moves = sorted_moves(plan, lifecycle)
    targets = list(dict.fromkeys(move.to for move, _ in moves if move.from_ != move.to))
    if not targets:
        if lifecycle == plan.candidate.definition.name:
            out.print(f"[bold]{lifecycle}[/]: nobody would change stage")
        return
    orders = plan.forecast.orders[lifecycle]
    targets.sort(key=lambda stage: orders[stage])
    counts = dict(moves)
    stages = [stage for stage in sorted(orders, key=lambda key: orders[key]) if _met(stage, counts)]
    table = Table("stage", "now", "then", *(f"→ {stage}" for stage in targets), title=lifecycle, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    entering = [None] if any(move.from_ is None for move in counts) else []
    for stage in [*entering, *stages]:
        now = sum(count for move, count in moves if move.from_ == stage)
        then = sum(count for move, count in moves if move.to == stage)
        cells = [_cell(counts, stage, target) for target in targets]
        table.add_row(stage or "(enters)", f"{now:,}", f"{then:,}" if stage else "", *cells)
    out.print(table)
    for way, count in plan.forecast.ways.most_common():
        if way.lifecycle == lifecycle:
            out.print(f"  {count:,} × {_way(way)}")


def _met(stage: str, counts: dict[Move, int]) -> bool:
    return any(stage in move for move in counts)


def _cell(counts: dict[Move, int], stage: str | None, target: str) -> str:
    count = counts.get(Move(stage, target), 0)
    return "" if not count or stage == target else f"[bold]{count:,}[/]"


def _way(way: Way) -> str:
    if way.transition is not None:
        return f"{way.from_} → {way.to} by {way.transition}"
    return f"enters {way.to}" if way.from_ is None else f"{way.from_} → {way.to} by migrate"


def _show_failing(out: Console, forecast: Forecast) -> None:
    for each, count in forecast.failing.most_common():
        where = f"{each.lifecycle}: `{each.transition}` can't be computed for {counted(count, 'customer')}"
        out.print(f"[yellow]warning[/] {escape(where)}, so it does not hold: {escape(each.expression)}")


def _show_campaigns(out: Console, plan: Plan) -> None:
    out.print("Published without --notify, no campaign acts on it.")
    if not plan.campaigns.counts:
        out.print("Published with --notify, none would either: no campaign waits for these moves.")
        return
    table = Table("campaign", "stage changes", "deliveries", "not sent", title="with --notify", title_justify="left")
    for key, count in sorted(plan.campaigns.counts.items()):
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in count.reasons())
        table.add_row(key, f"{count.changes:,}", f"{count.deliveries:,}", reasons)
    out.print(table)
    out.print(f"[dim]Not counted: {'; '.join(LEFT_OUT)}.[/]")


def _show_most_affected(out: Console, affected: Sequence[Affected]) -> None:
    if not affected:
        return
    out.print("[bold]Most affected[/] (most hops, then the longest way in the order of stages)")
    for each in affected:
        tree = Tree(escape(f"{each.customer.tenant}:{each.customer.customer_id}"))
        for hop in each.hops:
            tree.add(escape(_hop(hop)))
        out.print(tree)


def _hop(hop: StageChanged) -> str:
    way = _way(Way(hop.lifecycle, hop.from_, hop.to, hop.transition))
    return f"{hop.lifecycle}: {way}" + (f" ({in_words(hop.facts)})" if hop.facts else "")


def _campaign_json(key: str, count: CampaignCount) -> Json:
    return {
        "campaign": key,
        "changes": count.changes,
        "deliveries": count.deliveries,
        "suppressed": dict(count.reasons()),
    }


def _affected_json(each: Affected) -> Json:
    return {
        "tenant": each.customer.tenant,
        "customer_id": each.customer.customer_id,
        "distance": each.distance,
        "hops": [_hop_json(hop) for hop in each.hops],
    }


def _hop_json(hop: StageChanged) -> Json:
    return {
        "lifecycle": hop.lifecycle,
        "from": hop.from_,
        "to": hop.to,
        "direction": hop.direction,
        "transition": hop.transition,
        "entry": hop.entry,
        "facts": hop.facts,
    }

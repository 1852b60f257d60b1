"""Every metric, in one place. Labels are few and bounded: never a customer, an id or a URL."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from prometheus_client import Counter, Gauge, Histogram


class Phase(StrEnum):
    """The parts that one batch's time is made of."""

    HISTORY = "history"
    LOAD = "load"
    DECIDE = "decide"
    WRITE = "write"
    COMMIT = "commit"


_LATENCY_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BATCH_RECORDS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000)

# Ingest
EVENTS_ACCEPTED = Counter("jornada_events_accepted_total", "Events that the log has durably", ["mode"])
EVENTS_REFUSED = Counter("jornada_events_refused_total", "Events that were answered with an error", ["reason"])
EVENTS_IN_FLIGHT = Gauge("jornada_events_in_flight", "Events handed to the log and not yet acknowledged")
LOG_APPEND_SECONDS = Histogram(
    "jornada_log_append_seconds", "From handing records to the log to its acknowledgement", ["topic"],
    buckets=_LATENCY_SECONDS,
)  # fmt: skip
LOG_APPEND_FAILURES = Counter("jornada_log_append_failures_total", "Appends without an acknowledgement", ["topic"])

# Consumers; `service` is engine or notifier
BATCH_RECORDS = Histogram(
    "jornada_batch_records", "Records in one transaction", ["service"], buckets=_BATCH_RECORDS
)  # fmt: skip
BATCH_PHASE_SECONDS = Histogram(
    "jornada_batch_phase_seconds", "Time of one batch by phase", ["service", "phase"], buckets=_LATENCY_SECONDS
)
LAG_RECORDS = Gauge("jornada_lag_records", "Records that are not handled yet", ["service", "topic", "partition"])
LAG_SECONDS = Gauge(
    "jornada_lag_seconds", "Age of the oldest record that is not handled yet; 0 when caught up",
    ["service", "topic", "partition"],
)  # fmt: skip
PARTITIONS_OWNED = Gauge("jornada_partitions_owned", "Partitions that this process owns", ["service"])
DEAD_LETTERS = Counter("jornada_dead_letters_total", "Records set aside", ["reason"])

# Stage engine
TIMERS_DUE = Gauge("jornada_timers_due", "Timers that are ripe and have not fired yet")
TIMERS_OLDEST_SECONDS = Gauge("jornada_timers_oldest_seconds", "How long the oldest ripe timer has been waiting")
STAGE_CHANGES = Counter("jornada_stage_changes_total", "Stage changes decided", ["lifecycle", "to"])
EVALUATION_ERRORS = Counter("jornada_evaluation_errors_total", "Conditions that failed at run time", ["lifecycle"])
OUTBOX_WAITING = Gauge("jornada_outbox_waiting", "Decided records that are not published yet")

# Notifier
DELIVERIES = Counter("jornada_deliveries_total", "Delivery attempts by outcome", ["channel", "outcome"])
SUPPRESSIONS = Counter("jornada_suppressions_total", "Messages not sent, with why", ["reason"])
DELIVERIES_DUE = Gauge("jornada_deliveries_due", "Deliveries that are due and not under way")
ENDPOINTS_STOPPED = Counter(
    "jornada_webhook_endpoints_stopped_total", "Endpoints paused after 120 h of failure, or disabled by 410", ["status"]
)

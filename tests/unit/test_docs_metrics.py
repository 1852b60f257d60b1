"""The metrics in docs/operations.md are those that the code has: none is missing, none is made up."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
OPERATIONS = ROOT / "docs" / "operations.md"
DECLARED = re.compile(r"\b(?:Counter|Gauge|Histogram)\(\s*\"(jornada_[a-z_]+)\"")
NAMED = re.compile(r"`(jornada_[a-z_]+)[`{]")


def declared() -> set[str]:
    """Names of the metrics wherever they are declared; shared/telemetry/metrics.py should hold all of them."""
    files = [*ROOT.glob("services/**/*.py"), *ROOT.glob("shared/**/*.py")]
    return {name for file in files for name in DECLARED.findall(file.read_text(encoding="utf-8"))}


def test_the_search_finds_what_is_declared_on_one_line_and_on_several() -> None:
    assert {"jornada_events_accepted_total", "jornada_log_append_seconds", "jornada_lag_seconds"} <= declared()


def test_every_metric_is_documented_and_every_documented_metric_exists() -> None:
    assert set(NAMED.findall(OPERATIONS.read_text(encoding="utf-8"))) == declared()

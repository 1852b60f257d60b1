"""Which language to write in."""

from __future__ import annotations

from collections.abc import Collection


def best_locale(wanted: str | None, available: Collection[str], default: str) -> str:
    """The closest language there is: es-MX → es → any es-… → the default. `available` holds the default."""
    known = {one.lower(): one for one in available}
    parts = (wanted or "").lower().replace("_", "-").split("-")
    for length in range(len(parts), 0, -1):
        if found := known.get("-".join(parts[:length])):
            return found
    related = sorted(one for lowered, one in known.items() if parts[0] and lowered.split("-")[0] == parts[0])
    return related[0] if related else default

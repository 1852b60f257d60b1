"""Names that look right and are not: a Cyrillic e among Latin letters can't be seen, so it is told by its number and name."""

from __future__ import annotations

import unicodedata

_MOST_TOLD = 3


def odd_letters(name: str) -> str:
    """The end of a message about a name: which of its characters are no plain ones; empty where all are."""
    odd = list(dict.fromkeys(each for each in name if not each.isascii()))[:_MOST_TOLD]
    if not odd:
        return ""
    told = ", ".join(f"U+{ord(each):04X} {unicodedata.name(each, 'without a name')}" for each in odd)
    return f" (it has {told}; names are written with a-z, 0-9 and _)"

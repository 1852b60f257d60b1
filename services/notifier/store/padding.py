"""Lists of values for IN, in few different lengths."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

Value = TypeVar("Value")


def padded(values: Collection[Value]) -> list[Value]:
    """The values, one of them repeated until there are a power of two.

    A statement is prepared anew for every length of its list, which costs two more round trips and a place in the
    connection's cache; so there are few lengths.
    """
    listed = list(values)
    if listed:
        listed += listed[-1:] * ((1 << (len(listed) - 1).bit_length()) - len(listed))
    return listed

"""Which partition a key belongs to: Kafka's own rule (murmur2), so that any producer in any language agrees."""

from __future__ import annotations

from functools import lru_cache
from struct import unpack_from
from typing import Final

_SEED: Final = 0x9747B28C
_MULTIPLIER: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF
_POSITIVE: Final = 0x7FFFFFFF


def murmur2(data: bytes) -> int:
    """MurmurHash2, 32 bit, with Kafka's seed, as an unsigned number (`org.apache.kafka.common.utils.Utils.murmur2`)."""
    length = len(data)
    hashed = _SEED ^ length
    for word in unpack_from(f"<{length >> 2}I", data):
        mixed = word * _MULTIPLIER & _MASK
        mixed = (mixed ^ mixed >> 24) * _MULTIPLIER & _MASK
        hashed = hashed * _MULTIPLIER & _MASK ^ mixed
    rest = data[length & ~3 :]
    if rest:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * _MULTIPLIER & _MASK
    hashed = (hashed ^ hashed >> 13) * _MULTIPLIER & _MASK
    return hashed ^ hashed >> 15


@lru_cache(maxsize=32_768)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of `key` in a topic of `partitions`. Remembered: customers come back, and hashing costs ten look-ups."""
    return (murmur2(key) & _POSITIVE) % partitions

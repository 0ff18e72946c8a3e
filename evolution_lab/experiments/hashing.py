"""Hashes that place a unit in [0, 1) as services in other languages place it, one unit at a time.

GrowthBook: FNV-1a over the UTF-16 code units that its JavaScript SDK sees (other SDKs agree with it
on everything but characters beyond U+FFFF). Unleash: MurmurHash3 of ``group:unit``, in 100 buckets.
flagd: MurmurHash3 of seed and unit; version 2 multiplies instead of dividing, and has no bias.

Texts are encoded before mmh3 sees them: handed half a surrogate pair it does not raise, it crashes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import mmh3
from fnv_hash_fast import fnv1a_32

from evolution_lab.experiments.definition import HashAlgorithm

Bucketing = Callable[[str], float]
"""Places a unit in [0, 1); the same unit at the same place, for ever."""

FNV_OFFSET: Final = 0x811C9DC5
FNV_PRIME: Final = 0x01000193
UNLEASH_VARIANT_SEED: Final = 86028157
"""Seed of the hash that chooses among an Unleash feature's variants; rollouts use 0."""
_WORD: Final = 0xFFFFFFFF
_INT32_MAX: Final = 0x7FFFFFFF


def fnv1a(text: str) -> int:
    """Return the 32-bit FNV-1a hash of a text's UTF-16 code units.

    Examples:
        >>> fnv1a("a") == 0xE40C292C
        True
    """
    if text.isascii():
        return fnv1a_32(text.encode())
    units = text.encode("utf-16-le", "surrogatepass")
    value = FNV_OFFSET
    for place in range(0, len(units), 2):
        value ^= units[place] | units[place + 1] << 8
        value = value * FNV_PRIME & _WORD
    return value


def growthbook_hash(seed: str, value: str, version: int = 2) -> float | None:
    """Return GrowthBook's hash of a unit: 0 to 0.999 (version 1) or 0.9999 (version 2).

    Args:
        seed: What is hashed with it, an experiment's key for instance.
        value: The unit.
        version: 1 or 2; None is returned for any other, as GrowthBook does.

    Examples:
        >>> growthbook_hash("", "a", 1), growthbook_hash("", "a", 2)
        (0.22, 0.0216)
    """
    if version == 2:
        return fnv1a(str(fnv1a(seed + value))) % 10_000 / 10_000
    if version == 1:
        return fnv1a(value + seed) % 1_000 / 1_000
    return None


def unleash_bucket(group: str, value: str, *, buckets: int = 100, seed: int = 0) -> int:
    """Return Unleash's normalised hash: 1 to ``buckets``.

    Examples:
        >>> unleash_bucket("gr1", "123")
        73
    """
    return mmh3.hash(f"{group}:{value}".encode(), seed, signed=False) % buckets + 1


def flagd_fractional(value: str, weights: Sequence[int], version: int = 2) -> int | None:
    """Return which of several weighted buckets flagd puts a text in, counted from 0.

    Args:
        value: What is hashed: flagd's default is flag key and targeting key, one after the other.
        weights: Weight of each bucket.
        version: 1 compares ``abs(hash) / int32max * 100`` with running percentages; 2 is
            ``(hash * total) >> 32``.

    Returns:
        The bucket; None where no weight is left.

    Examples:
        >>> flagd_fractional("flag" + "user-7", [25, 75])
        1
    """
    total = sum(max(weight, 0) for weight in weights)
    if not 0 < total <= _INT32_MAX:
        return None
    if version == 1:
        place = abs(mmh3.hash(value.encode())) / _INT32_MAX * 100
        steps = [max(weight, 0) * 100 / total for weight in weights]
    else:
        place = mmh3.hash(value.encode(), signed=False) * total >> 32
        steps = [float(max(weight, 0)) for weight in weights]
    end = 0.0
    for index, step in enumerate(steps):
        end += step
        if place < end:
            return index
    return len(weights) - 1  # Version 1's hash may be 100 itself.


def bucketing(algorithm: HashAlgorithm, seed: str, version: int = 2) -> Bucketing:
    """Return the function that places units in [0, 1) for one seed.

    Unleash's 100 buckets lie at 0, 0.01 … 0.99, so that ``place < share`` is its ``bucket <=
    percentage``; flagd's place is compared with a share exactly as its buckets are (shares are
    multiples of 0.0001 there: weights out of 10,000).

    Examples:
        >>> bucketing("growthbook", "try")("user-7") == growthbook_hash("try", "user-7")
        True
    """
    if algorithm == "growthbook":
        if version == 1:
            return lambda unit: fnv1a(unit + seed) % 1_000 / 1_000
        if seed.isascii():
            head = seed.encode()

            def place(unit: str) -> float:
                if not unit.isascii():
                    return fnv1a(str(fnv1a(seed + unit))) % 10_000 / 10_000
                first = fnv1a_32(head + unit.encode())
                return fnv1a_32(b"%d" % first) % 10_000 / 10_000

            return place
        return lambda unit: fnv1a(str(fnv1a(seed + unit))) % 10_000 / 10_000
    if algorithm == "unleash":
        return lambda unit: mmh3.hash(f"{seed}:{unit}".encode(), signed=False) % 100 / 100
    if version == 1:
        return lambda unit: min(abs(mmh3.hash((seed + unit).encode())) / _INT32_MAX, 1 - 2**-32)
    return lambda unit: (mmh3.hash((seed + unit).encode(), signed=False) * 10_000 >> 32) / 10_000

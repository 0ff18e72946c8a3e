"""How a shop is to behave: its version, its pace, and the regressions built into it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from evolution_lab.demo.timeline import STABLE_VERSION
from evolution_lab.errors import InputError, UnknownNameError

REGRESSIONS: Final = MappingProxyType(
    {
        "wrong-total": "the total of a cart forgets the quantities",
        "dropped-field": "a product comes without its currency",
        "wrong-error-code": "an unknown cart is refused as invoice_not_found",
        "renamed-enum": "an order that was placed says PLACED",
        "off-by-one-page": "a page of orders begins one order late",
        "changed-rounding": "the tax of an invoice is cut off where it was rounded",
        "number-as-text": "the amount of a quote is a text",
        "reversed-order": "a search lists its products from the last to the first",
    }
)
"""Changes of behaviour that golden tests have to notice, by name."""


@dataclass(frozen=True, kw_only=True)
class ShopSettings:
    """How a shop is to behave.

    Attributes:
        version: What it calls itself.
        regressions: Names from ``REGRESSIONS``.
        pace: Scales the waits that stand for the network and the disks which a small database on
            the same machine does not have: 1 gives times of 10 to 100 ms, 0 waits nowhere.
        failure_rate: Share of the calls that fail for no reason, as in life; fraction.
        seed: Of the products, carts and orders it opens with, of its waits and its failures.

    Raises:
        UnknownNameError: A regression is not known.
        InputError: A number is out of its range.

    Examples:
        >>> ShopSettings(regressions=frozenset({"wrong-total"})).pace
        0.0
    """

    version: str = STABLE_VERSION
    regressions: frozenset[str] = frozenset()
    pace: float = 0.0
    failure_rate: float = 0.0
    seed: int = 7

    def __post_init__(self) -> None:
        for name in sorted(self.regressions):
            if name not in REGRESSIONS:
                raise UnknownNameError("regression", name, REGRESSIONS)
        if self.pace < 0:
            raise InputError(f"pace == {self.pace}, must be 0 or more.")
        if not 0 <= self.failure_rate <= 1:
            raise InputError(f"failure_rate == {self.failure_rate}, must be between 0 and 1.")

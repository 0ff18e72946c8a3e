"""What a service takes from outside: time, identifiers, chance. Real, or held still."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
_ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass(frozen=True)
class Request:
    """One request as a service sees it.

    Attributes:
        method: ``GET``, ``POST`` …
        path: Without query.
        query: Texts by name.
        body: JSON, None where there is none.
    """

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None


Response = tuple[int, Any]
"""Status and JSON body."""


class Service(Protocol):
    """Answers requests; keeps its state in memory."""

    def call(self, request: Request) -> Response:
        """Return the answer."""
        ...


class World(Protocol):
    """Time, identifiers and chance."""

    def now(self) -> float:
        """Return the time, seconds since 1970."""
        ...

    def uuid(self) -> str:
        """Return a new UUID."""
        ...

    def token(self, length: int) -> str:
        """Return random letters and digits."""
        ...

    def noise(self) -> float:
        """Return a number between 0 and 1."""
        ...

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return items in any order."""
        ...


class RealWorld:
    """The clock of the machine and seeded chance.

    Args:
        seed: Of all that is drawn: two worlds with other seeds give other identifiers.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - nothing secret depends on it
        self._ahead = self._random.uniform(0, 40_000_000)

    def now(self) -> float:
        """Return the clock's time, moved by what the seed says: reruns are not of the same day."""
        return time.time() + self._ahead

    def uuid(self) -> str:
        """Return a random UUID."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def token(self, length: int) -> str:
        """Return random letters and digits."""
        return "".join(self._random.choices(_ALPHABET, k=length))

    def noise(self) -> float:
        """Return a number between 0 and 1."""
        return self._random.random()

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return items in a drawn order."""
        return self._random.sample(list(items), len(items))


class FrozenWorld:
    """A world in which the same things happen at the same time, always."""

    def __init__(self) -> None:
        self._count = 0

    def now(self) -> float:
        """Return a moment that never passes."""
        return 1_767_600_000.0

    def uuid(self) -> str:
        """Return the next UUID of a fixed series."""
        self._count += 1
        return str(uuid.UUID(int=self._count * 0x9E3779B97F4A7C15, version=4))

    def token(self, length: int) -> str:
        """Return the next token of a fixed series."""
        self._count += 1
        return "".join(_ALPHABET[(self._count * (k + 7)) % len(_ALPHABET)] for k in range(length))

    def noise(self) -> float:
        """Return one half."""
        return 0.5

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return items in their order."""
        return list(items)

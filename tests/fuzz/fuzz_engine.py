"""Mutation fuzzing: seeded changes to small valid inputs, and a count of what comes of each."""

from __future__ import annotations

import copy
import json
import random
import re
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

SLOW_SECONDS: Final = 1.0
GIVE_UP_SECONDS: Final = 20
WORDS: Final[tuple[bytes, ...]] = (
    b"", b"0", b"-1", b"1e999", b"-1e-999", b"NaN", b"Infinity", b"18446744073709551616",
    b"9" * 400, b"null", b"true", b"[]", b"{}", b"[" * 200, b'{"a":' * 200, b'"', b"\\", b"\\u0000",
    b"\\ud800", b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r", b"\n", b"\r\n", b",",
    b";", b"\t", b"%00", b"../../x", b"\x1b[31m", b"=1+1", b"<script>", b"'; DROP TABLE x;--",
    b"${7*7}", b"{{7*7}}", b"1969-12-31T23:59:59Z", b"9999-12-31T23:59:60Z", b"2026-02-30",
    "\u202e\u0000\u2028é\U0001f600".encode(),
)  # fmt: skip
VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1 << 63, 1 << 64, -(1 << 70), 10**400, 0.1, 1e308, float("nan"), float("inf"), "",
    "0", "-1", "1e999", "\u0000", "\ud800", "\u202e", "a" * 5_000, "../../etc/passwd", "{id}", "$ref",
    "#/components/schemas/X", "=cmd()", "2026-13-45T99:99:99Z", "ZZZ", [], {}, [[]], [None], {"": None},
    {"a": {"a": {"a": {}}}}, [1, "1", 1.0, True], {"$ref": "#"}, {"type": "object"}, ["a"] * 50,
)  # fmt: skip


@dataclass
class Mutator:
    """Draws changes; the same seed draws the same ones."""

    seed: int
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def choice(self, values: Sequence[Any]) -> Any:
        """Return one of some values."""
        return self._random.choice(values)

    def data(self, data: bytes) -> bytes:
        """Return bytes with one to four changes."""
        for _ in range(self._random.choice((1, 1, 1, 2, 2, 3, 4))):
            data = self._changed(data)
        return data

    def tree(self, tree: Any) -> Any:
        """Return a JSON value with one to three of its parts replaced, taken out, doubled or moved."""
        tree = copy.deepcopy(tree)
        for _ in range(self._random.choice((1, 1, 2, 3))):
            tree = self._pruned(tree)
        return tree

    def valid(self, tree: Any) -> bytes:
        """Return a changed JSON value as text that the grammar of JSON allows."""
        return _dumped(self.tree(tree))

    def document(self, tree: Any) -> bytes:
        """Return a changed JSON value as text, which one time in four is changed, too."""
        text = json.dumps(self.tree(tree), ensure_ascii=self._random.random() < 0.5)
        data = text.encode("utf-8", "surrogatepass")
        return self._changed(data) if self._random.random() < 0.25 else data

    def _changed(self, data: bytes) -> bytes:
        draw = self._random
        begin = draw.randrange(len(data) + 1)
        end = min(len(data), begin + draw.choice((0, 1, 1, 2, 4, 8, 16, 64, 400)))
        kind = draw.randrange(7)
        if kind == 0 and data:  # One bit.
            at = draw.randrange(len(data))
            return data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :]
        if kind == 1:
            return data[:begin] + data[end:]
        if kind == 2:
            return data[:end] + data[begin:end] * draw.choice((1, 2, 9)) + data[end:]
        if kind == 3:
            return data[:begin] + draw.choice(WORDS) + data[end:]
        if kind == 4:
            return data[:begin] + draw.randbytes(end - begin) + data[end:]
        if kind == 5:
            other = draw.randrange(len(data) + 1)
            return data[:begin] + data[other : other + (end - begin)] + data[end:]
        return data[:begin] + draw.choice(WORDS) + data[begin:]

    def _pruned(self, tree: Any) -> Any:
        places = list(_places(tree))
        draw = self._random
        if not places:
            return draw.choice(VALUES)
        holder, key = draw.choice(places)
        kind = draw.randrange(6)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[draw.choice(("", "\u0000", "__proto__", str(key).upper(), "a" * 300))] = (
                holder.pop(key)
            )
        elif kind in {1, 2}:
            other, where = draw.choice(places)
            with suppress(KeyError, IndexError):  # It may be gone by now.
                holder[key] = copy.deepcopy(other[where])
        elif kind == 3:
            holder[key] = [holder[key]] if draw.random() < 0.5 else {"a": holder[key]}
        else:
            holder[key] = copy.deepcopy(draw.choice(VALUES))
        return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each holder and key of a JSON value."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield tree, key
            yield from _places(value)
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield tree, index
            yield from _places(value)


def _dumped(tree: Any) -> bytes:
    """Return JSON in ASCII; what JSON has no word for becomes null."""
    text = json.dumps(tree)
    return re.sub(r"\b(NaN|-?Infinity)\b", "null", text).encode()


class LostNeighbourError(Exception):
    """A valid row beside a broken one is gone."""


@dataclass
class Target:
    """What is fuzzed.

    Attributes:
        name: Of the target.
        draw: Makes an input.
        run: Takes it; returns whether it was refused in words.
        share: Of all inputs, relative to the other targets.
        batch: How many inputs are drawn and run at once.
        close: Ends what the target keeps running.
    """

    name: str
    draw: Callable[[Mutator], Any]
    run: Callable[[Any], bool]
    share: float = 1.0
    batch: int = 1
    close: Callable[[], None] = lambda: None


@dataclass
class Figures:
    """What came of a target's inputs.

    Attributes:
        inputs: How many.
        refused: Of them, refused in words as a whole.
        crashes: Ended by an error that is no refusal.
        hangs: Took more than a second.
        lost: Took a valid neighbour row along.
        slowest_seconds: CPU seconds of the slowest one.
        grown_mb: By how much the most memory in use grew over that of the first tenth.
        seconds: CPU seconds in all.
        examples: The first inputs of what went wrong, with the reason.
    """

    inputs: int = 0
    refused: int = 0
    crashes: int = 0
    hangs: int = 0
    lost: int = 0
    slowest_seconds: float = 0.0
    grown_mb: float = 0.0
    seconds: float = 0.0
    examples: list[tuple[str, str]] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.crashes or self.hangs or self.lost)


class _TooLongError(BaseException):
    """No reader may catch it."""


@contextmanager
def _given_up() -> Iterator[None]:
    def stop(_number: int, _frame: object) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(GIVE_UP_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fuzz(target: Target, *, inputs: int, seed: int = 0) -> Figures:
    """Run a target on so many inputs."""
    mutator, figures = Mutator(seed), Figures()
    with suppress(Exception):  # What is loaded at first use is loaded.
        target.run(target.draw(Mutator(seed + 1)))
    early = most = _resident_mb()
    rounds = -(-inputs // target.batch)
    for number in range(rounds):
        given = target.draw(mutator)
        began = time.process_time()
        reason = ""
        try:
            with _given_up():
                figures.refused += target.batch * target.run(given)
        except _TooLongError:
            figures.hangs += 1
            reason = "gave up"
        except LostNeighbourError as error:
            figures.lost += 1
            reason = f"lost: {error}"
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a panic of Rust is no Exception
            figures.crashes += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        took = time.process_time() - began
        if took > SLOW_SECONDS and not reason:
            figures.hangs += 1
            reason = f"took {took:.2f} s"
        places = [known.rpartition("(")[2] for _, known in figures.examples]
        if reason and len(places) < 12 and places.count(reason.rpartition("(")[2]) < 2:
            figures.examples.append((repr(given)[:20_000], reason[:500]))
        figures.slowest_seconds = max(figures.slowest_seconds, took)
        figures.seconds += took
        if number % 64 == 0:
            most = max(most, _resident_mb())
            if number <= rounds // 10:
                early = most
    figures.inputs = rounds * target.batch
    figures.grown_mb = round(max(most, _resident_mb()) - early, 1)
    return figures


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20

"""Lines of a stream: however it is split, whatever their length."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from evolution_lab.telemetry.reading import OversizedLine, read_lines


class Trickle(io.RawIOBase):
    """A stream that hands out few bytes at a time."""

    def __init__(self, content: bytes, step: int) -> None:
        self.inner, self.step = io.BytesIO(content), step

    def read(self, size: int = -1) -> bytes:
        return self.inner.read(min(self.step, size) if size >= 0 else self.step)


@given(st.binary(max_size=200).map(lambda b: b.replace(b"\r", b"")), st.integers(1, 50))
def test_lines_are_those_of_split_however_the_stream_comes(content: bytes, step: int):
    found = list(read_lines(Trickle(content, step)))  # type: ignore[arg-type]
    *whole, last = content.split(b"\n")
    expected = [(i, line, True) for i, line in enumerate(whole, 1)]
    assert found == expected + ([(len(whole) + 1, last, False)] if last else [])


@given(st.binary(max_size=100), st.integers(0, 100))
def test_bytes_that_were_read_before_count(content: bytes, cut: int):
    expected = list(read_lines(io.BytesIO(content)))
    assert list(read_lines(io.BytesIO(content[cut:]), head=content[:cut])) == expected


@given(st.lists(st.integers(0, 40), max_size=6), st.integers(1, 30))
def test_only_lines_beyond_the_limit_are_passed_over(lengths: list[int], step: int):
    content = b"".join(b"x" * length + b"\n" for length in lengths)
    found = list(read_lines(Trickle(content, step), limit=20))  # type: ignore[arg-type]
    assert [number for number, _, _ in found] == list(range(1, len(lengths) + 1))
    assert [isinstance(line, OversizedLine) for _, line, _ in found] == [n > 20 for n in lengths]
    assert all(len(line) == n for n, (_, line, _) in zip(lengths, found, strict=True) if n <= 20)


def test_windows_line_ends_are_line_ends():
    assert [line for _, line, _ in read_lines(io.BytesIO(b"a\r\nb\r\n"))] == [b"a", b"b"]


def test_a_line_without_end_costs_no_memory():
    class Endless(io.RawIOBase):
        left = 200 << 20

        def read(self, size: int = -1) -> bytes:
            size = min(size, self.left)
            self.left -= size
            return b"x" * size

    def lines() -> Iterator[object]:
        yield from read_lines(Endless())  # type: ignore[arg-type]

    tracemalloc.start()
    [(_, line, complete)] = list(lines())  # type: ignore[misc]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(line, OversizedLine)
    assert not complete
    assert peak < 40 << 20

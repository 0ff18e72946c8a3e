"""CSV as it comes: quotes, ragged lines, bytes that are no text, files cut anywhere."""

from __future__ import annotations

import csv
import io

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.config import EvolutionConfig
from evolution_lab.errors import MappingError
from evolution_lab.telemetry import csv_tables
from evolution_lab.telemetry.csv_tables import CsvReader
from evolution_lab.telemetry.reading import ReadOptions

HEADER = b"timestamp,operation,duration_ms\n"
TIME = b"2026-01-01T00:00:00Z"


def read(content: bytes):
    chunks = list(CsvReader().read(io.BytesIO(content), ReadOptions(config=EvolutionConfig())))
    rows = [row for c in chunks for row in c.rows.select("line", "operation_key").rows()]
    rejects = [(r.line, r.reason) for c in chunks for r in c.rejects]
    return rows, rejects, sum(c.waiting_lines for c in chunks)


def line(name: bytes, duration: bytes = b"1") -> bytes:
    return TIME + b"," + name + b"," + duration + b"\n"


def test_plain_quoted_and_windows_lines():
    content = HEADER + line(b"a") + line(b'"b, with comma"') + line(b'"two\nlines"') + line(b"c")
    rows = [(2, "a"), (3, "b, with comma"), (4, "two\nlines"), (6, "c")]
    assert read(content) == (rows, [], 0)
    windows = (HEADER + line(b"a") + line(b'"q"')).replace(b"\n", b"\r\n")
    assert read(windows) == ([(2, "a"), (3, "q")], [], 0)


def test_a_byte_order_mark_and_blank_lines_are_no_data():
    assert read(b"\xef\xbb\xbf\n" + HEADER + b"\n" + line(b"a") + b"\n\n") == ([(4, "a")], [], 0)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"only,two\n", "The line has 2 fields, the header names 3."),
        (b"one,too,many,fields\n", "The line has 4 fields, the header names 3."),
        (TIME + b",\xff\xfe,1\n", "The line is not UTF-8."),
        (TIME + b',"never closed,1,1\n', "The line has"),
    ],
)
def test_a_broken_line_rejects_itself_alone(bad, reason):
    rows, rejects, waiting = read(HEADER + line(b"a") + bad + line(b"b"))
    assert rows == [(2, "a"), (4, "b")]
    assert rejects[0][0] == 3
    assert rejects[0][1].startswith(reason)
    assert waiting == 0


def test_a_stray_quote_stays_in_its_cell():
    assert read(HEADER + line(b'5" disk') + line(b"b"))[0] == [(2, '5" disk'), (3, "b")]


def test_an_unfinished_last_line_waits():
    whole = HEADER + line(b"a") + line(b"b")
    assert read(whole[:-1]) == ([(2, "a"), (3, "b")], [], 0)
    for cut in range(2, len(line(b"b"))):
        rows, rejects, waiting = read(whole[: -cut - 1])
        assert (rows[0], len(rows), rejects) in (
            ((2, "a"), 1, []),
            ((2, "a"), 1, [(3, "The duration (column 'duration_ms') is missing.")]),
        )
        assert waiting == (0 if rejects or whole[: -cut - 1].endswith(b"\n") else 1)


def test_a_line_of_more_than_ten_megabytes_is_refused_in_bounded_memory():
    content = HEADER + line(b"a") + line(b"x" * 11_000_000) + line(b"b")
    rows, rejects, _ = read(content)
    assert rows == [(2, "a"), (4, "b")]
    assert rejects == [(3, "The line is longer than 10,000,000 bytes.")]


CELL = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=8
)


@given(st.lists(CELL.filter(str.strip), min_size=1, max_size=20), st.integers(20, 200))
@settings(max_examples=60, deadline=None)
def test_whatever_the_csv_module_writes_is_read_back_for_any_size_of_block(names, block):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["timestamp", "operation", "duration_ms"])
    writer.writerows([TIME.decode(), name, "1"] for name in names)
    original, csv_tables._BLOCK = csv_tables._BLOCK, block
    try:
        rows, rejects, waiting = read(text.getvalue().encode())
    finally:
        csv_tables._BLOCK = original
    stripped = pl.Series(names, dtype=pl.String).str.strip_chars()
    assert [name for _, name in rows] == [name for name in stripped if name]
    assert (rejects, waiting) == ([], 0)


def test_recognition():
    recognises = CsvReader().recognises
    assert recognises(b"a,b\n1,2\n", "anything")
    assert recognises(b"a;b\n1;2\n", "export.txt")
    assert recognises(b"a\tb\n", "export.tsv.gz")
    assert not recognises(b'{"a": 1,\n"b": 2}\n', "faults.json")
    assert not recognises(b"# Title\n\nSome prose, with commas.\nMore.\n", "README.md")
    assert not recognises(b"PAR1\0\0,", "table.csv")
    assert not recognises(b"justonecolumn\n1\n", "one.csv")


def test_a_table_that_says_too_little_gets_a_line_to_start_from():
    with pytest.raises(MappingError, match="--map operation=SpanName"):
        read(b"SpanName,Began,Took\na,1,2\n")

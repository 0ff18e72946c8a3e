"""Which rows are new: a row id for each row, and the ids that the lake already holds."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from datetime import date
from hashlib import blake2b
from typing import Final

import polars as pl

from evolution_lab.telemetry.lake import Lake

_MOST_ROWS_REMEMBERED: Final = 10_000_000
_SEEDS: Final = (11, 23)
_UNWRITTEN: Final = 2**32 - 1
_NOTHING: Final = pl.DataFrame(
    schema={"first": pl.UInt64(), "second": pl.UInt64(), "batch": pl.UInt32()}
)


@dataclass
class RowIds:
    """Gives the rows of one input their ids, chunk after chunk, in the input's order.

    A row with both ids is ``<trace_id>/<span_id>``. Any other is ``<keyed hash of its line>#<how
    many equal lines precede it in its input>``: equal lines are different executions, yet a file
    that grew, or was rotated, repeats the ids it had. The hash is keyed because a line holds what
    the lake must not: without the key its actor could be guessed and checked.

    Attributes:
        salt: The key, at most 64 bytes; one for all inputs of a lab.
    """

    salt: bytes
    _seen: dict[date, pl.DataFrame] = field(default_factory=dict)

    def add(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows with a column ``row_id``; ``timestamp`` must be valid."""
        both = pl.concat_str("trace_id", pl.lit("/"), "span_id")
        rows = rows.with_columns(row_id=both)
        lacking = rows["row_id"].is_null()
        if not lacking.any():
            return rows
        lines = rows.filter(lacking).with_columns(
            line_hash=pl.coalesce("line_hash", _row_hash(rows.filter(lacking)))
        )
        sealed = [
            blake2b(h.encode(), key=self.salt, digest_size=16).hexdigest()
            for h in lines["line_hash"]
        ]
        named = pl.DataFrame({"line": sealed, "preceding": self._preceding(lines)})
        ids = named.select(pl.concat_str("line", "preceding", separator="#")).to_series()
        return rows.with_columns(rows["row_id"].scatter(lacking.arg_true(), ids))

    def _preceding(self, lines: pl.DataFrame) -> pl.Series:
        """Return how many equal lines of this input precede each line, and remember them."""
        # Equal lines have equal times: only the days at hand need to be looked at.
        keyed = lines.select(
            pl.col("timestamp").dt.date().alias("day"), key=_hashed("line_hash", 0)
        )
        within = keyed.select(pl.int_range(pl.len(), dtype=pl.Int64).over("key")).to_series()
        days = sorted(keyed["day"].unique())
        known = [self._seen[day] for day in days if day in self._seen]
        for (day,), part in keyed.partition_by("day", as_dict=True).items():
            counts = part.group_by("key").agg(count=pl.len().cast(pl.Int64))
            if day in self._seen:
                counts = pl.concat([self._seen[day], counts]).group_by("key").agg(pl.sum("count"))
            self._seen[day] = counts
        if not known:
            return within
        before = keyed.join(pl.concat(known), on="key", how="left", maintain_order="left")
        return within + before["count"].fill_null(0)


@dataclass
class LandedRows:
    """Tells rows that the lake holds from new ones; ask only while holding the day's lock.

    Remembers the ids of the days last asked for, 20 bytes a row, so that the many batches of a
    large file do not read the same files again.
    """

    lake: Lake
    _days: OrderedDict[date, tuple[pl.DataFrame, frozenset[str]]] = field(
        default_factory=OrderedDict
    )
    _batches: dict[str | None, int] = field(default_factory=dict)

    def new(self, rows: pl.DataFrame, day: date) -> pl.DataFrame:
        """Return the rows of one day whose ids that day does not hold, in their order."""
        return self.parted(rows, day)[0]

    def parted(self, rows: pl.DataFrame, day: date) -> tuple[pl.DataFrame, Counter[str]]:
        """Return the new rows of one day, and how many of the others each batch holds."""
        held, names = self._days.pop(day, (_NOTHING, frozenset()))
        fresh, now = self.lake.row_ids(day, beyond=names)
        if not names <= now:
            # Files were joined, or rows taken back: what was remembered may be gone.
            fresh, now = self.lake.row_ids(day, beyond=frozenset())
            held = _NOTHING
        if fresh.height:
            held = pl.concat([held, self._held(fresh)])
        self._days[day] = (held, now)
        while len(self._days) > 1 and self._remembered() > _MOST_ROWS_REMEMBERED:
            self._days.popitem(last=False)
        if held.is_empty():
            return rows, Counter()
        asked = _keys(rows["row_id"]).with_row_index("place")
        # The table of the join is built from the right side: let that be the small one.
        known = held.join(asked, on=["first", "second"], how="semi")
        places = asked.join(known, on=["first", "second"], how="anti")["place"].sort()
        by_code = dict(known["batch"].value_counts().rows())
        names_of = {code: name for name, code in self._batches.items()}
        holders = {names_of.get(code): count for code, count in by_code.items()}
        return rows[places], Counter({name: n for name, n in holders.items() if name is not None})

    def _held(self, fresh: pl.DataFrame) -> pl.DataFrame:
        names = fresh["batch"].unique().to_list()
        for name in names:
            self._batches.setdefault(name, len(self._batches))
        codes = pl.Series([self._batches[name] for name in names], dtype=pl.UInt32)
        column = fresh["batch"].replace_strict(
            pl.Series(names, dtype=pl.String), codes, return_dtype=pl.UInt32
        )
        return _keys(fresh["row_id"]).with_columns(column.alias("batch"))

    def claim(self, rows: pl.DataFrame, day: date) -> pl.DataFrame:
        """Return the new rows and count them as landed from now on, though they are not written."""
        new = self.new(rows, day)
        held, names = self._days[day]
        unwritten = _keys(new["row_id"]).with_columns(batch=pl.lit(_UNWRITTEN, dtype=pl.UInt32))
        self._days[day] = (pl.concat([held, unwritten]), names)
        return new

    def _remembered(self) -> int:
        return sum(held.height for held, _ in self._days.values())


def distinct(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row of each ``row_id``, whichever order the rows are in.

    Where rows of one id differ, the one that began first, then lasted longest, is kept.
    """
    repeated = rows["row_id"].is_duplicated()
    if not repeated.any():
        return rows
    others = [n for n in rows.columns if n not in {"row_id", "timestamp", "duration_ns", "line"}]
    first = rows.filter(repeated).sort(
        ["row_id", "timestamp", "duration_ns", *others],
        descending=[False, False, True, *(False for _ in others)],
    )
    kept = first.unique("row_id", keep="first", maintain_order=True)
    return pl.concat([rows.filter(~repeated), kept])


def _keys(row_ids: pl.Series) -> pl.DataFrame:
    # Two 64-bit hashes: at ten million rows the odds of losing one to chance are below 1e-24.
    first, second = (
        row_ids.hash(seed).alias(n) for seed, n in zip(_SEEDS, ("first", "second"), strict=True)
    )
    return pl.DataFrame([first, second])


def _hashed(name: str, seed: int) -> pl.Expr:
    return pl.col(name).hash(seed)


def _row_hash(rows: pl.DataFrame) -> pl.Series:
    """Hash whole rows, for readers that gave a row without ids no hash of its line."""
    if not rows["line_hash"].has_nulls():
        return rows["line_hash"]
    names = [name for name in rows.columns if name not in {"line", "line_hash", "row_id"}]
    texts = rows.select(pl.struct(names).struct.json_encode()).to_series()
    hashes = [blake2b(text.encode(), digest_size=16).hexdigest() for text in texts]
    return pl.Series("line_hash", hashes, dtype=pl.String)

"""Raw rows to rows that may be written: personal data and secrets leave before the disk.

Text repeats in traffic, so each distinct value is looked at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b

import orjson
import polars as pl

from evolution_lab.redaction import Redactor
from evolution_lab.telemetry.reading import Reject


@dataclass
class RowRedactor:
    """Redacts rows and rejects, and counts what it left out.

    Attributes:
        open_redactor: Gives the recognisers and the lab's key, at first use: where no row can be
            read, no key is made.
        allowed: Names of attributes that are stored.
        dropped: Attributes left out here, counted by name.
    """

    open_redactor: Callable[[], Redactor]
    allowed: Collection[str]
    dropped: Counter[str] = field(default_factory=Counter)

    @cached_property
    def redactor(self) -> Redactor:
        """The recognisers and the lab's key."""
        return self.open_redactor()

    def salt(self) -> bytes:
        """Return a key derived from the lab's key, for hashes of lines."""
        # Four pseudonyms: one alone would be a key of 64 bits.
        parts = [self.redactor.pseudonym("salt", f"row ids {number}") for number in range(4)]
        return blake2b("".join(parts).encode()).digest()

    def rows(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Redact the columns that strangers fill.

        Actors and sessions become keyed pseudonyms, tenants too where their ids say who somebody is.
        Operation keys, error codes, messages and variants go through the recognisers, attributes also through the allow-list.
        """
        changes: dict[str, Callable[[str], str]] = {
            "operation_key": self.redactor.operation_key,
            "tenant_id": self._tenant,
            "actor_id": lambda value: self.redactor.pseudonym("actor", value),
            "session_id": lambda value: self.redactor.pseudonym("session", value),
            "variant_id": self.redactor.text,
            "error_code": self.redactor.text,
            "error_message": self.redactor.text,
        }
        columns = [each(rows[name], change) for name, change in changes.items()]
        return rows.with_columns(*columns, self._attributes(rows["attributes"]))

    def rejects(self, rejects: tuple[Reject, ...]) -> list[tuple[int | None, str, str]]:
        """Return line, reason and excerpt of each reject, redacted and short."""
        return [
            (reject.line, self.redactor.text(reject.reason), self.redactor.excerpt(reject.excerpt))
            for reject in rejects
        ]

    def counted(self, dropped: Mapping[str, int]) -> dict[str, int]:
        """Add up what readers and this redactor left out; even an attribute's name is redacted."""
        total: Counter[str] = Counter()
        for name, times in (*dropped.items(), *self.dropped.items()):
            total[self.redactor.text(name)] += times
        return dict(sorted(total.items()))

    def _tenant(self, tenant: str) -> str:
        """Keep a tenant's id as it is, unless it says who somebody is: then a pseudonym."""
        if self.redactor.text(tenant) == tenant:
            return tenant
        return self.redactor.pseudonym("tenant", tenant)

    def _attributes(self, column: pl.Series) -> pl.Series:
        """Redact JSON objects and write them canonically; each row counts what it loses."""
        written: dict[str, str | None] = {}
        counts = column.drop_nulls().value_counts()
        for text, rows in counts.iter_rows():
            kept, dropped = self.redactor.attributes(_object(text), self.allowed)
            for name, times in sorted(dict(dropped).items()):
                self.dropped[name] += times * rows
            canonical = orjson.dumps(dict(kept), option=orjson.OPT_SORT_KEYS).decode()
            written[text] = canonical if kept else None
        return each(column, written.__getitem__)


def _object(text: str) -> dict[str, object]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def each(column: pl.Series, change: Callable[[str], str | None]) -> pl.Series:
    """Apply a function once to each distinct value of a text column; nulls stay.

    Examples:
        >>> each(pl.Series("t", ["a", None, "a"]), str.upper).to_list()
        ['A', None, 'A']
    """
    values = column.drop_nulls().unique()
    if values.is_empty():
        return column
    changed = pl.Series([change(value) for value in values], dtype=pl.String)
    return column.replace_strict(values, changed, default=None, return_dtype=pl.String)

"""The rows of spans on their way into chunks, whatever the spans were encoded in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from evolution_lab.telemetry.otlp_columns import SpanColumns
from evolution_lab.telemetry.otlp_spans import Resource, Span, resource_of, span_row
from evolution_lab.telemetry.reading import Chunk, ReadOptions, Reject

CHUNK_ROWS: Final = 50_000
_EXCERPT: Final = 1_000


@dataclass
class RowCollector:
    """Collects raw rows and rejects until a chunk is full.

    Attributes:
        options: The settings, and the service of resources that name none.
        columns: The rows so far.
    """

    options: ReadOptions
    columns: SpanColumns = field(default_factory=SpanColumns)
    _rejects: list[Reject] = field(default_factory=list)
    _shapes: Counter[tuple[str, ...]] = field(default_factory=Counter)

    @property
    def full(self) -> bool:
        """Whether it holds enough for a chunk."""
        return len(self.columns) + len(self._rejects) >= CHUNK_ROWS

    @property
    def rows(self) -> int:
        """Rows collected since the last chunk was taken."""
        return len(self.columns)

    def resource(self, attributes: dict[str, Any]) -> Resource:
        """Read the attributes of a resource."""
        return resource_of(attributes, self.options.config, service=self.options.service)

    def add(self, span: Span, resource: Resource, *, line: int, line_hash: str | None) -> None:
        """Add a span.

        Args:
            span: The span.
            resource: The resource it belongs to.
            line: Where it stands in the source, counted from 1.
            line_hash: Hash of how it was written; given where it lacks an id.

        Raises:
            ValueError: It cannot be a row.
        """
        row = span_row(span, resource, self.options.config, line=line, line_hash=line_hash)
        self.columns.add_row(row)
        # Spans of one operation carry the same names: counted together, split up once a chunk.
        self._shapes[tuple(span.attributes)] += 1

    def count(self, shapes: Mapping[tuple[str, ...], int]) -> None:
        """Count names of attributes of spans that came by another way than ``add``."""
        self._shapes.update(shapes)

    def refuse(self, line: int | None, reason: str, excerpt: bytes | str) -> None:
        """Note what could not be read."""
        text = excerpt[:_EXCERPT]
        shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        self._rejects.append(Reject(line, reason, shown))

    def take(self, *, waiting: int = 0) -> Chunk:
        """Return what was collected, and start anew."""
        stored = frozenset(self.options.config.attributes)
        dropped: Counter[str] = Counter()
        for names, times in self._shapes.items():
            for name in names:
                if name not in stored:
                    dropped[name] += times
        chunk = Chunk(
            rows=self.columns.frame(),
            rejects=tuple(self._rejects),
            dropped_attributes=dict(sorted(dropped.items())),
            waiting_lines=waiting,
            tidy=True,
        )
        self.columns, self._rejects, self._shapes = SpanColumns(), [], Counter()
        return chunk

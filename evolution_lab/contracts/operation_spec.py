"""What an operation promises to its callers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from evolution_lab.records.json_form import CAMEL_CASE, to_python

OperationKind = Literal["command", "query"]


@dataclass(frozen=True, kw_only=True)
class DeclaredError:
    """An error that callers are told to expect.

    Attributes:
        http: The HTTP status it is answered with, None where the operation is not HTTP.
        gql_code: The ``extensions.code`` it is answered with in GraphQL.
        when: One sentence: what leads to it.
    """

    __pydantic_config__ = CAMEL_CASE

    http: int | None = None
    gql_code: str | None = None
    when: str | None = None


@dataclass(frozen=True, kw_only=True)
class OperationSpec:
    """One operation in one version, as its owners declare it.

    Attributes:
        key: The operation's name, the one its telemetry carries (``POST /orders``,
            ``billing.createInvoice``).
        version: The version of this spec.
        kind: ``command`` changes something, ``query`` only reads. It decides whether a call may be
            repeated without asking.
        goal: One sentence: what a caller gets from it.
        input_schema: JSON Schema of the input.
        output_schema: JSON Schema of the output.
        errors: Declared errors by code.
        policy: How it is operated: ``auth``, ``idempotent``, ``rateLimit``, ``retry``, ``latency``
            … in the camelCase names of its JSON form.

    Examples:
        >>> spec = OperationSpec(key="POST /orders", version="1.2.0", kind="command",
        ...                      goal="Place an order.",
        ...                      errors={"OUT_OF_STOCK": DeclaredError(http=409)})
        >>> spec.to_document()["errors"]
        {'OUT_OF_STOCK': {'http': 409}}
    """

    __pydantic_config__ = CAMEL_CASE

    key: str
    version: str
    kind: OperationKind
    goal: str
    input_schema: Mapping[str, Any] = field(default_factory=dict)
    output_schema: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, DeclaredError] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.key:
            raise ValueError("key == '', must not be empty: an operation has a name.")
        if not self.version:
            raise ValueError("version == '', must not be empty: a spec says its version.")
        if self.kind not in {"command", "query"}:
            raise ValueError(f"kind == {self.kind!r}, must be 'command' or 'query'.")

    @property
    def repeatable(self) -> bool:
        """Whether a call may be repeated: a query, or a command declared ``idempotent``."""
        return self.kind == "query" or self.policy.get("idempotent") is True

    def to_document(self) -> dict[str, Any]:
        """Return the spec as a JSON-ready document; errors say only what they declare."""
        document = to_python(self)
        document["errors"] = {
            code: {name: value for name, value in error.items() if value is not None}
            for code, error in document["errors"].items()
        }
        return document

"""Whether a changed document says what the traffic that asked for the change did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from evolution_lab.contracts import OpenApiDocument
from evolution_lab.contracts.conformance import Conformance
from evolution_lab.records import TrafficSnapshot

REFUSED: frozenset[int] = frozenset({400, 422})
"""Statuses of a request that the service takes for invalid (RFC 9110, sections 15.5.1, 15.5.21)."""


@dataclass(frozen=True, kw_only=True)
class TrafficCheck:
    """How recorded calls stand to a document before and after a change.

    A document *tells* a call when the request and the response keep to it, or when the request does
    not and was refused. It does not tell a call that it takes for valid and that was refused as
    invalid, nor one that holds what it does not name.

    Attributes:
        asked: Calls that asked for the change.
        told_before: Those of them that the document told already.
        told_after: Those of them that the changed document tells.
        good: Calls that the document told and that succeeded.
        kept: Those of them that the changed document still tells.
        lost: Ids of good calls that it does not tell any more, at most 20.
    """

    asked: int
    told_before: int
    told_after: int
    good: int
    kept: int
    lost: tuple[str, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether all that asked is told now and all that was good still is."""
        return self.told_after == self.asked and self.kept == self.good


def check_traffic(
    before: OpenApiDocument,
    after: OpenApiDocument,
    *,
    asked: Iterable[TrafficSnapshot],
    good: Iterable[TrafficSnapshot] = (),
) -> TrafficCheck:
    """Return how calls stand to a document before and after a change.

    Args:
        before: The document as it is.
        after: The changed document.
        asked: Calls that asked for the change: those that hold what was not declared, or were
            refused although they were declared to be right.
        good: Other calls of the operation; those that the document did not tell do not count.

    Raises:
        InvalidDocumentError: A document cannot be read at an operation.
    """
    old, new = Conformance(before), Conformance(after)
    asked = tuple(asked)
    told_good = [call for call in good if call.success and not _refused(call) and tells(old, call)]
    lost = [call.id for call in told_good if not tells(new, call)]
    return TrafficCheck(
        asked=len(asked),
        told_before=sum(tells(old, call) for call in asked),
        told_after=sum(tells(new, call) for call in asked),
        good=len(told_good),
        kept=len(told_good) - len(lost),
        lost=tuple(lost[:20]),
    )


def tells(conformance: Conformance, call: TrafficSnapshot) -> bool:
    """Say whether a document tells a call: it keeps to it, or breaks it and was refused."""
    violations = conformance.violations(call)
    if any(violation.side == "response" for violation in violations):
        return False
    if any(violation.kind == "undocumented-operation" for violation in violations):
        return False
    return bool(violations) == _refused(call)


def _refused(call: TrafficSnapshot) -> bool:
    status = call.output.get("status") if isinstance(call.output, dict) else None
    return status in REFUSED

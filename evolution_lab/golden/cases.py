"""From snapshots to candidates: equal calls are one case, however often they were recorded.

What makes two calls the same case is the operation, what is sent and the class of the outcome;
ids and names follow from these alone, so that a new snapshot renames nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from evolution_lab.golden.links import leaves_of
from evolution_lab.golden.matchers import Tree, literal
from evolution_lab.golden.shapes import randomness, words_of
from evolution_lab.golden.suite import Quarantined, canonical_json
from evolution_lab.golden.volatile import Exchange
from evolution_lab.records.traffic import TrafficSnapshot

_NOT_WORD = re.compile(r"[^a-z0-9]+")
_WORD_VALUE = re.compile(r"[A-Za-z][A-Za-z0-9_ .-]{1,23}")
_LONGEST_NAME: Final = 48

ERROR: Final = "\0error"
"""Property under which an error's message stands in for an answer."""


@dataclass(frozen=True)
class Call:
    """One recorded call, ready to become a step.

    Attributes:
        snapshot: As recorded.
        sent: Tree of its input.
        outcome: Class of its outcome.
        content: What replicates have in common, as one text.
    """

    snapshot: TrafficSnapshot
    sent: Tree
    outcome: str
    content: str

    @property
    def operation(self) -> str:
        """Key of the operation: suites are made for one service at a time."""
        return self.snapshot.operation.key

    @cached_property
    def exchange(self) -> Exchange:
        """The call as the detection sees it: an error's message stands in for its answer."""
        snapshot = self.snapshot
        came = snapshot.output
        if snapshot.error is not None and snapshot.output is None:
            came = {ERROR: snapshot.error.message}
        replaced = snapshot.metadata.get("standIns")
        places = map(str, replaced) if isinstance(replaced, list) else ()
        stand_ins = frozenset(f"/{ERROR}" if each == "errorMessage" else each for each in places)
        return Exchange(snapshot.input, came, snapshot.timestamp, stand_ins)


def outcome_class(snapshot: TrafficSnapshot) -> str:
    """Return the class of a call's outcome: ``ok``, ``status-404``, ``error-CARD_DECLINED``.

    A status is kept where there is one; an error goes by its code, else by its name.

    Examples:
        >>> from datetime import UTC, datetime
        >>> from evolution_lab.records import OperationRef
        >>> call = TrafficSnapshot(
        ...     id="1", operation=OperationRef("GET /orders/{id}"), input={}, output={"status": 404},
        ...     success=False, timestamp=datetime(2026, 1, 5, tzinfo=UTC),
        ... )
        >>> outcome_class(call)
        'status-404'
    """
    if snapshot.error is not None and snapshot.output is None:
        return f"error-{snapshot.error.code or snapshot.error.name or 'unnamed'}"
    status = _status(snapshot.output)
    if status is not None:
        return f"status-{status}"
    return "ok" if snapshot.success else "failed"


def _status(output: Any) -> int | None:
    if isinstance(output, Mapping) and "status" in output:
        status = output["status"]
        if isinstance(status, int) and not isinstance(status, bool) and 100 <= status < 600:
            return status
    return None


def is_failure(outcome: str) -> bool:
    """Return whether an outcome class is one of failures.

    Examples:
        >>> [is_failure(o) for o in ("ok", "status-201", "status-404", "error-X", "failed")]
        [False, False, True, True, True]
    """
    return outcome.startswith(("error-", "failed", "status-4", "status-5"))


def read_calls(snapshots: Iterable[TrafficSnapshot]) -> tuple[list[Call], list[Quarantined]]:
    """Return calls in an order that follows from their content, and those that cannot be one.

    Args:
        snapshots: In any order; equal ids count once.

    Returns:
        Calls sorted by time and id, and what holds no JSON or is nested too deep.
    """
    calls: dict[str, Call] = {}
    refused: dict[str, Quarantined] = {}
    for snapshot in snapshots:
        try:
            sent = literal(snapshot.input)
            literal(snapshot.output)
        except (TypeError, ValueError, RecursionError) as error:
            reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
            refused[snapshot.id] = Quarantined(id="", name=snapshot.operation.key, reason=reason)
            continue
        outcome = outcome_class(snapshot)
        content = canonical_json([snapshot.operation.key, sent, outcome])
        calls[snapshot.id] = Call(snapshot, sent, outcome, content)
    ordered = sorted(calls.values(), key=lambda c: (c.snapshot.timestamp, c.snapshot.id))
    return ordered, [refused[key] for key in sorted(refused)]


def unique_ids(contents: Mapping[str, str]) -> dict[str, str]:
    """Return an id for each case, lengthened where the short ones meet.

    Args:
        contents: By key: operation, what is sent and outcome as canonical JSON.
    """
    hashes = {key: hashlib.sha256(text.encode()).hexdigest() for key, text in contents.items()}
    ids = {key: whole[:10] for key, whole in hashes.items()}
    for length in (16, 24, 64):
        counts = Counter(ids.values())
        meeting = [key for key, short in ids.items() if counts[short] > 1]
        if not meeting:
            break
        ids.update({key: hashes[key][:length] for key in meeting})
    return ids


def readable_name(operation: str, sent: Any, outcome: str) -> str:
    """Return a name of lower-case letters, digits and hyphens that says what a case is about.

    The operation's last words, two words sent that are no identifiers, and the outcome; it depends
    on the case alone and is not unique: the id is.

    Examples:
        >>> readable_name("billing.createInvoice", {"plan": "pro", "n": 3}, "error-CARD_DECLINED")
        'create-invoice-pro-card-declined'
        >>> readable_name("GET /orders/{id}", {"path": "/orders/8f3a2b1c"}, "status-404")
        'get-orders-id-404'
    """
    words = words_of(operation.rpartition(".")[2])[-4:]
    telling = []
    for leaf in leaves_of(sent):
        value = leaf.value
        if isinstance(value, str) and _WORD_VALUE.fullmatch(value) and randomness(value) < 0.15:
            telling.append(value)
        if len(telling) == 2:
            break
    end = outcome.removeprefix("status-").removeprefix("error-")
    whole = " ".join([*words, *telling, "" if end in {"ok", "200"} else end])
    return _NOT_WORD.sub("-", whole.lower()).strip("-")[:_LONGEST_NAME].rstrip("-")

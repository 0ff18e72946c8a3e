"""Gaps between a shop and its spec, planted one by one, each with the suggestions it explains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from evolution_lab.bench.simulated_shops import (
    Call,
    Operation,
    Rng,
    answered_items,
    declared_schema,
    identifier,
)
from evolution_lab.records import SpecSuggestion


@dataclass(frozen=True, kw_only=True)
class Gap:
    """One planted gap.

    Attributes:
        name: Which kind.
        key: The operation.
        edit: The edit that closes it.
        tail: Last name of the edit's place, or the error's code; None where any will do.
        keyword: Of a limit.
        limits: The limits that are right, from and to; None where any is.
        also: Kinds of signals on the operation that it explains too.
    """

    name: str
    key: str
    edit: str
    tail: str | None = None
    keyword: str | None = None
    limits: tuple[float, float] | None = None
    also: frozenset[str] = frozenset()

    def closed_by(self, suggestion: SpecSuggestion) -> bool:
        """Say whether a suggestion asks for what was planted."""
        target = suggestion.target.operation
        if target is None or target.key != self.key:
            return False
        return any(self._fits(edit, suggestion) for edit in _edits(suggestion))

    def explains(self, suggestion: SpecSuggestion) -> bool:
        """Say whether a suggestion asks for it, or answers a change that it made."""
        target = suggestion.target.operation
        on_it = target is not None and target.key == self.key
        from_signal = "edits" not in suggestion.proposal.metadata["ask"]
        return self.closed_by(suggestion) or (
            on_it and from_signal and suggestion.intent in self.also
        )

    def _fits(self, edit: Mapping[str, Any], suggestion: SpecSuggestion) -> bool:
        if edit["edit"] != self.edit or edit.get("keyword") != self.keyword:
            return False
        last = edit.get("code") or (edit.get("place") or edit.get("path") or [None])[-1]
        if self.tail is not None and last != self.tail:
            return False
        if self.limits is None:
            return True
        low, high = self.limits
        return any(low <= value <= high for value in _numbers(suggestion.proposal.spec))


def _edits(suggestion: SpecSuggestion) -> list[Mapping[str, Any]]:
    ask = suggestion.proposal.metadata["ask"]
    if "edits" in ask:
        return list(ask["edits"])
    return [{"edit": "lifecycle"}] if "confirm-lifecycle" in ask else []


def _numbers(value: Any) -> list[float]:
    if isinstance(value, Mapping):
        return [n for part in value.values() for n in _numbers(part)]
    return [float(value)] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


Plant = Callable[[Operation, Rng], Gap]
_FAILING: Final = frozenset({"error-spike"})


def _in_answers(operation: Operation, share: float, change: Callable[[Any, Rng], None]) -> None:
    def fault(call: Call, rng: Rng) -> None:
        if call.fine and rng.random() < share:
            for item in answered_items(call.answer):
                change(item, rng)

    operation.faults.append(fault)


def undeclared_field(operation: Operation, rng: Rng) -> Gap:
    """Answers carry a field the spec does not have."""
    _in_answers(operation, float(rng.uniform(0.05, 1)), lambda item, rng: item.update(grossWeight=float(rng.integers(900))))  # fmt: skip
    return Gap(name="undeclared field", key=operation.key, edit="declare-field", tail="grossWeight")


def undeclared_input(operation: Operation, rng: Rng) -> Gap:
    """Clients send, and the operation takes, a field the spec does not have."""
    share = float(rng.uniform(0.05, 0.6))

    def fault(call: Call, rng: Rng) -> None:
        if rng.random() < share:
            held = call.query if call.body is None else call.body
            held["channelHint"] = str(rng.choice(["web", "shop", "app"]))

    operation.faults.append(fault)
    edit = "declare-field" if operation.method == "POST" else "add-parameter"
    return Gap(name="undeclared input", key=operation.key, edit=edit, tail="channelHint")


def undeclared_error(operation: Operation, rng: Rng) -> Gap:
    """It answers a status and a code the spec does not have."""
    share = float(rng.uniform(0.025, 0.08))

    def fault(call: Call, rng: Rng) -> None:
        if call.fine and rng.random() < share:
            call.fail(409, "already_sealed")

    operation.faults.append(fault)
    return Gap(name="undeclared error", key=operation.key, edit="declare-error", tail="already_sealed", also=_FAILING)  # fmt: skip


def new_value(operation: Operation, rng: Rng) -> Gap:
    """An enumerated field has a value the spec does not list."""
    _in_answers(operation, float(rng.uniform(0.05, 0.3)), lambda item, _rng: item.update(state="escalated"))  # fmt: skip
    return Gap(name="new value", key=operation.key, edit="allow-values", tail="state")


def null_answer(operation: Operation, rng: Rng) -> Gap:
    """A field is null that the spec does not let be."""
    _in_answers(
        operation, float(rng.uniform(0.05, 0.4)), lambda item, _rng: item.update(price=None)
    )
    return Gap(name="null", key=operation.key, edit="allow-types", tail="price")


def other_type(operation: Operation, rng: Rng) -> Gap:
    """A field has a type the spec does not give it."""
    _in_answers(operation, float(rng.uniform(0.05, 0.5)), lambda item, _rng: item.update(size=f"{item.get('size')} kg"))  # fmt: skip
    return Gap(name="other type", key=operation.key, edit="allow-types", tail="size")


def other_format(operation: Operation, rng: Rng) -> Gap:
    """A time is a date only."""
    _in_answers(operation, float(rng.uniform(0.05, 0.5)), lambda item, _rng: item.update(madeAt=str(item.get("madeAt"))[:10]))  # fmt: skip
    return Gap(name="other format", key=operation.key, edit="set-format", tail="madeAt")


def lacking_field(operation: Operation, rng: Rng) -> Gap:
    """A required field is not always answered."""
    _in_answers(operation, float(rng.uniform(0.05, 0.5)), lambda item, _rng: item.pop("fragile", None))  # fmt: skip
    return Gap(name="lacking field", key=operation.key, edit="relax-field", tail="fragile")


def needed_field(operation: Operation, rng: Rng) -> Gap:
    """Calls without an optional field fail, from some time on."""
    name = str(rng.choice(["costCentre", "grade"]))
    onset, sure = float(rng.choice([0.0, 0.3, 0.5])), float(rng.uniform(0.85, 1.0))
    status, code = (422, "rejected") if rng.random() < 0.6 else (500, "null_reference")

    def fault(call: Call, rng: Rng) -> None:
        lacks = call.fine and call.body is not None and name not in call.body
        if lacks and call.when > onset and rng.random() < sure:
            call.fail(status, code)

    operation.faults.append(fault)
    return Gap(name="needed field", key=operation.key, edit="require-field", tail=name, also=_FAILING)  # fmt: skip


def too_many(operation: Operation, rng: Rng) -> Gap:
    """Calls with more than some number of lines fail."""
    limit = int(rng.choice([20, 50, 100]))

    def fault(call: Call, rng: Rng) -> None:
        if call.body is None or not call.fine:
            return
        if rng.random() < 0.12:
            count = int(rng.integers(2, 3 * limit))
            call.body["lines"] = [{"partId": identifier(rng, "part"), "count": 1} for _ in range(count)]  # fmt: skip
        if len(call.body["lines"]) > limit:
            call.fail(422, "too_many_lines")

    operation.faults.append(fault)
    return Gap(name="too many", key=operation.key, edit="set-limit", tail="lines", keyword="maxItems", limits=(0.5 * limit, 1.5 * limit), also=_FAILING)  # fmt: skip


def out_of_range(operation: Operation, rng: Rng) -> Gap:
    """Calls with a number above some limit fail."""
    limit = int(rng.choice([12, 15, 20]))

    def fault(call: Call, rng: Rng) -> None:  # noqa: ARG001 - all faults are called alike
        if call.fine and call.body is not None and call.body["size"] > limit:
            call.fail(422, "too_large")

    operation.faults.append(fault)
    return Gap(name="out of range", key=operation.key, edit="set-limit", tail="size", keyword="maximum", limits=(0.8 * limit, 1.2 * limit), also=_FAILING)  # fmt: skip


def too_long(operation: Operation, rng: Rng) -> Gap:
    """Calls with a text above some length fail."""
    limit = int(rng.choice([12, 16, 20]))

    def fault(call: Call, rng: Rng) -> None:  # noqa: ARG001 - all faults are called alike
        if call.fine and call.body is not None and len(call.body["label"]) > limit:
            call.fail(400, "label_cut")

    operation.faults.append(fault)
    return Gap(name="too long", key=operation.key, edit="set-limit", tail="label", keyword="maxLength", limits=(0.7 * limit, 1.3 * limit), also=_FAILING)  # fmt: skip


def bad_value(operation: Operation, rng: Rng) -> Gap:
    """Calls with one value of a field fail."""
    value = str(rng.choice(["amber", "delta", "grove"]))

    def fault(call: Call, rng: Rng) -> None:
        has = call.fine and call.body is not None and call.body.get("grade") == value
        if has and rng.random() < 0.95:
            call.fail(500, "no_such_grade")

    operation.faults.append(fault)
    return Gap(
        name="bad value", key=operation.key, edit="refuse-values", tail="grade", also=_FAILING
    )


def slow_list(operation: Operation, rng: Rng) -> Gap:
    """Calls with long lists take as much longer."""
    per_line = float(rng.uniform(0.03, 0.1))

    def fault(call: Call, rng: Rng) -> None:
        if call.body is None:
            return
        if rng.random() < 0.15:
            count = int(rng.integers(50, 250))
            call.body["lines"] = [{"partId": identifier(rng, "part"), "count": 1} for _ in range(count)]  # fmt: skip
        call.factor = 1 + per_line * len(call.body["lines"])

    operation.faults.append(fault)
    return Gap(name="slow list", key=operation.key, edit="set-limit", tail="lines", keyword="maxItems", also=frozenset({"latency-regression"}))  # fmt: skip


def slow_without_limit(operation: Operation, rng: Rng) -> Gap:
    """Calls without a page limit answer everything, slowly."""
    factor = float(rng.uniform(3, 10))

    def fault(call: Call, rng: Rng) -> None:  # noqa: ARG001 - all faults are called alike
        if "limit" not in call.query and call.body is None:
            call.factor = factor

    operation.faults.append(fault)
    return Gap(name="no page limit", key=operation.key, edit="set-extension", tail="pagination", also=frozenset({"latency-regression"}))  # fmt: skip


def slow_tenant(operation: Operation, rng: Rng) -> Gap:
    """Calls of one tenant take several times as long."""
    tenant, factor = str(rng.choice(["t0", "t2", "t3"])), float(rng.uniform(2.2, 6))

    def fault(call: Call, rng: Rng) -> None:  # noqa: ARG001 - all faults are called alike
        if call.tenant == tenant:
            call.factor *= factor

    operation.faults.append(fault)
    return Gap(name="slow tenant", key=operation.key, edit="set-extension", tail="latency", also=frozenset({"latency-regression"}))  # fmt: skip


def left_operation(operation: Operation, rng: Rng) -> Gap:
    """Nobody calls it any more."""
    operation.stops_at = float(rng.uniform(0.5, 0.7))
    return Gap(
        name="left", key=operation.key, edit="lifecycle", also=frozenset({"throughput-drop"})
    )


ON_ANSWERS: Final[tuple[Plant, ...]] = (
    undeclared_field, undeclared_error, new_value, null_answer, other_type, other_format, lacking_field, left_operation, slow_tenant,
)  # fmt: skip
ON_INPUTS: Final[tuple[Plant, ...]] = (
    undeclared_input, needed_field, too_many, out_of_range, too_long, bad_value, slow_list,
)  # fmt: skip


def plant(operations: list[Operation], rng: Rng) -> tuple[Gap, ...]:
    """Plant one gap on each of two to four operations, of kinds that fit them."""
    chosen = rng.permutation(len(operations))[: int(rng.integers(2, 5))]
    gaps = []
    for index in sorted(int(i) for i in chosen):
        operation = operations[index]
        kinds = list(ON_ANSWERS)
        if operation.method == "POST":
            kinds += [*ON_INPUTS, *ON_INPUTS]
        elif "{" not in operation.path:
            kinds += [undeclared_input, slow_without_limit, slow_without_limit]
        gaps.append(kinds[int(rng.integers(len(kinds)))](operation, rng))
    return tuple(gaps)


def rare_shape(operations: list[Operation]) -> None:
    """Declare what is never seen: no gap by itself."""
    for operation in operations:
        if operation.method == "POST":
            schema = declared_schema(operation, "input")
            schema["properties"]["legacyCode"] = {"type": "string"}
        operation.declared["responses"]["429"] = {"description": "Too many"}

"""The suite between traffic and code: what each case sends, what it expects, and on what evidence.

It names no framework. Emitters print it, ``comparison`` judges by it, its JSON form goes into the
side file; equal snapshots give an equal suite, whatever the order they arrive in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

from evolution_lab.display import ResultMixin
from evolution_lab.golden.matchers import Tree, matcher_of
from evolution_lab.golden.suite_power import SuitePower
from evolution_lab.records.json_form import CAMEL_CASE, to_plain

SUITE_FORMAT_VERSION: Final = 1

EvidenceKind = Literal["replicates", "recordings", "reruns", "link", "shape", "sanitised"]
RefusalReason = Literal[
    "structural",
    "root-value",
    "over-broad",
    "order-ambiguous",
    "array-length",
    "type-change",
    "unresolved",
]


def canonical_json(value: object) -> str:
    r"""Return one text for equal JSON values: sorted keys, no spaces, ASCII only.

    Examples:
        >>> canonical_json({"b": [1, None], "a": "é"})
        '{"a":"\\u00e9","b":[1,null]}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def content_id(operation: str, content: object, outcome: str, *, length: int = 10) -> str:
    """Return the id of a case: hash of operation, sanitised input and outcome class.

    Args:
        operation: Name of the operation.
        content: The input tree; for a scenario, what each of its steps sends.
        outcome: The class of the outcome (``ok``, ``status-404``, ``error-CARD_DECLINED``).
        length: Hex digits; lengthened by the generator where two cases would share an id.

    Examples:
        >>> content_id("billing.createInvoice", {"amount": 1}, "ok")
        '79de3cc1c1'
    """
    whole = canonical_json([operation, content, outcome])
    return hashlib.sha256(whole.encode()).hexdigest()[:length]


@dataclass(frozen=True, kw_only=True)
class ExpectedError:
    """The error a step must end in; nothing else passes.

    Attributes:
        name: Class name of the error as recorded; None where none was recorded.
        code: Its code; None where none was recorded.
        message: Tree for the message: the text, or its shape where parts of it change.
    """

    __pydantic_config__ = CAMEL_CASE

    name: str | None
    code: str | None
    message: Tree


@dataclass(frozen=True, kw_only=True)
class Relaxation:
    """One path at which a case expects less than the recorded value, and why it may.

    Attributes:
        step: Index of the step.
        path: JSON Pointer within the step's output (or ``/error/message``).
        matcher: What is still checked, in a word: ``uuid``, ``type:integer``, ``text`` …
        evidence: How it was seen to change: repeated requests, a second recording, reruns of the
            runner, a link to another changing value, its shape alone, or that something stands in
            for what was recorded (``sanitised``).
        detail: The evidence in words; no values of payloads.
    """

    __pydantic_config__ = CAMEL_CASE

    step: int
    path: str
    matcher: str
    evidence: EvidenceKind
    detail: str


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A path that was seen to change and is checked all the same, and why.

    Attributes:
        step: Index of the step.
        path: JSON Pointer within the step's output.
        reason: Which rule forbids to expect less.
        detail: In words, with no values of payloads.
    """

    __pydantic_config__ = CAMEL_CASE

    step: int
    path: str
    reason: RefusalReason
    detail: str


@dataclass(frozen=True, kw_only=True)
class GoldenStep:
    """One call and what it must give.

    Attributes:
        operation: Name of the operation.
        input: Tree of what is sent: literal JSON, with ``ref`` and ``text`` for values that an
            earlier step of the case gave (resolve it with ``comparison.resolve``).
        metadata: Handed to the runner beside the input; never a user's id.
        output: Tree of what must come back; None where ``error`` is expected.
        error: The error that must come; None where an output is expected.
    """

    __pydantic_config__ = CAMEL_CASE

    operation: str
    input: Tree
    metadata: Mapping[str, Any] = field(default_factory=dict)
    output: Tree = None
    error: ExpectedError | None = None


@dataclass(frozen=True, kw_only=True)
class GoldenCase:
    """One test: a call, or the calls of one session whose values feed each other.

    Attributes:
        id: First ten hex digits of the hash of operation, sanitised input and outcome class.
        name: Readable, of lower-case letters, digits and hyphens; depends on the case alone.
        outcome: Class of the last step's outcome.
        steps: In the order they are called.
        relaxations: Where less than the recorded value is expected, with the evidence.
        refusals: Where change was seen and is not forgiven; such a case may turn out flaky.
        snapshots: How many recorded calls stand behind the case.
        kept_for: The features it was selected for, most telling first.
    """

    __pydantic_config__ = CAMEL_CASE

    id: str
    name: str
    outcome: str
    steps: tuple[GoldenStep, ...]
    relaxations: tuple[Relaxation, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    snapshots: int = 1
    kept_for: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The id and the name in one: unique within any suite."""
        return f"{self.id}-{self.name}" if self.name else self.id


@dataclass(frozen=True, kw_only=True)
class Quarantined:
    """A recorded call that became no case, and why.

    Attributes:
        id: Id the case would have had; empty where its content has none.
        name: Name it would have had.
        reason: In words.
    """

    __pydantic_config__ = CAMEL_CASE

    id: str
    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class SuiteSettings:
    """What decides, beside the snapshots, what a suite looks like; part of its digest.

    Attributes:
        budget: Most cases kept; None keeps all that differ.
        scenarios: Whether calls whose values feed each other become one case.
        float_tolerance: Relative tolerance of numbers with a fraction; 0 compares doubles exactly.
    """

    __pydantic_config__ = CAMEL_CASE

    budget: int | None = None
    scenarios: bool = True
    float_tolerance: float = 1e-9


@dataclass(frozen=True, kw_only=True)
class GoldenSuite(ResultMixin):
    """All golden cases of one operation.

    Attributes:
        operation: Name of the operation.
        cases: Sorted by name, then id.
        quarantined: Calls that became no case, with reasons.
        settings: What the suite was made with.
        snapshots: How many recorded calls were read.
        lost: Features of the traffic that no kept case has, with how many calls had them.
        power: What share of behaviour changes it would notice; None where that was not tried.
        format_version: Of this record.
    """

    __pydantic_config__ = CAMEL_CASE
    _title: ClassVar[str] = "Golden cases"

    operation: str
    cases: tuple[GoldenCase, ...]
    quarantined: tuple[Quarantined, ...] = ()
    settings: SuiteSettings = SuiteSettings()
    snapshots: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)
    power: SuitePower | None = None
    format_version: int = SUITE_FORMAT_VERSION

    @property
    def digest(self) -> str:
        """SHA-256 of what is sent and expected; equal suites have equal digests."""
        content = [to_plain(case) for case in self.cases]
        whole = canonical_json([self.operation, content])
        return hashlib.sha256(whole.encode()).hexdigest()

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one row a case: what it is, and how much of it is relaxed."""
        return [
            {
                "case": case.title,
                "outcome": case.outcome,
                "steps": len(case.steps),
                "snapshots": case.snapshots,
                "relaxed": len(case.relaxations),
                "refused": len(case.refusals),
            }
            for case in self.cases
        ]


def describe_matcher(tree: Tree) -> str:
    """Return a matcher in a word, for tables: ``uuid``, ``type:integer``, ``bind:uuid``.

    Examples:
        >>> from evolution_lab.golden.matchers import bind, named, of_type
        >>> describe_matcher(bind("id", named("uuid"))), describe_matcher(of_type("integer"))
        ('bind:uuid', 'type:integer')
    """
    name = matcher_of(tree)
    if name is None:
        return "literal"
    if name == "type":
        return f"type:{tree['type']}"
    if name in {"bind", "optional", "array-of"}:
        return f"{name}:{describe_matcher(tree['as'])}"
    if name == "one-of":
        return "one-of:" + "|".join(describe_matcher(t) for t in tree["of"])
    return name

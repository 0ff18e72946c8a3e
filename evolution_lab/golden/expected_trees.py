"""From a recorded answer and what is known of its changes to the tree a case expects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from evolution_lab.golden.comparison import as_text
from evolution_lab.golden.links import Part, Path
from evolution_lab.golden.matchers import (
    PATTERNS,
    Tree,
    bind,
    escape_key,
    escape_pattern,
    literal,
    pattern,
    ref,
    text,
    unordered,
)
from evolution_lab.golden.shapes import words_of
from evolution_lab.golden.suite import Relaxation, describe_matcher
from evolution_lab.golden.volatile import Finding, Place


@dataclass(frozen=True)
class Named:
    """A value of a case that has a name, because others are built from it.

    Attributes:
        alias: The name.
        check: What is checked of the value itself.
        place: Where it is taken from.
    """

    alias: str
    check: Tree
    place: Place


def name_values(
    findings: Mapping[Place, Finding],
    loose: Mapping[int, Set[Path]],
    sent_later: Set[str] = frozenset(),
) -> dict[str, Named]:
    """Return a name for each value that occurs again in the case, by its text.

    The name is that of the property where the value is first met. Arrays without an order give no
    names: which element is meant would be a guess.

    Args:
        findings: What changes, by place.
        loose: Arrays whose order changes, by step.
        sent_later: Texts that later steps send.
    """
    uses: Counter[str] = Counter(sent_later)
    for finding in findings.values():
        if finding.link is not None:
            uses.update(set(finding.link.bases))
        elif finding.base is not None:
            uses[finding.base] += 1
    given: dict[str, Named] = {}
    taken: set[str] = set()
    for place in sorted(findings, key=lambda p: (p[0], pointer(p[1]))):
        finding, (step, path) = findings[place], place
        base = finding.base
        if base is None or base in given or uses[base] < 2 or finding.matcher is None:
            continue
        if any(path[:cut] in loose.get(step, frozenset()) for cut in range(len(path))):
            continue
        name = next((key for key in reversed(path) if isinstance(key, str)), "value")
        stem = alias = "-".join(words_of(name)[:3]) or "value"
        count = 2
        while alias in taken:
            alias, count = f"{stem}-{count}", count + 1
        taken.add(alias)
        given[base] = Named(alias, finding.matcher, place)
    return given


def expected_tree(
    step: int,
    output: Any,
    findings: Mapping[Place, Finding],
    loose: Set[Path],
    names: Mapping[str, Named],
    relaxations: list[Relaxation],
) -> Tree:
    """Return the tree that one step of a case expects.

    Args:
        step: Index of the step.
        output: What was recorded.
        findings: What changes, of all steps.
        loose: Arrays whose order changes.
        names: Values that have names, by their text.
        relaxations: Filled with one entry for each place where less is expected.
    """
    return _Builder(step, findings, loose, names, relaxations).build(output, ())


@dataclass
class _Builder:
    step: int
    findings: Mapping[Place, Finding]
    loose: Set[Path]
    names: Mapping[str, Named]
    relaxations: list[Relaxation]

    def build(self, value: Any, path: Path) -> Tree:
        if isinstance(value, Mapping):
            return {
                escape_key(str(key)): self.build(value[key], (*path, str(key)))
                for key in sorted(value)
            }
        if isinstance(value, list | tuple):
            if path in self.loose:
                self.say(path, "unordered", "repeats have the same elements in another order")
                return unordered([self.build(v, (*path, i)) for i, v in enumerate(value)])
            return [self.build(v, (*path, i)) for i, v in enumerate(value)]
        finding = self.findings.get((self.step, path))
        if finding is None or finding.through_input:
            return self.sent_before(value) if finding is not None else literal(value)
        tree = self.relaxed(value, path, finding)
        self.relaxations.append(
            Relaxation(
                step=self.step,
                path=pointer(path),
                matcher=describe_matcher(tree),
                evidence=finding.evidence,
                detail=finding.detail,
            )
        )
        return tree

    def say(self, path: Path, matcher: str, detail: str) -> None:
        self.relaxations.append(
            Relaxation(
                step=self.step,
                path=pointer(path),
                matcher=matcher,
                evidence="replicates",
                detail=detail,
            )
        )

    def known(self, base: str) -> Named | None:
        """The name of a value, where a step up to this one gives it."""
        named = self.names.get(base)
        return named if named is not None and named.place[0] <= self.step else None

    def sent_before(self, value: Any) -> Tree:
        """A value that repeats what is sent: by its name where the sent one has one."""
        named = self.known(as_text(value))
        return literal(value) if named is None else ref(named.alias, named.check)

    def relaxed(self, value: Any, path: Path, finding: Finding) -> Tree:
        if finding.link is not None:
            return self.linked(finding, as_text(value))
        tree = finding.matcher if finding.matcher is not None else literal(value)
        named = self.known(finding.base) if finding.base is not None else None
        if named is None:
            return tree
        if named.place == (self.step, path):
            return bind(named.alias, tree)
        return ref(named.alias, tree)

    def linked(self, finding: Finding, value: str) -> Tree:
        assert finding.link is not None
        parts: list[Tree] = []
        for part in finding.link.parts:
            if isinstance(part, str):
                parts.append(part)
            else:
                parts.append(self.part(part))
        if any(isinstance(p, dict) and p["$match"] == "ref" for p in parts):
            return text(parts, encoding="base64" if finding.link.encoding == "base64" else "none")
        if finding.link.encoding != "none":
            return text(parts, encoding="base64")
        if not any(isinstance(p, dict) for p in parts):
            return literal(value)
        return pattern(
            "".join(escape_pattern(p) if isinstance(p, str) else _written(p) for p in parts)
        )

    def part(self, part: Part) -> Tree:
        named = self.known(part.text) if part.base else None
        if named is not None:
            return ref(named.alias, named.check)
        check = part.shape.matcher
        if check["$match"] == "type":
            return pattern("-?[0-9]{1,20}")
        return check


def _written(check: Tree) -> str:
    return f"(?:{check.get('pattern') or PATTERNS[check['$match']]})"


def pointer(path: Path) -> str:
    """Return a path as a JSON Pointer (RFC 6901).

    Examples:
        >>> pointer(("items", 0, "a/b"))
        '/items/0/a~1b'
    """
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in path)

"""Every error this package raises on purpose, in one tree.

    EvolutionLabError
    ├── ConfigError                 a setting is unknown or has a value its rule forbids
    ├── InputError                  what was handed in cannot be used
    │   ├── PathNotFoundError       a named file or folder does not exist
    │   ├── UnknownFormatError      no reader recognises a named file
    │   ├── MappingError            a column mapping names a role or column that is not there
    │   ├── TimeZoneRequiredError   timestamps carry no zone and none was given
    │   ├── FrameContractError      a frame does not keep the contract between two folders
    │   ├── InvalidSuggestionError  a suggestion breaks a rule it must keep to be proposed
    │   ├── InvalidDocumentError    an OpenAPI document, or a schema, cannot be read as one
    │   ├── InvalidOverlayError     an OpenAPI overlay does not fit its document
    │   ├── RefusedDraftError       what a language model drafted may not be proposed
    │   ├── InapplicableEditError   an edit names a place that the spec does not have
    │   ├── InvalidPayloadError     an operation's input or output does not fit its schema
    │   └── InvalidExperimentError  the definition of an experiment breaks a rule
    ├── LakeError                   the lab directory cannot be used as it is
    │   ├── FormatVersionError      written by a newer version of the package
    │   ├── CorruptFileError        a stored file cannot be read
    │   ├── EmptyLakeError          nothing has been landed yet
    │   ├── ReadOnlyLabError        a lab that a colleague handed on is to be changed
    │   └── LockedError             another process holds a lock for longer than the wait
    ├── UnknownNameError            an operation, suggestion, detector … of that name is not known
    │   └── AmbiguousNameError      the beginning of a name fits several
    ├── DecisionError               a decision cannot be taken
    │   ├── AlreadyDecidedError     the suggestion was decided before
    │   ├── MissingReviewerError    a decision needs a reviewer
    │   ├── NotAReviewerError       the owner of the operation names others
    │   ├── MissingNoteError        a rejection needs a note
    │   ├── StaleRevisionError      the decision saw an older revision than the one in force
    │   ├── ExperimentStateError    an experiment cannot take this step from the state it is in
    │   └── FrozenDefinitionError   a definition that was started is changed under its version
    ├── DeliveryError               a destination could not be told; it is tried again
    ├── EngineError                 Spark, or the cluster it runs on, cannot do the work
    └── MissingExtraError           an optional dependency is not installed

A message says the offending value and the rule it broke. Where a name is unknown it also says the
nearest known one. The command line prints the message alone and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to ``name``, or None where nothing is close.

    Examples:
        >>> nearest("widnow", ["window", "alpha"])
        'window'
        >>> nearest("zzz", ["window"]) is None
        True
    """
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the nearest known name, or an empty string.

    Examples:
        >>> did_you_mean("billing.creatInvoice", ["billing.createInvoice"])
        " Did you mean 'billing.createInvoice'?"
    """
    match = nearest(name, known)
    return f" Did you mean {match!r}?" if match else ""


class EvolutionLabError(Exception):
    """Base class: catch this to catch everything the package raises on purpose."""


class ConfigError(EvolutionLabError, ValueError):
    """A setting is unknown, or its value breaks the setting's rule."""


class InputError(EvolutionLabError, ValueError):
    """Something handed in by the caller cannot be used."""


class PathNotFoundError(InputError, FileNotFoundError):
    """A named file or folder does not exist."""

    def __init__(self, path: object) -> None:
        super().__init__(f"{str(path)!r} does not exist; name a file or a folder that does.")

    def __str__(self) -> str:
        return str(self.args[0])


class UnknownFormatError(InputError):
    """No reader recognises a file that was named by the caller."""


class MappingError(InputError):
    """A column mapping names an unknown role, a missing column or an unknown unit.

    Attributes:
        proposal: ``ROLE=COLUMN[:UNIT]`` items that could be meant, where a table needs a mapping.
    """

    proposal: tuple[str, ...] = ()


class TimeZoneRequiredError(InputError):
    """Timestamps carry no zone and the caller named none."""


class FrameContractError(InputError):
    """A frame does not keep the contract between two folders; see ``evolution_lab.schemas``."""


class InvalidSuggestionError(InputError):
    """A suggestion cannot be proposed; ``reasons`` says which rules it breaks."""

    def __init__(self, suggestion_id: str, reasons: Iterable[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__(f"suggestion {suggestion_id[:8]!r} is not valid: {' '.join(self.reasons)}")


class InvalidDocumentError(InputError):
    """An OpenAPI document, or a part of it such as a schema, cannot be read as one."""


class InvalidOverlayError(InputError):
    """An OpenAPI overlay does not fit the document it is of, or makes no valid document of it."""


class RefusedDraftError(InputError):
    """What a language model drafted may not be proposed; the message says why."""


class InapplicableEditError(InputError):
    """An edit names a place that the spec does not have, or that holds the edit already."""


class InvalidPayloadError(InputError):
    """An operation's input or output does not fit its schema; ``violations`` says where and how.

    Values are left out: they are the caller's, and messages end in logs.
    """

    def __init__(self, operation: str, violations: Iterable[str], *, side: str = "input") -> None:
        self.violations = tuple(violations)
        self.side = side
        super().__init__(f"the {side} of {operation!r} is not valid: {'; '.join(self.violations)}.")


class InvalidExperimentError(InputError):
    """The definition of an experiment breaks a rule; the message says which and by what value."""


class UnsafePayloadError(EvolutionLabError, ValueError):
    """A payload cannot be stored: something personal or secret would remain.

    The value itself is left out: messages end in logs.
    """

    def __init__(self, why: str) -> None:
        super().__init__(f"the payload may not be stored: {why}.")


class LakeError(EvolutionLabError):
    """The lab directory cannot be used as it is."""


class FormatVersionError(LakeError):
    """A stored file carries a format version this package does not know."""

    def __init__(self, what: str, found: object, supported: int) -> None:
        super().__init__(
            f"{what} has format_version {found!r}; this version of evolution_lab reads up to "
            f"{supported}. Upgrade evolution_lab to read it."
        )


class CorruptFileError(LakeError):
    """A stored file cannot be read."""


class EmptyLakeError(LakeError):
    """The lake holds nothing that could answer the question."""


class ReadOnlyLabError(LakeError):
    """A lab that was handed on as a file is only looked at; decisions belong where it came from."""

    def __init__(self, file: object, step: str) -> None:
        super().__init__(
            f"cannot {step}: {file} is an exported lab, which is read only; do that in the lab "
            "it came from."
        )


class LockedError(LakeError):
    """Another process holds a lock for longer than the bounded wait."""

    def __init__(self, path: object, *, waited_seconds: float, holder_pid: int | None) -> None:
        holder = f"process {holder_pid}" if holder_pid is not None else "another process"
        super().__init__(
            f"{path} is locked by {holder}; waited {waited_seconds:.1f} s. "
            "Try again when it has finished, or stop it."
        )
        self.holder_pid = holder_pid


class UnknownNameError(EvolutionLabError, KeyError):
    """A name is not known; the message offers the nearest known one."""

    def __init__(self, what: str, name: str, known: Iterable[str] = ()) -> None:
        known = list(known)
        hint = did_you_mean(name, known)
        if not hint and 0 < len(known) <= 12:
            hint = f" Known: {', '.join(sorted(known))}."
        self.message = f"unknown {what} {name!r}.{hint}"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


class AmbiguousNameError(UnknownNameError):
    """The beginning of a name fits several; the message lists up to five of them."""

    def __init__(self, what: str, name: str, matches: Iterable[str]) -> None:
        matches = sorted(matches)
        super().__init__(what, name)
        shown = ", ".join(matches[:5]) + (" …" if len(matches) > 5 else "")
        self.message = f"{what} {name!r} is ambiguous, must be longer: it fits {shown}."


class DecisionError(EvolutionLabError, ValueError):
    """A decision on a suggestion cannot be taken."""


class AlreadyDecidedError(DecisionError):
    """The suggestion was decided before; decisions are appended, never replaced."""


class MissingReviewerError(DecisionError):
    """A decision needs the name of the person who takes it."""


class NotAReviewerError(DecisionError):
    """The operation belongs to somebody who names other people to decide."""


class MissingNoteError(DecisionError):
    """Rejecting or reopening a suggestion needs a note that says why."""


class StaleRevisionError(DecisionError):
    """The decision names an older revision than the one in force."""


class ExperimentStateError(DecisionError):
    """An experiment cannot take this step from the state it is in."""


class FrozenDefinitionError(DecisionError):
    """The definition of an experiment that was started changed; it needs a version of its own."""


class DeliveryError(EvolutionLabError):
    """A destination could not be told of a decision; the outbox keeps it and tries again.

    Attributes:
        reachable: Whether the destination answered, so that other events may be tried at once.
    """

    def __init__(self, why: str, *, reachable: bool = False) -> None:
        self.reachable = reachable
        super().__init__(why)


class EngineError(EvolutionLabError):
    """Spark, or the cluster it runs on, cannot do the work."""


class MissingExtraError(EvolutionLabError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__(f"{needed_for} needs an extra: pip install 'evolution-lab[{extra}]'")

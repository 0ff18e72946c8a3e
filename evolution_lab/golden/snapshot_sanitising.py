"""What happens to a snapshot before it is stored, in the process that stores it.

The user's own function first, then the package's; whatever either of them raises drops the snapshot.
"""

from __future__ import annotations

import importlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from evolution_lab.errors import ConfigError
from evolution_lab.golden.http_snapshots import HeaderList, UnrecordableError
from evolution_lab.golden.snapshot_frames import unpacked_snapshot
from evolution_lab.golden.store import TrafficStore
from evolution_lab.records import RecordedError, TrafficSnapshot
from evolution_lab.redaction import LabKey, Redactor
from evolution_lab.redaction.key_names import kind_of_name
from evolution_lab.telemetry.live_ledger import Settled

log = logging.getLogger(__name__)

Sanitize = Callable[[TrafficSnapshot], TrafficSnapshot | None]
"""Returns a snapshot that may be stored, or None for one that may not."""
_PLAIN_METADATA: Final = frozenset(
    {"method", "traceId", "spanId", "kept", "exception", "source", "recorderRate"}
)


class Sanitiser(Protocol):
    """Takes personal data and secrets out of a snapshot."""

    def snapshot(self, snapshot: TrafficSnapshot) -> TrafficSnapshot:
        """Return the same snapshot without them; raises where it cannot promise that."""
        ...


@dataclass(frozen=True)
class RedactingSanitiser:
    """Masks what the package's recognisers find, in every text of a snapshot.

    Attributes:
        redactor: Recognisers and the lab's key.
    """

    redactor: Redactor

    @classmethod
    def with_key(cls, key: LabKey) -> RedactingSanitiser:
        """Return a sanitiser whose pseudonyms are those of a lab."""
        return cls(Redactor(key))

    def snapshot(self, snapshot: TrafficSnapshot) -> TrafficSnapshot:
        """Return a snapshot without personal data and secrets."""
        redactor, error = self.redactor, snapshot.error
        if error is not None:
            error = RecordedError(
                name=error.name,
                message=None if error.message is None else redactor.text(error.message),
                code=None if error.code is None else redactor.text(error.code),
            )
        return replace(
            snapshot,
            operation=replace(
                snapshot.operation, key=redactor.operation_key(snapshot.operation.key)
            ),
            input=self._value(snapshot.input, ""),
            output=self._value(snapshot.output, ""),
            error=error,
            tenant_id=self._name("tenant", snapshot.tenant_id),
            user_id=self._name("actor", snapshot.user_id),
            metadata={
                name: self._metadata(name, value) for name, value in snapshot.metadata.items()
            },
        )

    def _metadata(self, name: str, value: Any) -> Any:
        if name == "sessionId":
            return self.redactor.pseudonym("session", str(value))
        return value if name in _PLAIN_METADATA else self._value(value, name)

    def _name(self, kind: str, value: str | None) -> str | None:
        if value is None or (kind == "tenant" and self.redactor.text(value) == value):
            return value
        return self.redactor.pseudonym(kind, value)

    def _value(self, value: Any, name: str) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Mapping):
            return {self.redactor.text(key): self._value(each, key) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(each, name) for each in value]
        kind = kind_of_name(name)
        if kind is not None:
            return f"[{kind}]"
        if isinstance(value, str):
            return self.redactor.text(value)
        written = str(value)
        masked = self.redactor.text(written)
        return value if masked == written else masked


def sanitize_name(function: Sanitize | str | None) -> str | None:
    """Return the name by which another process finds a function: ``module:name``.

    Raises:
        ConfigError: It has none, or nothing is found under it.

    Examples:
        >>> sanitize_name("json:loads")
        'json:loads'
    """
    if function is None:
        return None
    name = function
    if not isinstance(name, str):
        module = getattr(function, "__module__", None)
        name = f"{module}:{getattr(function, '__qualname__', '')}"
        if module == "__main__" or "<" in name:
            raise ConfigError(
                f"sanitize == {name!r}, must be a function of a module that can be imported: it runs "
                "in the process that writes."
            )
    sanitize_named(name)
    return name


def sanitize_named(name: str | None) -> Sanitize | None:
    """Return the function of a name; the inverse of ``sanitize_name``.

    Raises:
        ConfigError: There is no such function.
    """
    if name is None:
        return None
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"sanitize == {name!r} cannot be imported: {error}.") from error
    if not callable(found):
        raise ConfigError(f"sanitize == {name!r} is not callable, must be a function.")
    function: Sanitize = found
    return function


@dataclass(eq=False)
class SnapshotSettler:
    """Sanitises calls and hands them to a store; a call that cannot be is dropped and counted.

    Attributes:
        store: Where to.
        sanitiser: The package's own.
        sanitize: The user's, called first.
        headers: Which headers are kept.
        refused: Calls dropped here, by reason.
    """

    store: TrafficStore
    sanitiser: Sanitiser
    sanitize: Sanitize | None = None
    headers: HeaderList = field(default_factory=HeaderList)
    refused: Counter[str] = field(default_factory=Counter)

    def settle(self, frames: Sequence[bytes]) -> Settled:
        """Store what may be stored of some calls; return what became of them.

        Raises:
            LakeError: The store could not take them; nothing is settled.
        """
        made = [each for each in map(self.sanitised, frames) if each is not None]
        added = self.store.add(made)
        return Settled(added.added, added.duplicates, len(frames) - len(made))

    def sanitised(self, frame: bytes) -> TrafficSnapshot | None:
        """Return a call as it may be stored; None where it may not."""
        try:
            snapshot = unpacked_snapshot(frame, self.headers)
        except UnrecordableError as error:
            self.refused[error.reason] += 1
            return None
        except Exception as error:  # noqa: BLE001 - one odd call must not hold up the others
            self._dropped("unreadable", error)
            return None
        return self.clean(snapshot)

    def clean(self, snapshot: TrafficSnapshot) -> TrafficSnapshot | None:
        """Return a snapshot as it may be stored; None where it may not."""
        wanted: TrafficSnapshot | None = snapshot
        try:
            if self.sanitize is not None:
                wanted = self.sanitize(snapshot)
                if wanted is None:
                    self.refused["unwanted"] += 1
                    return None
            if not isinstance(wanted, TrafficSnapshot):
                raise TypeError(
                    f"sanitize gave a {type(wanted).__name__}, must be TrafficSnapshot."
                )
            return self.sanitiser.snapshot(wanted)
        except Exception as error:  # noqa: BLE001 - what cannot be cleaned is not kept
            self._dropped("sanitising", error)
            return None

    def _dropped(self, reason: str, error: Exception) -> None:
        self.refused[reason] += 1
        if self.refused[reason] == 1:
            # The error's text may hold what was to be taken out.
            log.error("%s failed (%s); such snapshots are dropped", reason, type(error).__name__)

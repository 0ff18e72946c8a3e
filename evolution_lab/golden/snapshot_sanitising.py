"""What happens to a snapshot before it is stored, in the process that stores it.

The user's own function first, then the package's; whatever either of them raises drops the snapshot.
"""

from __future__ import annotations

import importlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from evolution_lab.errors import ConfigError
from evolution_lab.golden.http_snapshots import HeaderList, UnrecordableError
from evolution_lab.golden.snapshot_frames import unpacked_snapshot
from evolution_lab.golden.store import TrafficStore
from evolution_lab.records import RecordedError, TrafficSnapshot
from evolution_lab.redaction import LabKey, Redactor
from evolution_lab.redaction.issued_stand_ins import FILE as ISSUED_FILE
from evolution_lab.redaction.issued_stand_ins import IssuedStandIns
from evolution_lab.redaction.payloads import FreeText, PayloadSanitiser
from evolution_lab.telemetry.live_ledger import Settled

log = logging.getLogger(__name__)

Sanitize = Callable[[TrafficSnapshot], TrafficSnapshot | None]
"""Returns a snapshot that may be stored, or None for one that may not."""
_PLAIN_METADATA: Final = frozenset(
    {"method", "traceId", "spanId", "kept", "exception", "source", "recorderRate", "truncated"}
)
_OWN_TEXTS: Final = frozenset({"errorMessage", "errorCode", "path"})
"""Parts whose words are the service's own: what is recognised in them is replaced, the rest stays."""
STAND_INS: Final = "standIns"
"""Name within the metadata: JSON Pointers into the output where something stands in, and
``errorMessage`` where the error's message holds any."""


class Sanitiser(Protocol):
    """Takes personal data and secrets out of snapshots."""

    def begin(self, snapshots: Sequence[TrafficSnapshot]) -> None:
        """Look at snapshots that are stored together before each of them is cleaned."""
        ...

    def snapshot(self, snapshot: TrafficSnapshot) -> TrafficSnapshot:
        """Return the same snapshot without them; raises where it cannot promise that."""
        ...

    def end(self) -> None:
        """Keep what the next ones, here and in other processes, need to know."""
        ...


class SnapshotSanitiser:
    """Puts stand-ins in the place of personal data and secrets, the same for the same value.

    What one call of a trace or session tells is replaced in its other calls too: in those stored
    with it, and in those after it.

    Args:
        key: The lab's key.
        redactor: Cleans names of operations and tenants.
        free_text: What becomes of texts that people wrote freely.
        issued: Shared record of stand-ins; None keeps one in memory.
    """

    def __init__(
        self,
        key: LabKey,
        *,
        redactor: Redactor | None = None,
        free_text: FreeText = "mask",
        issued: IssuedStandIns | None = None,
    ) -> None:
        self._redactor = redactor or Redactor(key)
        self._issued = IssuedStandIns() if issued is None else issued
        self._payloads = PayloadSanitiser(
            key, free_text=free_text, plain_names=_OWN_TEXTS, issued=self._issued
        )

    @classmethod
    def of_lab(cls, data_dir: Path, *, free_text: FreeText = "mask") -> SnapshotSanitiser:
        """Return the sanitiser of a lab directory: its key, and what its writers have issued."""
        issued = IssuedStandIns(data_dir / ISSUED_FILE)
        return cls(LabKey.open(data_dir), free_text=free_text, issued=issued)

    def begin(self, snapshots: Sequence[TrafficSnapshot]) -> None:
        """Learn what each snapshot tells of its trace and session."""
        self._issued.refresh()
        links = Counter(link for each in snapshots if (link := _link(each)) is not None)
        for snapshot in snapshots:
            link = _link(snapshot)
            if link is not None and links[link] > 1:
                self._payloads.learn(_parts(snapshot), link=link)

    def end(self) -> None:
        """Write down which stand-ins were issued."""
        self._issued.flush()

    def snapshot(self, snapshot: TrafficSnapshot) -> TrafficSnapshot:
        """Return a snapshot with stand-ins; ``metadata["standIns"]`` says where its output has them.

        Raises:
            UnsafePayloadError: Something personal or secret would remain.
        """
        cleaned = self._payloads.sanitised(_parts(snapshot), link=_link(snapshot))
        payload, error = cleaned.payload, snapshot.error
        if error is not None:
            error = RecordedError(
                name=error.name, message=payload["errorMessage"], code=payload["errorCode"]
            )
        metadata = {
            name: self._redactor.pseudonym("session", str(value)) if name == "sessionId" else value
            for name, value in snapshot.metadata.items()
            if name in _PLAIN_METADATA or name == "sessionId"
        } | payload["metadata"]
        replaced = [_pointer(path[1:]) for path in cleaned.changed if path[0] == "output"]
        if ("errorMessage",) in cleaned.changed:
            replaced.append("errorMessage")
        if replaced:
            metadata[STAND_INS] = sorted(replaced)
        return replace(
            snapshot,
            operation=replace(
                snapshot.operation, key=self._redactor.operation_key(snapshot.operation.key)
            ),
            input=payload["input"],
            output=payload["output"],
            error=error,
            tenant_id=self._name("tenant", snapshot.tenant_id),
            user_id=self._name("actor", snapshot.user_id),
            metadata=metadata,
        )

    def _name(self, kind: str, value: str | None) -> str | None:
        if value is None or (kind == "tenant" and self._redactor.text(value) == value):
            return value
        return self._redactor.pseudonym(kind, value)


def _link(snapshot: TrafficSnapshot) -> str | None:
    found = snapshot.metadata.get("sessionId") or snapshot.metadata.get("traceId")
    return None if found is None else str(found)


def _parts(snapshot: TrafficSnapshot) -> dict[str, Any]:
    """Return what of a snapshot may hold anybody's data, by name."""
    metadata = snapshot.metadata.items()
    error = snapshot.error
    return {
        "input": snapshot.input,
        "output": snapshot.output,
        "errorMessage": None if error is None else error.message,
        "errorCode": None if error is None else error.code,
        "metadata": {k: v for k, v in metadata if k not in _PLAIN_METADATA and k != "sessionId"},
    }


def _pointer(path: Sequence[str | int]) -> str:
    return "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in path)


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
        unpacked = [each for each in map(self.unpacked, frames) if each is not None]
        made = self.cleaned(unpacked)
        added = self.store.add(made)
        return Settled(added.added, added.duplicates, len(frames) - len(made))

    def cleaned(self, snapshots: Sequence[TrafficSnapshot]) -> list[TrafficSnapshot]:
        """Return snapshots as they may be stored, without those that may not."""
        wanted = [each for each in map(self._wanted, snapshots) if each is not None]
        try:
            self.sanitiser.begin(wanted)
            cleaned = [each for each in map(self._clean, wanted) if each is not None]
            self.sanitiser.end()
        except Exception as error:  # noqa: BLE001 - what cannot be cleaned is not kept
            self._dropped("sanitising", error, len(wanted))
            return []
        return cleaned

    def unpacked(self, frame: bytes) -> TrafficSnapshot | None:
        """Return a call as it was recorded; None where it cannot be read."""
        try:
            return unpacked_snapshot(frame, self.headers)
        except UnrecordableError as error:
            self.refused[error.reason] += 1
        except Exception as error:  # noqa: BLE001 - one odd call must not hold up the others
            self._dropped("unreadable", error)
        return None

    def _wanted(self, snapshot: TrafficSnapshot) -> TrafficSnapshot | None:
        """Return what the user's own function makes of a call."""
        if self.sanitize is None:
            return snapshot
        try:
            wanted = self.sanitize(snapshot)
            if wanted is None:
                self.refused["unwanted"] += 1
            elif not isinstance(wanted, TrafficSnapshot):
                raise TypeError(f"sanitize gave {type(wanted).__name__}, must be TrafficSnapshot.")
        except Exception as error:  # noqa: BLE001 - what cannot be cleaned is not kept
            self._dropped("sanitising", error)
            return None
        return wanted

    def _clean(self, snapshot: TrafficSnapshot) -> TrafficSnapshot | None:
        try:
            return self.sanitiser.snapshot(snapshot)
        except Exception as error:  # noqa: BLE001 - what cannot be cleaned is not kept
            self._dropped("sanitising", error)
            return None

    def _dropped(self, reason: str, error: Exception, calls: int = 1) -> None:
        self.refused[reason] += calls
        if self.refused[reason] == calls:
            # The error's text may hold what was to be taken out.
            log.error("%s failed (%s); such snapshots are dropped", reason, type(error).__name__)

"""One key per lab, and pseudonyms made with it: equal stays equal, and nobody can go back."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evolution_lab.errors import ConfigError, LakeError

KEY_FILE: Final = ".key"
KEY_VARIABLE: Final = "EVOLUTION_LAB_KEY"
_KEY_BYTES: Final = 32
_SHORTEST_KEY: Final = 16
_DIGEST_BYTES: Final = 8


@dataclass(frozen=True, repr=False)
class LabKey:
    """The secret that pseudonyms are made with; it never shows itself.

    Attributes:
        secret: At most 64 bytes of key.
    """

    secret: bytes

    @classmethod
    def open(cls, data_dir: Path, *, environment: Mapping[str, str] | None = None) -> LabKey:
        """Read the lab's key, or make one readable by its owner only.

        ``EVOLUTION_LAB_KEY`` wins over the file ``.key`` in the lab directory.

        Args:
            data_dir: The lab directory; created where it is missing.
            environment: ``os.environ`` unless given.

        Raises:
            ConfigError: The variable holds fewer than 16 characters.
            LakeError: The file cannot be read, written, or is empty.
        """
        environment = os.environ if environment is None else environment
        given = environment.get(KEY_VARIABLE)
        if given is not None:
            if len(given) < _SHORTEST_KEY:
                raise ConfigError(
                    f"{KEY_VARIABLE} has {len(given)} characters, must have {_SHORTEST_KEY} or more."
                )
            return cls(hashlib.blake2b(given.encode(), digest_size=64).digest())
        path = data_dir / KEY_FILE
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            _make(path)
            text = path.read_text(encoding="ascii").strip()
            secret = bytes.fromhex(text)
        except (OSError, ValueError) as error:
            raise LakeError(f"{path} cannot be used as the lab's key: {error}") from None
        if len(secret) < _SHORTEST_KEY:
            raise LakeError(f"{path} holds no key; restore it, or set {KEY_VARIABLE}.")
        return cls(secret)

    def digest(self, kind: str, value: str) -> str:
        """Return 16 hexadecimal digits that stand for a value of a kind."""
        person = hashlib.blake2b(kind.encode(), digest_size=16).digest()
        data = value.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(
            data, key=self.secret, person=person, digest_size=_DIGEST_BYTES
        ).hexdigest()


def _make(path: Path) -> None:
    """Write a new key unless there is one; of two processes that try at once one wins."""
    if path.exists():
        return
    fresh = path.with_name(f"{KEY_FILE}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(fresh, flags, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_hex(_KEY_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()

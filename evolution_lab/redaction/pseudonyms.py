"""The lab's key, and names that only this lab can tell from a value."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Final

from evolution_lab.errors import ConfigError, CorruptFileError

KEY_FILE: Final = ".key"
KEY_VARIABLE: Final = "EVOLUTION_LAB_KEY"
_SHORTEST: Final = 16
_KEY_BYTES: Final = 32
_PSEUDONYM_BYTES: Final = 12  # 96 bits: two of 10^12 actors collide once in 10^5 labs.
_KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")


@dataclass(frozen=True)
class LabKey:
    """One lab's key for every pseudonym: equal values stay equal, nobody else can compute them.

    Attributes:
        secret: 32 bytes. Never shown, never stored but in the key file.

    Examples:
        >>> key = LabKey(b"k" * 32)
        >>> key.pseudonym("actor", "u-1") == key.pseudonym("actor", "u-1")
        True
        >>> key
        LabKey()
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != _KEY_BYTES:
            raise ConfigError(f"a lab key of {len(self.secret)} bytes, must have {_KEY_BYTES}.")

    @classmethod
    def open(cls, data_dir: Path, *, environment: Mapping[str, str] | None = None) -> LabKey:
        """Return the key of a lab directory; create it (mode 0600) where there is none.

        Several processes may open a new lab at once: all get the same key.

        Args:
            data_dir: The lab directory; created if absent.
            environment: ``os.environ`` unless given; ``EVOLUTION_LAB_KEY`` wins over the file.

        Raises:
            ConfigError: ``EVOLUTION_LAB_KEY`` is shorter than 16 characters.
            CorruptFileError: The key file does not hold a key.
        """
        given = (os.environ if environment is None else environment).get(KEY_VARIABLE, "")
        if given:
            if len(given) < _SHORTEST:  # The value itself must not reach a message.
                raise ConfigError(
                    f"{KEY_VARIABLE} has {len(given)} characters, must have at least {_SHORTEST}."
                )
            secret = given.encode("utf-8", "surrogateescape")
            return cls(blake2b(secret, digest_size=_KEY_BYTES, person=b"lab key").digest())
        path = data_dir / KEY_FILE
        if not path.exists():
            data_dir.mkdir(parents=True, exist_ok=True)
            _create(path)
        return cls(_read(path))

    def pseudonym(self, kind: str, value: str) -> str:
        """Return ``kind_`` and 24 hex digits: BLAKE2b keyed with the lab's key (RFC 7693).

        The kind is part of what is hashed: an actor and a session of the same value differ.

        Raises:
            ValueError: ``kind`` is not a lower-case word.
        """
        if not _KIND.fullmatch(kind):
            raise ValueError(f"kind == {kind!r}, must be a lower-case word.")
        data = f"{kind}\x1f{value}".encode("utf-8", "surrogatepass")
        digest = blake2b(data, digest_size=_PSEUDONYM_BYTES, key=self.secret, person=b"pseudonym")
        return f"{kind}_{digest.hexdigest()}"


def _read(path: Path) -> bytes:
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii"))
    except ValueError:
        secret = b""
    if len(secret) != _KEY_BYTES:
        raise CorruptFileError(
            f"{path} must hold {2 * _KEY_BYTES} hex digits. Restore it: with another key, people "
            "of earlier landings are not recognised again."
        )
    return secret


def _create(path: Path) -> None:
    """Publish a whole key file under its name, or leave the one that another process published."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    _write_new(draft, secrets.token_hex(_KEY_BYTES) + "\n")
    try:
        path.hardlink_to(draft)  # Unlike a rename, fails where the name is taken.
    except FileExistsError:
        pass
    except OSError:  # A file system without hard links.
        if not path.exists():
            _write_new(path, draft.read_text(encoding="ascii"))
    finally:
        draft.unlink()


def _write_new(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)

"""The one way into a PostgreSQL database that a team's machines share; needs the extra ``postgres``.

Whoever keeps tables there names them as a part with its migrations; each part carries its own
``format_version``, is created by whoever comes first, and is brought up to date before it is used.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from evolution_lab.errors import (
    ConfigError,
    FormatVersionError,
    LakeError,
    LockedError,
    MissingExtraError,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

WAIT_SECONDS: Final = 30.0
_DRIVER: Final = "postgresql+psycopg"
_SCHEMES: Final = frozenset({"postgresql", "postgres", _DRIVER})
_FORMATS: Final = """
CREATE TABLE IF NOT EXISTS evolution_lab_formats (
    part TEXT PRIMARY KEY,
    format_version INTEGER NOT NULL
)
"""


class PostgresPart:
    """Tables of one purpose in a shared database.

    One transaction runs at a time for each part, on whatever machine: what is decided is read,
    judged and written under one advisory lock, so that nothing has to be tried again and two
    reviewers never overwrite each other. Decisions are few; that the lock makes them wait in line
    costs milliseconds.

    Args:
        url: ``postgresql://USER:PASSWORD@HOST/DATABASE``.
        part: Name of the part.
        migrations: One entry a format version, each the statements that lead there from the one
            before. Entries are never changed, only added.

    Raises:
        ConfigError: The address is none of a PostgreSQL database.
        MissingExtraError: SQLAlchemy or psycopg is not installed.
    """

    def __init__(self, url: str, part: str, migrations: Sequence[Sequence[str]]) -> None:
        self.part = part
        self._migrations = migrations
        self._engine = _engine(url)
        self._ready = False

    def __repr__(self) -> str:
        return f"PostgresPart({self.place!r}, {self.part!r})"

    @property
    def place(self) -> str:
        """Where the database is, without the password."""
        return self._engine.url.render_as_string(hide_password=True)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction: committed at the end, rolled back by an exception.

        Raises:
            LockedError: Others held the part for longer than the bounded wait.
            FormatVersionError: A newer version of this package wrote the tables.
            LakeError: The database cannot be reached, or refuses.
        """
        from sqlalchemy.exc import DBAPIError

        try:
            with self._engine.begin() as connection:
                self._lock(connection)
                self._bring_up_to_date(connection)
                yield connection
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == "55P03":
                raise LockedError(
                    self.place, waited_seconds=WAIT_SECONDS, holder_pid=None
                ) from None
            # What drivers say may hold values of rows: only its kind is told.
            kind = type(error.orig).__name__
            raise LakeError(
                f"{self.place} cannot be used ({kind}); it must be a PostgreSQL database that "
                "answers and in which the user may create tables."
            ) from None

    def rewrite(self, tables: Sequence[str]) -> None:
        """Write tables anew: what was deleted or changed leaves their pages for good.

        Raises:
            LakeError: The database cannot be reached, or refuses: only a table's owner may.
        """
        from sqlalchemy.exc import DBAPIError

        try:
            with self._engine.connect() as connection:
                outside = connection.execution_options(isolation_level="AUTOCOMMIT")
                for table in tables:
                    _run(outside, f'VACUUM FULL "{table}"')
        except DBAPIError as error:
            kind = type(error.orig).__name__
            raise LakeError(
                f"{self.place}: {', '.join(tables)} cannot be written anew ({kind}); have their "
                "owner run VACUUM FULL, so that what was erased leaves the disk."
            ) from None

    def _lock(self, connection: Connection) -> None:
        _run(connection, f"SET LOCAL lock_timeout = '{WAIT_SECONDS:.0f}s'")
        _run(connection, "SELECT pg_advisory_xact_lock(:key)", key=_lock_key(self.part))

    def _bring_up_to_date(self, connection: Connection) -> None:
        if self._ready:
            return
        # Parts share this table; two that come first at once would both create it.
        _run(connection, "SELECT pg_advisory_xact_lock(:key)", key=_lock_key("formats"))
        _run(connection, _FORMATS)
        found = _run(
            connection,
            "SELECT format_version FROM evolution_lab_formats WHERE part = :part",
            part=self.part,
        ).scalar()
        current = len(self._migrations)
        if found is not None and found > current:
            raise FormatVersionError(f"{self.place}, {self.part}", found, current)
        for statements in self._migrations[found or 0 :]:
            for statement in statements:
                _run(connection, statement)
        if found != current:
            _run(
                connection,
                "INSERT INTO evolution_lab_formats VALUES (:part, :version) "
                "ON CONFLICT (part) DO UPDATE SET format_version = excluded.format_version",
                part=self.part,
                version=current,
            )
        else:
            self._ready = True


def check_url(url: str) -> str:
    """Return the address of a PostgreSQL database, for the driver that is used.

    Raises:
        ConfigError: It is none.

    Examples:
        >>> check_url("postgres://ada@db/lab")
        'postgresql+psycopg://ada@db/lab'
    """
    scheme, colon, rest = url.partition("://")
    if not colon or scheme not in _SCHEMES or not rest:
        raise ConfigError(
            f"state_url begins with {scheme[:20]!r}, must be postgresql://USER@HOST/DATABASE."
        )
    return f"{_DRIVER}://{rest}"


@lru_cache(maxsize=8)
def _engine(url: str) -> Engine:
    checked = check_url(url)
    try:
        import psycopg  # noqa: F401
        from sqlalchemy import create_engine
        from sqlalchemy.exc import ArgumentError
        from sqlalchemy.pool import NullPool
    except ImportError:
        raise MissingExtraError("postgres", "state in PostgreSQL") from None
    try:
        # Connections are not kept: a process that forks must not share one with its children.
        return create_engine(checked, poolclass=NullPool, connect_args={"connect_timeout": 10})
    except ArgumentError:
        raise ConfigError(
            "state_url cannot be read, must be postgresql://USER@HOST/DATABASE."
        ) from None


def _run(connection: Connection, statement: str, **values: Any) -> Any:
    from sqlalchemy import text

    return connection.execute(text(statement), values)


def _lock_key(name: str) -> int:
    return zlib.crc32(f"evolution_lab {name}".encode())

"""The one way into ``evolution.duckdb``: decisions and registries, one transaction at a time.

DuckDB admits one writing process and then refuses even readers. So nobody keeps the file open: each
transaction takes a lock beside the file with a bounded wait, opens it, commits and closes it.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import duckdb

from evolution_lab.errors import CorruptFileError, FormatVersionError, LakeError, LockedError
from evolution_lab.telemetry.locks import file_lock
from evolution_lab.telemetry.publishing import sync_folder

STATE_FILE: Final = "evolution.duckdb"
STATE_FORMAT_VERSION: Final = 1
"""Written into table ``meta`` by the first transaction; a newer one is refused."""

WAIT_SECONDS: Final = 120.0
"""Who waits its turn among many that are busy gets it long before; a holder that dies lets go at once."""
FOREIGN_WAIT_SECONDS: Final = 30.0
"""For a program that opened the file without the lock, such as a DuckDB shell."""
_POLL_SECONDS: Final = 0.05
_FOREIGN_LOCK = re.compile(r"Conflicting lock is held.*?(?:\(PID (\d+)\)|$)", re.DOTALL)


@contextmanager
def open_state(
    data_dir: Path | str, *, wait_seconds: float = WAIT_SECONDS
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the state database for one transaction.

    The transaction is committed when the block ends and rolled back when it raises. Keep the block
    short: everybody else waits. It must not be nested, the inner one would wait for the outer one.

    Args:
        data_dir: The lab directory; created where it is missing.
        wait_seconds: How long to wait for another process.

    Yields:
        A connection inside a transaction. Table ``meta(key, value)`` holds ``format_version``;
        whoever else keeps tables here creates them with ``CREATE TABLE IF NOT EXISTS``.

    Raises:
        LockedError: Another process holds the database for longer than the wait; names its pid.
        CorruptFileError: The file is not a DuckDB database, or is damaged.
        FormatVersionError: The file was written by a newer version of this package.
        LakeError: The folder cannot be created, or the disk is full.

    Examples:
        >>> import tempfile
        >>> lab = Path(tempfile.mkdtemp())
        >>> with open_state(lab) as state:
        ...     _ = state.execute("CREATE TABLE notes (text VARCHAR)")
        ...     _ = state.execute("INSERT INTO notes VALUES ('kept')")
        >>> with open_state(lab) as state:
        ...     state.execute("SELECT text FROM notes").fetchall()
        [('kept',)]
    """
    data_dir = Path(data_dir)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LakeError(
            f"{data_dir} cannot be a lab directory: {error.strerror}; name a folder instead."
        ) from error
    path = data_dir / STATE_FILE
    lock = path.with_name(f"{STATE_FILE}.lock")
    with file_lock(lock, wait_seconds=wait_seconds):
        connection = _connect(path, min(wait_seconds, FOREIGN_WAIT_SECONDS))
        try:
            connection.execute("BEGIN TRANSACTION")
            _check_format_version(connection, path)
            try:
                yield connection
            except BaseException as error:
                with suppress(duckdb.Error):
                    connection.execute("ROLLBACK")
                if isinstance(error, duckdb.IOException | duckdb.FatalException):
                    raise _not_written(path, error) from error
                raise
            try:
                connection.execute("COMMIT")
            except duckdb.Error as error:
                raise _not_written(path, error) from error
        finally:
            connection.close()


def _not_written(path: Path, error: duckdb.Error) -> LakeError:
    return LakeError(
        f"{path} cannot be written ({str(error).partition(chr(10))[0]}): nothing of this step is kept, "
        "and nothing from before is lost. Make room on the disk, then do it again."
    )


def rewrite_state(data_dir: Path | str, *, wait_seconds: float = WAIT_SECONDS) -> None:
    """Write the state database anew: what was deleted or changed leaves its pages for good.

    A kill leaves the old file, or the new one. Nothing happens where there is no database.

    Args:
        data_dir: The lab directory.
        wait_seconds: How long to wait for another process.

    Raises:
        LockedError: Another process holds the database for longer than the wait; names its pid.
        CorruptFileError: The file is not a DuckDB database, or is damaged.
    """
    path = Path(data_dir) / STATE_FILE
    if not path.is_file():
        return
    fresh = path.with_name(f".{STATE_FILE}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    with file_lock(path.with_name(f"{STATE_FILE}.lock"), wait_seconds=wait_seconds):
        connection = _connect(path, min(wait_seconds, FOREIGN_WAIT_SECONDS))
        try:
            row = connection.execute("SELECT current_database()").fetchone()
            assert row is not None
            quoted = str(fresh).replace("'", "''")
            connection.execute(f"ATTACH '{quoted}' AS rewritten")
            name = str(row[0]).replace('"', '""')
            connection.execute(f'COPY FROM DATABASE "{name}" TO rewritten')
            connection.execute("DETACH rewritten")
        except duckdb.Error as error:
            fresh.unlink(missing_ok=True)
            raise CorruptFileError(_corrupt(path, error)) from error
        finally:
            connection.close()
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(path)
        path.with_name(f"{STATE_FILE}.wal").unlink(missing_ok=True)
        sync_folder(path.parent)


def _connect(path: Path, wait_seconds: float) -> duckdb.DuckDBPyConnection:
    if path.is_file() and path.stat().st_size == 0:
        path.unlink()  # A process died while it created the file: it holds nothing.
    started = time.monotonic()
    while True:
        try:
            connection = duckdb.connect(str(path))
        except duckdb.Error as error:
            held = _FOREIGN_LOCK.search(str(error))
            if held is None:
                raise CorruptFileError(_corrupt(path, error)) from error
            waited = time.monotonic() - started
            if waited >= wait_seconds:
                # A program that opened the database without the lock, such as a DuckDB shell.
                pid = int(held[1]) if held[1] else None
                raise LockedError(path, waited_seconds=waited, holder_pid=pid) from error
            time.sleep(_POLL_SECONDS)
        else:
            # Nothing here needs an extension: do not reach for the network over a misspelt name.
            connection.execute("SET autoinstall_known_extensions = false")
            return connection


def _check_format_version(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS meta (key VARCHAR PRIMARY KEY, value VARCHAR)"
        )
        row = connection.execute("SELECT value FROM meta WHERE key = 'format_version'").fetchone()
        if row is None:
            connection.execute(
                "INSERT INTO meta VALUES ('format_version', ?)", [str(STATE_FORMAT_VERSION)]
            )
            return
    except duckdb.Error as error:
        raise CorruptFileError(_corrupt(path, error)) from error
    found = row[0]
    if not (found and found.isdecimal() and 1 <= int(found) <= STATE_FORMAT_VERSION):
        raise FormatVersionError(str(path), found, STATE_FORMAT_VERSION)


def _corrupt(path: Path, error: duckdb.Error) -> str:
    first_line = str(error).partition("\n")[0]
    return (
        f"{path} cannot be read as a DuckDB database ({first_line}). It holds decisions and "
        "registries only, telemetry is untouched: restore it from a backup, or move it away to "
        "start with empty ones."
    )

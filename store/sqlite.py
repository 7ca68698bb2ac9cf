"""A file of SQLite, opened in one way by all who use it.

It is its owner's to read, has a write-ahead log, and what is erased in it is overwritten with zeros. A folder in which
nothing can be made, or a file that cannot be written to, is SQLite's to tell of. All of it blocks.
"""

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from store.private import keep_private, narrow_file

BUSY_SECONDS = 2.0
"""How long a statement waits for another process that writes."""


def open_sqlite(file: str, synchronous: str = "FULL") -> sqlite3.Connection:
    """Open a file, for any thread; a transaction begins with BEGIN. Raises: `sqlite3.Error`."""
    with suppress(OSError):
        keep_private(Path(file))
    connection = sqlite3.connect(
        file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=200
    )
    try:
        _ask_for_log(connection)
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute(f"PRAGMA synchronous={synchronous}")
        with suppress(OSError):
            for suffix in ("-wal", "-shm"):
                narrow_file(Path(file + suffix))
    except BaseException:
        connection.close()
        raise
    return connection


def _ask_for_log(connection: sqlite3.Connection) -> None:
    """Have a write-ahead log: a new file has to be turned over to it, and SQLite does not wait for that lock."""
    last_try = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > last_try:
                raise
            time.sleep(0.01)
        else:
            return


def is_damaged(error: BaseException | None) -> bool:
    """Tell whether SQLite says of a file that it is no database, or a broken one: that does not pass."""
    return type(error) is sqlite3.DatabaseError


def overwrite_erased(file: str) -> None:
    """Write a file anew, without what deleted and replaced rows have left, and empty its write-ahead log.

    Raises: `OSError`, where another process reads or writes for longer than two seconds.
    """
    try:
        with closing(open_sqlite(file)) as connection:
            connection.execute("VACUUM")
            (is_busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as exc:
        raise OSError(f"what was erased cannot be overwritten yet: {exc}") from exc
    if is_busy:
        raise OSError("what was erased cannot be overwritten yet: the write-ahead log is being read")

"""What SQLite's errors are to us, whichever driver raises them."""

import re
import sqlite3
import sys
from pathlib import Path

from ingestion.connectors.databases.wording import STATEMENTS
from ingestion.errors import ConfigError, DataError, IngestionError, TransientError
from ingestion.model import nearest

__all__ = ["failure"]

_AROUND = re.compile(r"^[A-Z_]+: |\[SQLite\] |Failed to prepare query: |\nquery: .*", re.DOTALL)  # ADBC's words
_LOCKED = ("database is locked", "database table is locked", "database schema is locked", "busy")
_UNOPENED = ("unable to open", "failed to open", "readonly database")
_BROKEN = ("malformed", "not a database", "disk image", "encrypted")


def failure(error: BaseException, path: str) -> IngestionError | None:
    """What *error* means for the file at *path*; None where it is not SQLite's."""
    text = _told(error)
    if text is None:
        return None
    if Path(path).is_dir() or any(one in text for one in _UNOPENED):
        return ConfigError(_unopened(path))
    if any(one in text for one in _LOCKED):
        return TransientError(f"{path} is locked ({text}); run again once its writer is done")
    if any(one in text for one in _BROKEN):
        return DataError(f"{path} cannot be read as an SQLite file ({text}); check it with PRAGMA integrity_check")
    if "disk I/O error" in text:
        return TransientError(f"{path} cannot be read ({text}); run again once its disk answers")
    return ConfigError(f"{path}: {text}; correct {STATEMENTS}")


def _told(error: BaseException) -> str | None:
    """SQLite's own words."""
    from sqlalchemy.exc import DBAPIError

    cause = error.orig if isinstance(error, DBAPIError) else error
    adbc = sys.modules.get("adbc_driver_manager")
    if isinstance(cause, sqlite3.Error) or (adbc is not None and isinstance(cause, adbc.Error)):
        return _AROUND.sub("", str(cause)).strip()
    return None


def _unopened(path: str) -> str:
    file = Path(path)
    if file.is_dir():
        return f"{path} is a folder; set source.database to the SQLite file in it"
    if not file.parent.is_dir():
        return f"{path} is not there, nor is its folder; check source.database"
    if not file.exists():
        names = [item.name for item in file.parent.iterdir() if item.is_file()]
        hint = nearest(file.name, names, "its folder has") if names else "its folder is empty"
        return f"{path} is not there; {hint}"
    return (
        f"{path} cannot be opened; let the service read it, and write its folder where the file is in WAL mode "
        f"(source.connection_params: {{immutable: 1}} reads a file that nothing writes)"
    )

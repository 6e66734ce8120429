"""Where a table is: its folder on a disk or in an object store, and what opening it may meet."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.fs as pafs

from ingestion.errors import ConfigError, IngestionError, TransientError
from ingestion.loaders.delta.stores import stored_files
from ingestion.loaders.tables.failures import translating
from ingestion.secrets import redact

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["Place", "translated"]

_PATIENCE = {"max_retries": "5", "retry_timeout": "30s", "connect_timeout": "10s"}
_DENIED = ("accessdenied", "access denied", "permission", "forbidden", "unauthorized", "unauthenticated")
_CREDENTIALS = ("invalidaccesskeyid", "signaturedoesnotmatch", "credential", "invalidtoken", "expiredtoken")
_MISSING = ("nosuchbucket", "nosuchcontainer", "containernotfound", "invalid uri", "unknown scheme", "not supported")


@dataclass(frozen=True)
class Place:
    """The folder of one table."""

    uri: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def remote(self) -> bool:
        """Whether it is in an object store."""
        return "://" in self.uri

    @cached_property
    def storage_options(self) -> dict[str, str]:
        """The options as the driver takes them: commits are put only where no other is, and nothing waits for long."""
        if not self.remote:
            return dict(self.options)
        safe = {"aws_conditional_put": "etag"} if self.uri.startswith("s3") else {}
        return {**_PATIENCE, **safe, **self.options}

    def open(self, version: int | None = None) -> "DeltaTable | None":
        """The table as it is now or was at *version*; None where there is none."""
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        if not self.remote and not Path(self.uri).is_dir():
            return None
        try:
            table = DeltaTable(self.uri, version=version, storage_options=self.storage_options)
        except TableNotFoundError:
            return None
        return table

    @cached_property
    def files(self) -> pafs.FileSystem:
        """The files of the folder by their paths within it."""
        if self.remote:
            return stored_files(self.uri, self.storage_options)
        Path(self.uri).mkdir(parents=True, exist_ok=True)
        return pafs.SubTreeFileSystem(self.uri, pafs.LocalFileSystem())

    def begin(self, path: str) -> pa.NativeFile:
        """A new file, and the folders that it is in."""
        if not self.remote and "/" in path:
            self.files.create_dir(path.rpartition("/")[0])
        return self.files.open_output_stream(path)

    def remove(self, paths: list[str]) -> None:
        """Delete files as far as that is possible; what stays is found by the upkeep."""
        for path in paths:
            with suppress(OSError):  # gone already, or out of reach for now
                self.files.delete_file(path)


def translated(what: str) -> AbstractContextManager[None]:
    """Raise ConfigError or TransientError, without secrets, in place of what the driver raises."""
    return translating(what, "run: pip install 'ingestion[delta]'", _of_storage, _of_driver)


def _of_driver(what: str, error: Exception) -> IngestionError | None:
    from deltalake.exceptions import CommitFailedError, DeltaError, DeltaProtocolError

    if isinstance(error, DeltaProtocolError):
        return ConfigError(
            f"{what}: it needs a reader or writer newer than the installed driver ({_first_line(error)}); "
            f"upgrade deltalake, or load into another table"
        )
    if isinstance(error, CommitFailedError) and "append-only" in str(error).lower():
        return ConfigError(
            f"{what}: rows may only be added to it ({_first_line(error)}); set write_mode: append, unset "
            f"delta.appendOnly, or load into another table"
        )
    if isinstance(error, CommitFailedError):
        return TransientError(f"{what}: the commit failed ({_first_line(error)}); run again")
    if isinstance(error, DeltaError):
        return _of_storage(what, error)
    return None


def _of_storage(what: str, error: Exception) -> IngestionError:
    text = str(error).lower().replace(" ", "").replace("_", "")  # AccessDenied, access denied, ACCESS_DENIED
    said = _first_line(error)
    if "unsupported" in text and ("feature" in text or "version" in text):
        return ConfigError(f"{what}: it has a feature that the driver lacks ({said}); upgrade deltalake")
    if any(word.replace(" ", "") in text for word in _CREDENTIALS):
        return ConfigError(f"{what}: the store refuses the credentials ({said}); correct loader.storage_options")
    if any(word.replace(" ", "") in text for word in _DENIED):
        return ConfigError(f"{what}: no permission ({said}); grant it or correct loader.storage_options")
    if any(word.replace(" ", "") in text for word in _MISSING):
        return ConfigError(f"{what}: there is no such place ({said}); correct loader.location")
    return TransientError(f"{what}: {said}; check that the storage is reachable, then run again")


def _first_line(error: BaseException) -> str:
    """What the driver says, without the colours and arrows in which it draws the chain of its causes."""
    import re

    text = re.sub(r"\x1b\[[0-9;]*m", "", redact(str(error)))
    lines = [line.strip(" ↳\t") for line in text.strip().splitlines()]
    kept = [line for line in lines if line and not re.match(r"\d+: |at ", line)]
    return ": ".join(kept[:1] + kept[1:][-1:]) if kept else type(error).__name__

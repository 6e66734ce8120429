"""The files of an object store, by the options that the driver takes."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.fs as pafs

from ingestion.settings import environment

__all__ = ["stored_files"]

_OURS = ("access_key_id", "secret_access_key", "session_token", "region", "endpoint_url", "allow_http")
_OTHER_NAMES = {"token": "session_token", "default_region": "region", "endpoint": "endpoint_url"}
_ADDRESSING = "virtual_hosted_style_request"
_OF_COMMITS = {"conditional_put", "max_retries", "retry_timeout", "connect_timeout", "timeout"}


def stored_files(uri: str, options: Mapping[str, str]) -> pafs.FileSystem:
    """The files below *uri*, read and written with *options*.

    The driver's own way to them stops every thread of the process while it waits, so S3 is reached by Arrow's, unless
    there are options that Arrow does not have.
    """
    parts = urlsplit(uri)
    if parts.scheme in ("s3", "s3a"):
        known = _s3_options(options)
        if known is not None:
            return pafs.SubTreeFileSystem(f"{parts.netloc}{parts.path}", pafs.S3FileSystem(**known))
    return pafs.PyFileSystem(_driver_files(uri, dict(options)))


def _s3_options(options: Mapping[str, str]) -> dict[str, Any] | None:
    """What Arrow calls *options* and those of the environment; None where it lacks one of them."""
    given = {_plain_name(name): value for name, value in options.items()}
    if not given.keys() <= {*_OURS, _ADDRESSING, *_OF_COMMITS}:
        return None
    around = {_plain_name(name): value for name, value in environment().items() if name.upper().startswith("AWS_")}
    found = {name: value for name, value in {**around, **given}.items() if name in {*_OURS, _ADDRESSING} and value}
    address = urlsplit(found.get("endpoint_url", ""))
    if address.path.strip("/"):
        return None
    known: dict[str, Any] = {
        "access_key": found.get("access_key_id"),
        "secret_key": found.get("secret_access_key"),
        "session_token": found.get("session_token"),
        "region": found.get("region"),
        "force_virtual_addressing": found.get(_ADDRESSING, "false").lower() == "true",
        "background_writes": True,
    }
    if address.netloc:
        known |= {"endpoint_override": address.netloc, "scheme": address.scheme}
    return {name: value for name, value in known.items() if value is not None}


def _plain_name(name: str) -> str:
    plain = name.lower().removeprefix("aws_")
    return _OTHER_NAMES.get(plain, plain)


def _driver_files(uri: str, options: dict[str, str]) -> pafs.FileSystemHandler:
    from deltalake.fs import DeltaStorageHandler

    class Stored(DeltaStorageHandler):
        """The driver's way, which takes bytes and nothing else."""

        def open_output_stream(self, path: str, metadata: dict[str, str] | None = None) -> pa.PythonFile:
            return pa.PythonFile(_Sink(self._handler.open_output_stream(path, metadata)), mode="w")

    return Stored(uri, options)


class _Sink:
    """Takes whatever Arrow writes to a file."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, data: Any) -> int:
        """Pass the bytes on."""
        return int(self._stream.write(bytes(memoryview(data))))

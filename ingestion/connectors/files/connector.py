"""The connector of which every file format is a kind: it chooses files and keeps the ledger."""

import codecs
from abc import abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import AliasChoices, Field, field_validator
from typing_extensions import Self
from xxhash import xxh3_128

from ingestion import settings
from ingestion.connectors.files.ledger import Entry, Ledger, Seen
from ingestion.connectors.files.listing import Found, find
from ingestion.connectors.files.opening import Compression, Opening
from ingestion.connectors.files.rereading import as_loaded, located, only, trouble
from ingestion.connectors.files.stored import digest
from ingestion.errors import ConfigError, DataError
from ingestion.plugins import Batch, Connector, Cursor, Loader, Origin, Restart, Watched
from ingestion.secrets import redact

__all__ = ["Chosen", "FileConnector"]

_NAMES_SHOWN = 3


@dataclass
class Chosen:
    """One file of a load; its reader fills in what the ledger is to keep of it."""

    file: Found
    hash: str | None = None  # None until the file was read to its end
    rows: int = 0
    touched: bool = False  # loaded before, only its time differs: no rows of it are wanted


class FileConnector(Connector):
    """Reads the files at a path that were not loaded before, oldest first."""

    default_patterns: ClassVar[tuple[str, ...]] = ()

    source_path: str = Field(min_length=1)
    """The file, the folder or the glob to read; relative paths start at the folder that holds config/."""
    file_pattern: str | None = None
    """A glob for files' names, by default those of the source's type; a file named outright must fit a given one."""
    exclude_pattern: str | None = None
    """A glob for the names of files to leave out."""
    recursive: bool = False
    """Read the subfolders of a folder too."""
    max_files: int | None = Field(default=None, ge=1)
    """The most files that one run loads; the others wait for the next."""
    order_by: Literal["modified_at", "name"] = "modified_at"
    """Which of several new files comes first."""
    compression: Compression = "auto"
    """How files are compressed; auto looks at their first bytes, not at their names."""
    archive_member_pattern: str | None = None
    """A glob for the members of an archive; by default all are read."""
    encoding: str = "utf-8"
    """The files' encoding, or auto: byte order mark, else UTF-8 where all of it is, else the likeliest other."""
    encoding_errors: Literal["strict", "replace"] = "strict"
    """What bytes of another encoding do: fail the run, or become U+FFFD."""
    on_bad_row: Literal["quarantine", "fail", "drop"] = "quarantine"
    """What a row does that does not fit the file's columns or types: go to quarantine, fail the run, or be left out
    and counted."""
    max_decompressed_bytes: int | None = Field(default=None, ge=1)
    """The most bytes that one file, with all its members, may decompress to."""
    include_metadata: bool = Field(
        default=False, validation_alias=AliasChoices("include_metadata", "add_file_metadata")
    )
    """Add the columns _source_file, _source_row (the line) and _source_modified_at."""
    incremental: bool | None = None
    """Leave out files that were loaded before; by default true unless the loader overwrites."""

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        if value != "auto":
            try:
                codecs.lookup(value)
            except LookupError as error:
                raise ValueError(
                    f"unknown encoding {value!r}; write a name that Python knows, such as cp1252, or auto"
                ) from error
        return value

    @abstractmethod
    def rows(self, files: Sequence[Chosen], known: pa.Schema | None) -> Iterator[Batch | Restart]:
        """Yield the rows of *files* in order, filling in each file's hash and rows; a touched file yields none.

        After a Restart everything follows anew. Every file yields at least one batch unless it is empty.
        """

    @property
    def watchable(self) -> bool:
        """Not where every run reads all files anew."""
        return self.incremental is not False

    def beside(self, loader: Loader) -> Self:
        """Every file is read again for a loader that replaces what earlier ones brought."""
        if self.incremental and "incremental" in self.model_fields_set and loader.deletes_missing:
            raise ValueError(
                "source.incremental: true leaves out files that were loaded before, so loader.delete_missing would "
                "delete their rows; leave incremental out, or set delete_missing: none"
            )
        return self.with_defaults(incremental=not loader.replaces_all)

    @property
    def opening(self) -> Opening:
        """How this source's files are opened."""
        return Opening(
            self.compression,
            self.archive_member_pattern,
            self.encoding,
            self.encoding_errors,
            self.max_decompressed_bytes,
        )

    def read(self, cursor: Cursor, known: pa.Schema | None) -> Iterator[Batch | Restart]:
        """Yield the rows of files that are not in the ledger yet; the last batch carries the ledger with them in it."""
        ledger = self._ledger(cursor)
        chosen = self._choose(ledger)
        if not chosen:
            return
        held: Batch | None = None
        with closing(_generator(self.rows(chosen, known))) as items:
            for item in items:
                if isinstance(item, Restart):
                    held = None
                    yield item
                    continue
                if held is not None:
                    yield held
                held = item
        entries = [Entry(one.file, one.hash, one.rows) for one in chosen if one.hash is not None]
        if entries:
            last = held or Batch(
                pa.RecordBatch.from_pylist([], schema=pa.schema([])), Origin(redact(chosen[-1].file.path))
            )
            yield last._replace(cursor=ledger.updated(entries))

    def unreadable(self, sources: Sequence[str], cursor: Cursor) -> Mapping[str, str]:
        """Those of *sources* that are not listed any more, or have other content than the ledger knows."""
        try:
            files = located(sources, self._ledger(cursor).compare(self._files()))
        except ConfigError as error:
            return dict.fromkeys(sources, str(error))
        reasons = ((source, trouble(source, seen)) for source, seen in files.items())
        return {source: reason for source, reason in reasons if reason is not None}

    def reread(
        self, places: Mapping[str, pa.Array], cursor: Cursor, known: pa.Schema | None
    ) -> Iterator[Batch | Restart]:
        """Yield the rows at these lines of these files; only of such as source_path covers."""
        files = located(list(places), self._ledger(cursor).compare(self._files()))
        chosen: dict[str, Chosen] = {}
        for source, seen in files.items():
            reason = trouble(source, seen)
            if seen is None or reason is not None:
                raise DataError.without_values(f"{reason}; load it again under a new name, or put back what was loaded")
            chosen[seen.file.path] = Chosen(seen.file)
        lenient = self.model_copy(update={"on_bad_row": "quarantine"})
        with closing(_generator(lenient.rows(list(chosen.values()), known))) as items:
            for item in only(items, places):
                yield item if isinstance(item, Restart) else as_loaded(item, files.get(item.origin.source))

    def watch(self, cursor: Cursor) -> Watched:
        """How many files wait, judged by path, size and time alone."""
        seen = self._listed(self._ledger(cursor))
        fresh = [one.file for one in seen if not one.unchanged]
        listed = sorted(f"{file.path}\0{file.size}\0{file.modified_us}" for file in fresh)
        key = xxh3_128("\n".join(listed).encode(errors="surrogateescape")).hexdigest()
        if not fresh:
            loaded = "1 file, loaded already" if len(seen) == 1 else f"{len(seen)} files, all loaded already"
            return Watched(0, loaded if seen else self._no_file(), key)
        names = ", ".join(file.path.rpartition("/")[2] for file in fresh[:_NAMES_SHOWN])
        more = f" and {len(fresh) - _NAMES_SHOWN} more" if len(fresh) > _NAMES_SHOWN else ""
        return Watched(len(fresh), f"{len(fresh)} of {len(seen)} files new: {names}{more}", key)

    def _no_file(self) -> str:
        path = settings.current().absolute(self.source_path)
        if not Path(path).is_dir():
            return f"no file matches {path}"
        pattern = self.file_pattern or " or ".join([*self.default_patterns[:1], "the like"])
        return f"no file in {path} matches {pattern}"

    def _ledger(self, cursor: Cursor) -> Ledger:
        relative = not Path(self.source_path).expanduser().is_absolute()
        return Ledger(cursor, str(settings.current().base_path), relative=relative)

    def _listed(self, ledger: Ledger) -> list[Seen]:
        """Every file that matches, in order, with what is known of it, where that counts."""
        files = self._files()
        return [Seen(file) for file in files] if self.incremental is False else ledger.compare(files)

    def _files(self) -> list[Found]:
        """Every file that matches, in order; empty files are not there yet."""
        path = settings.current().absolute(self.source_path)
        usual = self.default_patterns
        found = find(path, self.file_pattern, self.exclude_pattern, usual=usual, recursive=self.recursive)
        files = [file for file in found if file.size]
        by_name = self.order_by == "name"
        files.sort(key=lambda file: (0 if by_name else file.modified_us, file.path))
        return files

    def _choose(self, ledger: Ledger) -> list[Chosen]:
        chosen: list[Chosen] = []
        for seen in self._listed(ledger):
            if seen.unchanged:
                continue
            if self.max_files is not None and len(chosen) == self.max_files:
                break
            chosen.append(_again(seen) if seen.hash is not None else Chosen(seen.file))
        return chosen


def _again(seen: Seen) -> Chosen:
    """A file that was loaded before: its time may differ, its content may not."""
    if seen.size == seen.file.size and digest(seen.file.path) == seen.hash:
        return Chosen(seen.file, seen.hash, seen.rows, touched=True)
    raise DataError.without_values(
        f"{seen.file.path} was loaded before with other content; appending it would load its rows twice: "
        f"give it a new name, or run once with source.incremental: false to load all of it again"
    )


def _generator(items: Iterator[Batch | Restart]) -> Generator[Batch | Restart, None, None]:
    """*items* as something that can be closed."""
    return items if isinstance(items, Generator) else (item for item in items)

"""The table's columns as this load will leave them: added or widened, never dropped or narrowed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from ingestion.errors import ConfigError, DataError
from ingestion.loaders.postgres.session import quoted
from ingestion.loaders.postgres.table import Column, Found
from ingestion.loaders.postgres.types import TEXT, PgType, plain, together
from ingestion.loaders.tables.names import check_apart

__all__ = ["LONGEST_NAME", "Plan", "renames"]

LONGEST_NAME = 63
"""Bytes of a name; what is longer PostgreSQL cuts off without a word."""

_SYSTEM = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}


def renames(found: Found | None, wanted: Mapping[str, str], table: str) -> dict[str, str]:
    """The columns to be renamed, old name to new; raises ConfigError where both are there."""
    if found is None:
        return {}
    due = {old: new for new, old in wanted.items() if old in found.columns}
    for old, new in due.items():
        if new in found.columns:
            raise ConfigError(
                f"table {table}: loader.rename_from calls column {old!r} {new!r}, and the table has both; "
                f"take the entry out, or drop one of the columns"
            )
    return due


@dataclass
class Plan:
    """Follows the schemas of a stream."""

    name: str
    found: Found | None  # under the new names
    renames: Mapping[str, str] = field(default_factory=dict)
    frozen: bool = False  # a required column stays required
    columns: dict[str, PgType] = field(default_factory=dict)  # those of the data, as they will be
    untyped: dict[str, None] = field(default_factory=dict)  # columns that so far hold nothing but nulls
    undecided: dict[str, None] = field(default_factory=dict)  # columns of batches without rows that have no type
    optional: set[str] = field(default_factory=set)  # required columns that get nulls
    _cases: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._cases.update({name.lower(): name for name in self._there})

    @property
    def _there(self) -> Mapping[str, Column]:
        return self.found.columns if self.found is not None else {}

    def meet(self, schema: pa.Schema, *, rows: bool) -> None:
        """Have a place for each column of *schema*."""
        self._check_names(schema.names)
        for item in schema:
            kind = plain(item.type, item.name)
            if kind is None:
                (self.untyped if rows else self.undecided)[item.name] = None
            else:
                self.widen(item.name, kind)

    def widen(self, name: str, kind: PgType) -> None:
        """Have the column take values of *kind*; raises DataError where it cannot."""
        present = self.columns.get(name) or (self._there[name].kind if name in self._there else None)
        if name in self._there and self._there[name].generated:
            raise DataError(f"table {self.name}: column {name!r} is computed by the server; leave it out of the data")
        wider = kind if present is None else together(kind, present)
        if wider is None:
            raise DataError(
                f"table {self.name}: column {name!r} is {present}, the data brings {kind}; convert it in the "
                f"transformer (types: {{{name}: {present}}}), or load into another table"
            )
        self.columns[name] = wider

    def take_untyped(self, name: str) -> None:
        """Have the column of nulls in the rows, as text where nothing says what it is."""
        self.columns[name] = self._there[name].kind if name in self._there else TEXT

    def add_optional(self, name: str) -> None:
        """Let a required column be null, unless the columns are frozen."""
        if self.frozen:
            raise DataError(
                f"table {self.name}: column {name!r} is required and the data has rows without it; bring it in the "
                f"source, or let it become optional by loader.schema_contract.columns: evolve"
            )
        self.optional.add(name)

    def loosen(self, rows: pa.Table) -> None:
        """Let required columns be null that *rows* lack or have nulls in, unless the columns are frozen."""
        names = rows.schema.names
        for name in [*self.missing(names), *names]:
            if self.is_required(name) and (name not in names or rows.column(name).null_count):
                self.add_optional(name)

    def missing(self, names: list[str]) -> Iterator[str]:
        """Required columns of the table that rows of the columns *names* lack and nothing fills."""
        for name, column in self._there.items():
            if column.required and not column.filled and name not in names and name not in self.optional:
                yield name

    def is_required(self, name: str) -> bool:
        """Whether the column refuses nulls as things stand."""
        return name in self._there and self._there[name].required and name not in self.optional

    @property
    def changes(self) -> bool:
        """Whether the table must be altered before it takes the rows."""
        there = self._there
        altered = any(name not in there or there[name].kind != kind for name, kind in self.columns.items())
        return bool(self.renames or self.optional or altered or any(name not in there for name in self.untyped))

    def settle(self) -> None:
        """Columns without any value become text; so do those of a mere header where there is no table."""
        self.columns |= {name: TEXT for name in self.untyped if name not in self.columns and name not in self._there}
        if self.found is None and not self.columns:
            self.columns |= dict.fromkeys(self.undecided, TEXT)

    def notes(self) -> Iterator[str]:
        """Sentences on what the load changes in columns that were there."""
        for name in sorted(self.optional):
            yield f"column {name} became optional, as the data has rows without it"
        for old, new in self.renames.items():
            yield f"column {old} is called {new} now"
        for name, kind in self.columns.items():
            if name in self._there and self._there[name].kind != kind:
                yield f"column {name} became {kind}, it was {self._there[name].kind}"

    def statements(self, fresh: Found, table: tuple[str, str]) -> Iterator[str]:
        """What brings the table as it is now, old names and all, to what the plan says."""
        name = quoted(*table)
        due = {old: new for old, new in self.renames.items() if old in fresh.columns}
        for old, new in due.items():
            yield f"ALTER TABLE {name} RENAME COLUMN {quoted(old)} TO {quoted(new)}"
        present = fresh.renamed(due).columns
        actions = [self._action(column, kind, present.get(column)) for column, kind in self.columns.items()]
        actions += [
            f"ALTER COLUMN {quoted(column)} DROP NOT NULL"
            for column in sorted(self.optional)
            if column in present and present[column].required
        ]
        if any(actions):
            yield f"ALTER TABLE {name} {', '.join(filter(None, actions))}"

    def _action(self, column: str, kind: PgType, present: Column | None) -> str:
        if present is None:
            return f"ADD COLUMN {quoted(column)} {kind}"
        limited = present.kind.name in ("character varying", "character")
        wider = TEXT if limited and kind == TEXT else together(kind, present.kind)
        if wider is None:
            raise DataError(f"table {self.name}: column {column!r} became {present.kind} meanwhile; run again")
        return "" if wider == present.kind else f"ALTER COLUMN {quoted(column)} TYPE {wider}"

    def _check_names(self, names: list[str]) -> None:
        for name in names:
            self._check_name(name)
        check_apart(names, self._cases.values(), self.name)
        self._cases |= {name.lower(): name for name in names}

    def _check_name(self, name: str) -> None:
        reason = ""
        if not name or "\0" in name:
            reason = "has no name that SQL could write"
        elif len(name.encode()) > LONGEST_NAME:
            reason = f"has a name longer than {LONGEST_NAME} bytes, which PostgreSQL would cut off"
        elif name in _SYSTEM:
            reason = "is called as PostgreSQL calls one of its own"
        if reason:
            raise DataError(
                f"table {self.name}: column {name!r} {reason}; rename it in the source or by transformer.column_mapping"
            )

"""Staged rows into the table, one per key, as statements of one transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ingestion.errors import DataError
from ingestion.loaders.postgres.copying import Home
from ingestion.loaders.postgres.session import Session, quoted
from ingestion.loaders.postgres.table import Found, find, has_unique_index
from ingestion.loaders.postgres.target import DELETES, SOURCE
from ingestion.loaders.postgres.types import PgType
from ingestion.loaders.tables.options import DELETED_AT
from ingestion.plugins import INGESTED_AT, RUN_ID

if TYPE_CHECKING:
    from ingestion.loaders.postgres import PostgresLoader

__all__ = ["Merge"]

_OURS = (RUN_ID, INGESTED_AT)


def _listed(parts: Iterable[str], between: str = ", ") -> str:
    return between.join(parts)


@dataclass
class Merge:
    """What is staged for one table, and what became of it."""

    session: Session
    options: "PostgresLoader"
    table: tuple[str, str]
    stage: Home
    sources: Sequence[str]
    superseded: int = 0
    changes: dict[str, int] = field(default_factory=dict)
    _indexed: bool = False

    @property
    def idle(self) -> bool:
        """Whether the table is what it was."""
        return not (self._indexed or any(count for name, count in self.changes.items() if name != "unchanged"))

    def single_out(self) -> None:
        """Leave one staged row per key; raises DataError where nothing says which."""
        keys, stage = _listed(map(quoted, self.options.merge_keys)), self.stage.sql
        twice = f"SELECT {keys} FROM {stage} GROUP BY {keys} HAVING count(*) > 1"  # noqa: S608 - quoted names
        if not self.session.rows(f"{twice} LIMIT 1"):
            return
        if not self.options.order_by:
            self._refuse_contradictions(keys, twice)
        # Rows lie in their table in the order in which they were sent: it was empty, and it is ours alone.
        order = _listed([*(f"{self._ordered(name)} DESC NULLS LAST" for name in self.options.order_by), "ctid DESC"])
        self.superseded = self.session.run(
            f"DELETE FROM {stage} WHERE ctid IN (SELECT ctid FROM (SELECT ctid, row_number() OVER "  # noqa: S608
            f"(PARTITION BY {keys} ORDER BY {order}) AS place FROM {stage} WHERE ({keys}) IN ({twice})) q "
            f"WHERE place > 1)"
        )

    def keep_upserts(self) -> None:
        """Leave out the staged rows that delete."""
        self.session.run(f"DELETE FROM {self.stage.sql} WHERE {quoted(DELETES)}")  # noqa: S608 - quoted names

    def land(self, *, first: bool, settles_missing: bool) -> None:
        """Delete, update and insert as the staged rows say; *first* where the table holds none yet.

        With *settles_missing* the table's rows whose keys are not staged go as delete_missing says.
        """
        if first:
            if self.stage.made:
                self._fill()
            return
        if self.stage.made:
            found = find(self.session, *self.table)
            assert found is not None  # noqa: S101 - the table was prepared
            self._ensure_index()
            self._delete()
            self._upsert(found)
            if self.options.delete_missing == "soft":
                self._take_marks_back()
        if settles_missing:
            self._settle_missing()

    def _fill(self) -> None:
        columns = _listed(map(quoted, self._columns))
        inserted = self.session.run(
            f"INSERT INTO {quoted(*self.table)} ({columns}) SELECT {columns} FROM {self.stage.sql} "  # noqa: S608
            f"WHERE NOT {quoted(DELETES)} ORDER BY {_listed(map(quoted, self.options.merge_keys))}"
        )
        self.changes = {"inserted": inserted}
        self._ensure_index()

    @property
    def _columns(self) -> list[str]:
        return [name for name in self.stage.columns if name not in (SOURCE, DELETES)]

    def _matches(self) -> str:
        return _listed((f"t.{quoted(key)} = s.{quoted(key)}" for key in self.options.merge_keys), " AND ")

    def _ordered(self, name: str, row: str = "") -> str:
        """The column as it is compared: texts by their bytes, as everywhere else."""
        kind = self.stage.columns.get(name, PgType("text"))
        collated = ' COLLATE "C"' if kind.name in ("text", "character varying", "character") else ""
        return f"{row}{quoted(name)}{collated}"

    def _older(self, row: str) -> str:
        """Whether the incoming *row* is older than the table's, null being the least."""
        condition = "false"
        for name in reversed(self.options.order_by):
            table, data = self._ordered(name, "t."), self._ordered(name, row)
            greater = f"coalesce({table} > {data}, {table} IS NOT NULL AND {data} IS NULL)"
            condition = f"({greater} OR ({table} IS NOT DISTINCT FROM {data} AND {condition}))"
        return condition

    def _count_older(self, where: str) -> int:
        if not self.options.order_by:
            return 0
        older = self.session.one(
            f"SELECT count(*) FROM {quoted(*self.table)} t JOIN {self.stage.sql} s ON {self._matches()} "  # noqa: S608
            f"WHERE {where} AND {self._older('s.')}"
        )
        return int(older or 0)

    def upserts(self) -> int:
        """How many of the staged rows do not delete."""
        rows = self.session.one(f"SELECT count(*) FROM {self.stage.sql} WHERE NOT {quoted(DELETES)}")  # noqa: S608
        return int(rows or 0)

    def _delete(self) -> None:
        if self.options.delete_column is None:
            return
        deleted = self.session.run(
            f"DELETE FROM {quoted(*self.table)} t USING {self.stage.sql} s "  # noqa: S608 - quoted names
            f"WHERE s.{quoted(DELETES)} AND {self._matches()} AND NOT {self._older('s.')}"
        )
        self.superseded += self._count_older(f"s.{quoted(DELETES)}")
        self.changes["deleted"] = deleted

    def _upsert(self, found: Found) -> None:
        if self.options.on_conflict == "nothing":
            self._insert("DO NOTHING", found)
            return
        keys = set(self.options.merge_keys)
        sets = {name: f"excluded.{quoted(name)}" for name in self._columns if name not in keys}
        for name, column in found.columns.items():
            if name not in sets and name not in keys and not column.filled and not column.generated:
                sets[name] = "NULL"
        if not sets:
            self._insert("DO NOTHING", found)
            return
        changed = [self._differs(name, value, found) for name, value in sets.items() if name not in _OURS]
        condition = f"NOT {self._older('excluded.')} AND ({_listed(changed, ' OR ') or 'false'})"
        action = _listed(f"{quoted(name)} = {value}" for name, value in sets.items())
        conflict = f"({_listed(map(quoted, self.options.merge_keys))})"
        self._insert(f"{conflict} DO UPDATE SET {action} WHERE {condition}", found)

    def _differs(self, name: str, value: str, found: Found) -> str:
        column = f"t.{quoted(name)}"
        if value == "NULL":
            return f"{column} IS NOT NULL"
        if found.columns[name].kind.name == "json":  # has no equality
            return f"{column}::text IS DISTINCT FROM {value}::text"
        return f"{column} IS DISTINCT FROM {value}"

    def _insert(self, on_conflict: str, found: Found) -> None:
        """By key, as the index has them: neighbours share the pages that both read and write."""
        given, known = self.upserts(), self._known() if found.partitioned else 0
        columns = _listed(map(quoted, self._columns))
        fresh = "false" if found.partitioned else "t.xmax = 0"  # a partitioned table has no system columns to show
        ((touched, inserted),) = self.session.rows(
            f"WITH u AS (INSERT INTO {quoted(*self.table)} AS t ({columns}) OVERRIDING SYSTEM VALUE "  # noqa: S608
            f"SELECT {columns} FROM {self.stage.sql} WHERE NOT {quoted(DELETES)} "
            f"ORDER BY {_listed(map(quoted, self.options.merge_keys))} ON CONFLICT {on_conflict} "
            f"RETURNING ({fresh}) AS fresh) SELECT count(*), count(*) FILTER (WHERE fresh) FROM u"
        )
        inserted = given - known if found.partitioned else inserted
        left = given - touched
        older = self._count_older(f"NOT s.{quoted(DELETES)}") if left and "UPDATE" in on_conflict else 0
        self.superseded += older
        self.changes |= {"inserted": inserted, "updated": touched - inserted, "unchanged": left - older}

    def _known(self) -> int:
        """How many of the rows the table has already."""
        rows = self.session.one(
            f"SELECT count(*) FROM {self.stage.sql} s WHERE NOT {quoted(DELETES)} "  # noqa: S608 - quoted names
            f"AND EXISTS (SELECT 1 FROM {quoted(*self.table)} t WHERE {self._matches()})"
        )
        return int(rows or 0)

    def _take_marks_back(self) -> None:
        """Rows whose keys are staged are there again, even where the table's values stay."""
        column = quoted(DELETED_AT)
        ((back, counted),) = self.session.rows(
            f"WITH u AS (UPDATE {quoted(*self.table)} t SET {column} = NULL FROM {self.stage.sql} s "  # noqa: S608
            f"WHERE t.{column} IS NOT NULL AND {self._matches()} RETURNING s.{quoted(DELETES)} AS gone) "
            f"SELECT count(*), count(*) FILTER (WHERE NOT gone) FROM u"
        )
        self.changes["updated"] += back
        if self.options.on_conflict == "nothing":
            self.changes["unchanged"] -= counted

    def _settle_missing(self) -> None:
        there = f"SELECT 1 FROM {self.stage.sql} s WHERE {self._matches()}"  # noqa: S608 - quoted names
        missing = f"NOT EXISTS ({there})" if self.stage.made else "true"
        if self.options.delete_missing == "hard":
            statement = f"DELETE FROM {quoted(*self.table)} t WHERE {missing}"  # noqa: S608 - as above
        else:
            column = quoted(DELETED_AT)
            statement = f"UPDATE {quoted(*self.table)} t SET {column} = now() WHERE {column} IS NULL AND {missing}"  # noqa: S608
        self.changes["missing"] = self.session.run(statement)

    def _ensure_index(self) -> None:
        if has_unique_index(self.session, self.table, self.options.merge_keys):
            return
        keys = _listed(map(quoted, self.options.merge_keys))
        try:
            self.session.run(f"CREATE UNIQUE INDEX ON {quoted(*self.table)} ({keys})")
            self._indexed = True
        except DataError as error:
            if getattr(error.__cause__, "sqlstate", None) != "23505":
                raise
            raise DataError(
                f"table {'.'.join(self.table)} holds several rows with the same {', '.join(self.options.merge_keys)}, "
                f"so rows cannot be merged by that; remove them, or name other merge_keys ({error})"
            ) from error

    def _refuse_contradictions(self, keys: str, twice: str) -> None:
        """A row differs from the one before it with its key although both come from one source."""
        same = [name for name in (*self._columns, DELETES) if name not in _OURS]
        values = _listed(
            f"{quoted(name)}{'::text' if self.stage.columns[name].name == 'json' else ''}" for name in same
        )
        shown = _listed(f"{quoted(key)}::text" for key in self.options.merge_keys)
        found = self.session.rows(
            f"SELECT place, {shown} FROM (SELECT {keys}, {quoted(SOURCE)} AS place, "  # noqa: S608 - quoted names
            f"lag({quoted(SOURCE)}) OVER w AS place_before, "
            f"ROW({values}) AS data, lag(ROW({values})) OVER w AS data_before "
            f"FROM {self.stage.sql} WHERE ({keys}) IN ({twice}) WINDOW w AS (PARTITION BY {keys} ORDER BY ctid)) q "
            f"WHERE place = place_before AND data IS DISTINCT FROM data_before LIMIT 1"
        )
        if found:
            source, *parts = found[0]
            key = ", ".join(f"{name}={value:.60}" for name, value in zip(self.options.merge_keys, parts, strict=True))
            raise DataError(
                f"table {'.'.join(self.table)}: the key {key} comes twice in {self.sources[source]} with different "
                f"values; set loader.order_by to the column that says which row is newer, or leave one of them out by "
                f"transformer.deduplicate"
            )

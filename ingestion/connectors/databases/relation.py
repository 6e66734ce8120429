"""What is read from: a table or a query, and the statements that read it."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import FromClause, Select, TextualSelect, and_, func, literal_column, select, table, text
from sqlalchemy.sql.elements import ColumnElement, TextClause

from ingestion.connectors.databases.columns import Column
from ingestion.connectors.databases.literals import value
from ingestion.errors import ConfigError
from ingestion.model import nearest

if TYPE_CHECKING:
    from sqlalchemy import Dialect

    from ingestion.connectors.databases.connector import DatabaseConnector

__all__ = ["WITNESS", "Relation", "Statement"]

Statement = Select[Any] | TextualSelect

WITNESS = "_ingestion_misfits"
"""The column that tells which values could not be selected."""

_QUERY = "query"
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$", re.DOTALL)
_PARAMETER = re.compile(r"(?<![:\w]):[A-Za-z_]\w*(?!:)")


class Relation:
    """The table or query that *options* name, with its condition; names are quoted by *dialect*."""

    def __init__(self, options: "DatabaseConnector", dialect: "Dialect") -> None:
        self.options = options
        self.dialect = dialect
        self.alone: Sequence[str] = ()  # the columns of a query that cannot stand within another statement

    @property
    def name(self) -> str:
        """How people are told of it."""
        if self.options.table is None:
            return "the query"
        return ".".join(part for part in (self.options.schema, self.options.table) if part)

    @property
    def source(self) -> FromClause:
        """What follows FROM."""
        if self.options.table is not None:
            return table(self.options.table, schema=self.options.schema)
        return self._query.columns().subquery(_QUERY)

    @property
    def _query(self) -> TextClause:
        query = str(self.options.query).rstrip().rstrip(";")
        # A comment at the end of the query must not hide what follows it.
        return _bound(f"{query}\n", self.options.query_params, "query_params")

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """What where_clause asks for."""
        if self.options.where_clause is None:
            return []
        # In parentheses, as it may hold an OR; the line's end ends a comment.
        clause = _bound(f"({self.options.where_clause}\n)", self.options.where_params, "where_params")
        return [clause]  # type: ignore[list-item]  # a condition in words

    def quoted(self, name: str) -> str:
        """The name of a column as SQL writes it."""
        return self._single(self.dialect.identifier_preparer.quote_identifier(name))

    def column(self, name: str) -> ColumnElement[Any]:
        """A column by its name, for conditions and orders; never what is selected under the same name."""
        return literal_column(self.qualified(name))

    def qualified(self, name: str) -> str:
        """The name of a column behind that of the table."""
        source = self.dialect.identifier_preparer.quote(self.options.table or _QUERY)
        return f"{self._single(source)}.{self.quoted(name)}"

    def _single(self, quoted: str) -> str:
        """A name whose % are not doubled yet: the statement that it becomes part of has them doubled as a whole."""
        doubled = self.dialect.identifier_preparer._double_percents  # noqa: SLF001 - told nowhere else
        return quoted.replace("%%", "%") if doubled else quoted

    def everything(self, names: Sequence[str] = ()) -> Select[Any]:
        """All columns, or those of *names*, as they are, and no rows: for what a driver tells of them."""
        columns: Sequence[ColumnElement[Any]] = [
            literal_column(sql) for sql in [self.quoted(name) for name in names] or "*"
        ]
        return select(*columns).select_from(self.source).where(literal_column("1") == literal_column("0"))

    def rows(
        self,
        columns: Sequence[Column],
        conditions: Sequence[ColumnElement[bool]] = (),
        *,
        fast: bool = True,
        order: Sequence[ColumnElement[Any]] = (),
        witness: str | None = None,
    ) -> Statement:
        """The rows that meet all conditions, in *order*; *witness* is one more expression, under the name WITNESS."""
        if self.alone:
            return self._by_itself(columns, [*self.conditions, *conditions])
        expressions = [(item.name, self._expression(item, fast=fast)) for item in columns]
        if witness is not None:
            expressions.append((WITNESS, witness))
        selected: list[ColumnElement[Any]] = [literal_column(sql).label(name) for name, sql in expressions]
        return self._where(select(*selected).select_from(self.source), conditions).order_by(*order)

    def whole(self) -> TextualSelect:
        """The query as it stands."""
        return self._query.columns()

    def _by_itself(self, columns: Sequence[Column], conditions: Sequence[ColumnElement[bool]]) -> TextualSelect:
        if conditions or [column.name for column in columns] != list(self.alone):
            raise ConfigError(
                "source.query has WITH or ORDER BY, which this database takes in a whole statement only: make a view "
                "of it, or leave out columns, exclude_columns, where_clause, incremental and num_partitions"
            )
        if converted := next((column for column in columns if column.fast != "{}" or column.fits), None):
            raise ConfigError(
                f"source.query has WITH or ORDER BY, so that {converted.name}, {converted.declared}, can only be "
                f"converted within it; write {converted.fast.replace('{}', converted.name)} AS {converted.name} there"
            )
        return self.whole()

    def count(self, conditions: Sequence[ColumnElement[bool]] = ()) -> Select[Any]:
        """How many rows meet all conditions."""
        return self._where(select(func.count()).select_from(self.source), conditions)

    def value(self, expression: ColumnElement[Any], conditions: Sequence[ColumnElement[bool]] = ()) -> Select[Any]:
        """One value over the rows that meet all conditions, such as a maximum."""
        return self._where(select(expression).select_from(self.source), conditions)

    def _where(self, statement: Select[Any], conditions: Sequence[ColumnElement[bool]]) -> Select[Any]:
        found = [*self.conditions, *conditions]
        return statement.where(and_(*found)) if found else statement

    def _expression(self, item: Column, *, fast: bool) -> str:
        quoted = self.quoted(item.name)
        value = (item.fast if fast else item.plain).replace("{}", quoted)
        if not item.fits:
            return value
        return f"CASE WHEN {item.fits.replace('{}', quoted)} THEN {value} END"


def _bound(sql: str, values: dict[str, Any], option: str) -> TextClause:
    """*sql* with its parameters; text of a job that gives none is SQL as it stands, colons included."""
    if not values:
        _refuse_parameter(sql, option)
        return text(sql.replace(":", "\\:"))
    clause = text(sql)
    known = set(clause._bindparams)  # noqa: SLF001 - SQLAlchemy tells the names nowhere else
    if unknown := sorted(set(values) - known):
        near = f"; {nearest(f':{unknown[0]}', [f':{name}' for name in sorted(known)], 'there are')}" if known else ""
        raise ConfigError(f"source.{option} has {unknown[0]!r}, which stands nowhere as :{unknown[0]}{near}")
    if missing := sorted(known - set(values)):
        raise ConfigError(f"source.{option} lacks a value for :{missing[0]}")
    return clause.bindparams(*(value(item, name) for name, item in values.items()))


def _refuse_parameter(sql: str, option: str) -> None:
    if "\\" in sql:  # with which some servers escape quotes, and others do not
        return
    if found := _PARAMETER.search(_QUOTED.sub("''", sql)):
        raise ConfigError(f"source.{option} lacks a value for {found[0]}")

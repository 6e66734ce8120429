"""The rule that values occur in a column of a file."""

from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import ConfigError
from ingestion.keyed.digests import is_keyable
from ingestion.model import Model, nearest
from ingestion.parsing import cast_text, type_name
from ingestion.settings import current
from ingestion.transformers.validation.lookup import Lookup
from ingestion.transformers.validation.shape import ColumnJudge, ColumnRule, Site, shown

__all__ = ["File", "References"]


class File(Model):
    """A column of a file whose values are fine."""

    file: str
    """A CSV file (UTF-8, with commas and a header) or a Parquet file; relative paths start at the folder that holds
    config/."""
    column: str
    """The column of the file."""


class References(ColumnRule):
    """Asks for a value that a file knows."""

    rule: Literal["references"] = "references"
    """The value occurs in a column of a file, which is read when a run begins and held in memory."""
    references: File
    """The file and its column, as {file: ..., column: ...}."""

    @property
    def demand(self) -> str:
        """The file and its column."""
        return f"is in column {self.references.column} of {self.references.file}"

    def column_judge(self, column: str, site: Site) -> ColumnJudge:
        """What looks the values up; reads the file."""
        return _Lookup(column, site, self)


class _Lookup(ColumnJudge):
    def __init__(self, column: str, site: Site, rule: References) -> None:
        super().__init__(column, site)
        self._rule = rule
        self._known = _read(rule.references, site)
        self._fine = Lookup(self._known)

    def meet(self, dtype: pa.DataType) -> None:
        fine = _in_type(self._known, dtype)
        if fine is None:
            needed = f"a reference compares plain values, such as {type_name(self._known.type)}"
            raise self.unfit(dtype, needed, "take the rule out, or convert the column")
        self._fine = Lookup(fine)

    def kept(self, values: pa.Array) -> pa.BooleanArray:
        return self._fine.has(values)

    def complaints(self, values: pa.Array) -> pa.Array:
        return pc.binary_join_element_wise("'", shown(values), f"' {self._rule.demand}".replace(" is ", " is not "), "")


def _read(where: File, site: Site) -> pa.Array:
    """The different values of the column; raises ConfigError where there is no such file or column."""
    place = f"{site.key}.references"
    if "://" in where.file:
        raise ConfigError(f"{place}.file: {where.file} is no local file; keep a copy of it beside config/")
    path = Path(current().absolute(where.file))
    try:
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
        names = _names(path, is_parquet=is_parquet)
        if where.column not in names:
            hint = nearest(where.column, names, "it has")
            raise ConfigError(f"{place}.column: {path} has no column {where.column!r}; {hint}")
        values = _column(path, where.column, is_parquet=is_parquet)
        if not is_keyable(values.type):
            raise ConfigError(
                f"{place}.column: column {where.column!r} of {path} holds {type_name(values.type)}, which is no plain "
                f"value; name another column"
            )
        return pc.drop_null(pc.unique(values))
    except OSError as error:
        raise ConfigError(f"{place}.file: {path} cannot be read ({error.strerror or error}); check the path") from error
    except pa.ArrowException as error:
        raise ConfigError(f"{place}.file: {path} is neither a CSV file nor a Parquet file: {error}") from error


def _names(path: Path, *, is_parquet: bool) -> list[str]:
    if is_parquet:
        import pyarrow.parquet as pq

        return list(pq.read_schema(path).names)
    import pyarrow.csv as pa_csv

    with pa_csv.open_csv(path) as reader:
        return list(reader.schema.names)


def _column(path: Path, column: str, *, is_parquet: bool) -> pa.ChunkedArray:
    if is_parquet:
        import pyarrow.parquet as pq

        return pq.read_table(path, columns=[column]).column(0)
    import pyarrow.csv as pa_csv

    options = pa_csv.ConvertOptions(
        include_columns=[column], column_types={column: pa.string()}, null_values=[""], strings_can_be_null=True
    )
    return pa_csv.read_csv(path, convert_options=options).column(0)


def _in_type(known: pa.Array, dtype: pa.DataType) -> pa.Array | None:
    """Those of the *known* values that the type can hold; None where nothing can be compared."""
    if known.type == dtype:
        return known
    try:
        texts = pc.cast(known, pa.string())
        readable = pa.int64() if pa.types.is_integer(dtype) else dtype
        values, _ = cast_text(texts, readable, timezone="UTC")
        fitting = pc.drop_null(values)
        return pc.cast(fitting, dtype)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, ConfigError):
        return None

"""What a table is before a load: features that forbid it, partitions, columns and properties that it lacks."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.fs as pafs

from ingestion.errors import ConfigError
from ingestion.loaders.delta.columns import delta_schema
from ingestion.loaders.delta.commit import properties_of
from ingestion.loaders.delta.place import Place
from ingestion.loaders.delta.plan import Plan

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from ingestion.loaders.delta import DeltaLoader

__all__ = ["COLUMNS_FOR", "check_editable", "check_layout", "with_columns", "with_features", "with_properties"]

COLUMNS_FOR = "ingestion.columns-for"
"""The load for which a version of its own added columns."""

_OWN = re.compile(r"[0-9a-f]{32,}-.*\.zstd\.parquet")

# Written by nobody here, or looked after by nobody here: a commit that ignores one leaves a table that others misread.
_UNKNOWN = {
    "deletionVectors": "deletion vectors",
    "columnMapping": "column mapping",
    "identityColumns": "identity columns",
    "generatedColumns": "generated columns",
    "checkConstraints": "check constraints",
    "rowTracking": "row tracking",
    "typeWidening": "type widening",
    "icebergCompatV1": "Iceberg compatibility",
    "icebergCompatV2": "Iceberg compatibility",
    "clustering": "clustering",
    "variantType": "the type variant",
    "inCommitTimestamp": "timestamps in commits",
    "catalogManaged": "commits by a catalog",
}


def check_layout(place: Place, table: "DeltaTable | None", options: "DeltaLoader", name: str) -> None:
    """Raise ConfigError where a load of *options* could not go into *table* and leave it whole."""
    if table is None:
        _check_empty(place, name)
        _check_scope(options.partition_by, options, name)
        return
    _check_features(table, name)
    if options.write_mode != "append":
        doing = f"write_mode {options.write_mode} takes rows out"
        check_editable(table, name, doing, "set write_mode: append")
    there = list(table.metadata().partition_columns)
    if options.partition_by and there != list(options.partition_by):
        raise ConfigError(
            f"table {name} is partitioned by {', '.join(there) or 'nothing'}, loader.partition_by says "
            f"{', '.join(options.partition_by)}; a Delta table keeps its partitions: say the same, or load into "
            f"another table"
        )
    _check_scope(there, options, name)


def _check_scope(partitions: Sequence[str], options: "DeltaLoader", name: str) -> None:
    if options.overwrite_scope == "partitions" and not partitions:
        raise ConfigError(
            f"loader.overwrite_scope: table {name} is not partitioned, so there are no partitions to replace; "
            f"set loader.partition_by for a new table, or overwrite_scope: table"
        )


def _check_empty(place: Place, name: str) -> None:
    """A folder of files without a log is not ours to make a table of; leftovers of a run that was killed are."""
    found = place.files.get_file_info(pafs.FileSelector("", allow_not_found=True))
    partitions = [info.path for info in found if info.type == pafs.FileType.Directory and "=" in info.base_name]
    for folder in partitions:
        found += place.files.get_file_info(pafs.FileSelector(folder, recursive=True))
    strangers = [info.base_name for info in found if info.extension == "parquet" and not _OWN.match(info.base_name)]
    if strangers:
        raise ConfigError(
            f"table {name}: {place.uri} holds files such as {strangers[0]} and is no Delta table; "
            f"convert it with the means of Delta, or choose another loader.location, database or table"
        )


def _check_features(table: "DeltaTable", name: str) -> None:
    configuration = table.metadata().configuration
    found = [words for feature, words in _UNKNOWN.items() if _has(table, feature)]
    found += ["check constraints" for key in configuration if key.startswith("delta.constraints.")][:1]
    if configuration.get("delta.columnMapping.mode", "none") != "none":
        found.append("column mapping")
    for item in table.schema().fields:
        keys = {"delta.invariants": "invariants", "delta.generationExpression": "generated columns"}
        found += [words for key, words in keys.items() if key in item.metadata]
    if found:
        raise ConfigError(
            f"table {name} uses {', '.join(dict.fromkeys(found))}, which this loader cannot keep up; "
            f"turn it off, or load into another table"
        )


def _has(table: "DeltaTable", feature: str) -> bool:
    return feature in (table.protocol().writer_features or ())


def check_editable(table: "DeltaTable", name: str, doing: str, instead: str) -> None:
    """Raise ConfigError where files of *table* may not be replaced, as *doing* would; *instead* is what to do."""
    configuration = table.metadata().configuration
    for key, why in (
        ("delta.appendOnly", "rows may only be added to it"),
        ("delta.enableChangeDataFeed", "each change would have to be written down for its change data feed"),
    ):
        if configuration.get(key, "false").lower() == "true":
            raise ConfigError(
                f"table {name} has {key}, so that {why}, and {doing}; {instead}, unset the property, or load into "
                f"another table"
            )


def with_columns(table: "DeltaTable", plan: Plan, load_id: str) -> "DeltaTable":
    """The table with the columns that *plan* adds, which is a version of its own."""
    if not plan.added:
        return table
    with_features(table, plan, load_id)
    columns = pa.schema([(name, plan.columns[name]) for name in plan.added])
    fields = delta_schema(columns, None).fields
    table.alter.add_columns(fields, commit_properties=properties_of({COLUMNS_FOR: load_id}, None))
    return table


def with_features(table: "DeltaTable", plan: Plan, load_id: str) -> "DeltaTable":
    """The table with the feature that times without a zone need, which is a version of its own."""
    from deltalake import TableFeatures

    zoneless = any("timestamp[us]" in str(plan.columns[name]) for name in plan.added)
    if zoneless and not _has(table, "timestampNtz"):
        table.alter.add_feature(
            TableFeatures.TimestampWithoutTimezone,
            allow_protocol_versions_increase=True,
            commit_properties=properties_of({COLUMNS_FOR: load_id}, None),
        )
    return table


def with_properties(table: "DeltaTable", wanted: Mapping[str, str]) -> "DeltaTable":
    """The table with these properties, which is a version of its own where it has them otherwise."""
    there = table.metadata().configuration
    news = {key: value for key, value in wanted.items() if there.get(key) != value}
    if news:
        table.alter.set_table_properties(news, raise_if_not_exists=False, commit_properties=properties_of({}, None))
    return table

"""The steps of upkeep, in the order in which each makes the next worth more."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from ingestion.loaders.iceberg.catalog import find_table
from ingestion.loaders.iceberg.history import in_summary
from ingestion.loaders.iceberg.quarantine import beside
from ingestion.loaders.iceberg.sorting import fields_of
from ingestion.loaders.iceberg.upkeep.compaction import Compaction
from ingestion.loaders.iceberg.upkeep.expiry import Expiry
from ingestion.loaders.iceberg.upkeep.landing import Moved
from ingestion.loaders.iceberg.upkeep.manifests import merge_manifests
from ingestion.loaders.iceberg.upkeep.orphans import remove_orphans
from ingestion.loaders.iceberg.upkeep.quarantined import remove_replayed, remove_strays

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

    from ingestion.loaders.iceberg import IcebergLoader
    from ingestion.loaders.iceberg.upkeep.options import UpkeepOptions

    Step = Callable[[Catalog, tuple[str, ...], UpkeepOptions], Counter[str]]

__all__ = ["look_after"]

_MOST_COMMITS = 100
_PATIENCE = 3  # plans that a load may spoil; a table that changes faster is compacted another time


def look_after(catalog: "Catalog", identifier: tuple[str, ...], options: "IcebergLoader") -> dict[str, int]:
    """Look after a table and its quarantine; says what was done, by name, and nothing of what was not due.

    A step that fails keeps no other one from its work; the first failure is raised once all were tried.
    """
    expiries = {identifier: _expire_settled, beside(identifier): _expire}
    steps = chain(*(_steps(catalog, name, options, expiry) for name, expiry in expiries.items()))
    done, failures = Counter[str](), list[Exception]()
    for step in steps:
        try:
            done.update(step())
        except Exception as error:  # noqa: BLE001, PERF203 - whatever it was is raised below, steps are few
            failures.append(error)
    if failures:
        raise failures[0]
    return {name: count for name, count in done.items() if count}


def _steps(
    catalog: "Catalog", identifier: tuple[str, ...], options: "IcebergLoader", expiry: "Step"
) -> "Iterator[Callable[[], Counter[str]]]":
    table = find_table(catalog, identifier)
    if table is None:
        return
    care = options.maintenance
    if care.compact and not _has_equality_deletes(table):
        yield partial(_compact, catalog, identifier, options, table)
    yield lambda: merge_manifests(catalog, identifier, catalog.load_table(identifier), care.keep_snapshots)
    if table.metadata.properties.get("gc.enabled", "true").lower() != "false":  # its files may be another table's too
        yield partial(expiry, catalog, identifier, care)
        yield partial(remove_orphans, catalog, identifier, care.orphans_older_than_hours)


def _expire(catalog: "Catalog", identifier: tuple[str, ...], care: "UpkeepOptions") -> Counter[str]:
    return Expiry(catalog, identifier, care).run()


def _expire_settled(catalog: "Catalog", identifier: tuple[str, ...], care: "UpkeepOptions") -> Counter[str]:
    """Its history tells which quarantined rows count: what that is to tell has been done before it is cut."""
    done, since = remove_strays(catalog, identifier)
    expiry = Expiry(catalog, identifier, care, since)
    due = expiry.due()
    done.update(remove_replayed(catalog, identifier, due))
    done.update(expiry.run(due))
    return done


def _compact(catalog: "Catalog", identifier: tuple[str, ...], options: "IcebergLoader", table: "Table") -> Counter[str]:
    done, spoilt = Counter[str](), 0
    for _ in range(_MOST_COMMITS):
        compaction = Compaction(catalog, identifier, _layout(options, table), table)
        if not compaction.is_due:
            break
        try:
            done.update(compaction.run())
        except Moved:
            spoilt += 1
            if spoilt == _PATIENCE:
                break
        table = catalog.load_table(identifier)
    return done


def _layout(options: "IcebergLoader", table: "Table") -> "IcebergLoader":
    """How files are to be, and nothing that would change the table: its order stays, whatever the job's may be."""
    order = fields_of(table.sort_order(), table.schema())
    return type(options).model_validate(
        {
            "table": table.name()[-1],
            "target_file_size": options.target_file_size,
            **({"sort_by": order} if order else {}),
        }
    )


def _has_equality_deletes(table: "Table") -> bool:
    """Those of another engine, which alone can follow them."""
    snapshot = table.current_snapshot()
    return snapshot is not None and in_summary(snapshot, "total-equality-deletes") not in (None, "0")

"""Dead rows and old cursors of one table."""

from typing import TYPE_CHECKING

from ingestion.loaders.postgres.history import LOADS, History
from ingestion.loaders.postgres.quarantined import SUFFIX
from ingestion.loaders.postgres.session import CommitUnclear, Session, opened, quoted
from ingestion.loaders.postgres.table import find

if TYPE_CHECKING:
    from ingestion.loaders.postgres import PostgresLoader

__all__ = ["maintain"]

_KEEP = 100  # cursors that are tables, per job
_DEAD = """
SELECT coalesce(sum(pg_stat_get_dead_tuples(c.oid)), 0)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2"""


def maintain(options: "PostgresLoader", job: str) -> dict[str, int]:
    """VACUUM and ANALYZE table and quarantine where they have dead rows, and drop all but the newest large cursors."""
    table = options.identifier(job)
    what = f"table {'.'.join(table)}"
    done: dict[str, int] = {}
    with opened(options, what) as session:
        if find(session, *table) is None:
            return done
        dropped = _drop_cursors(session, table)
        if dropped:
            done["cursors dropped"] = dropped
    with opened(options, what, autocommit=True) as session:
        dead = sum(_vacuumed(session, table[0], name) for name in (table[1], f"{table[1]}{SUFFIX}", LOADS))
        if dead:
            done["dead rows removed"] = dead
    return done


def _drop_cursors(session: Session, table: tuple[str, str]) -> int:
    history = History(session, table)
    if not history.exists():
        return 0
    dropped = history.drop_ledgers(_KEEP)
    try:
        session.commit()
    except CommitUnclear:  # the next upkeep does it again
        return 0
    return dropped


def _vacuumed(session: Session, schema: str, table: str) -> int:
    dead = int(session.one(_DEAD, schema, table) or 0)
    if dead:
        session.run(f"VACUUM (ANALYZE) {quoted(schema, table)}")
    return dead - int(session.one(_DEAD, schema, table) or 0) if dead else 0

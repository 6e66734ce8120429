"""The catalog: opened from pyiceberg's own properties, as a job and the settings name them."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingestion import settings
from ingestion.errors import ConfigError
from ingestion.loaders.iceberg.failures import first_line, translated

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

__all__ = ["asked", "catalog_properties", "find_table", "make_namespace", "opened", "translated"]

_LOCK_WAIT_SECONDS = 30  # how long SQLite waits for another writer
_MAKES_TABLES = "init_catalog_tables"  # of pyiceberg
_CONNECT_SECONDS = "30"  # how long a PostgreSQL server may keep a new connection waiting
_GLUE_TRIES = 3  # by request; a commit is looked up and tried again, so ten of them each would take hours
_EXTRAS = {"glue": "ingestion[aws]", "dynamodb": "ingestion[aws]"}  # of others pyiceberg names its own
_REGION_OF_OTHERS = "us-east-1"


def catalog_properties(given: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Name and properties of the catalog that a job means; what it leaves out comes from the settings."""
    own = settings.current()
    options = {key: _text(value) for key, value in given.items() if value is not None}
    name = options.pop("name", own.iceberg_catalog_name)
    if not {"type", "uri", "py-catalog-impl"} & options.keys():
        options = {**_settings(own), **options}
    kind = options.get("type") or ("sql" if options.get("uri", "").startswith(("sqlite", "postgres")) else "")
    if kind == "sql":
        options = {"uri": own.iceberg_catalog_uri, "warehouse": own.iceberg_warehouse_location, **options}
    if kind != "rest" and "warehouse" in options:
        options["warehouse"] = own.absolute(options["warehouse"])
    if "s3.endpoint" in options:  # otherwise the bucket's region is asked of AWS, which knows nothing of it
        options.setdefault("s3.region", _REGION_OF_OTHERS)
    return name, options


def _settings(own: settings.Settings) -> dict[str, str]:
    """The catalog of jobs that name none."""
    kind, warehouse = own.iceberg_catalog_type, own.iceberg_warehouse_location
    addressed = {"uri": own.iceberg_catalog_uri} if kind in ("sql", "rest", "hive") else {}
    # A REST catalog's warehouse is a name of its own unless it is a URL; a folder of this machine means nothing to it.
    placed = {"warehouse": warehouse} if kind != "rest" or "://" in warehouse else {}
    return {"type": kind, **addressed, **placed, **own.iceberg_catalog_properties}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@contextmanager
def asked(given: Mapping[str, Any], identifier: tuple[str, ...]) -> "Iterator[Table | None]":
    """The table, None where there is none; nothing is created, so that there may be no catalog either.

    Raises ConfigError or TransientError if the catalog cannot be asked.
    """
    name, options = catalog_properties(given)
    file = _sqlite_file(options.get("uri", ""))
    if file and not Path(file).exists():
        yield None
        return
    with opened(given, only_asking=True) as catalog:
        with translated(f"catalog {name!r}"):
            there = _has_tables(catalog)
        with translated(f"table {'.'.join(identifier)}"):
            yield find_table(catalog, identifier) if there else None


def _has_tables(catalog: "Catalog") -> bool:
    """Whether a SQL catalog has tables of its own, which come into being with the first load."""
    from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
    from sqlalchemy import inspect

    return not isinstance(catalog, SqlCatalog) or inspect(catalog.engine).has_table(IcebergTables.__tablename__)


def _sqlite_file(uri: str) -> str:
    return uri.partition(":///")[2].partition("?")[0] if uri.startswith("sqlite") else ""


@contextmanager
def opened(given: Mapping[str, Any], *, only_asking: bool = False) -> "Iterator[Catalog]":
    """The catalog, closed again at the end; raises ConfigError or TransientError if it cannot be opened.

    A SQL catalog gets its own tables unless it is *only_asking*.
    """
    from pyiceberg.exceptions import NotInstalledError

    name, options = catalog_properties(given)
    if only_asking:
        options[_MAKES_TABLES] = "false"
    with translated(f"catalog {name!r}"):
        try:
            catalog = _open(name, options)
        except NotInstalledError as error:
            extra = _EXTRAS.get(options.get("type", "").lower())
            cure = f"type {options['type']} needs pip install '{extra}'" if extra else first_line(error)
            raise ConfigError(f"catalog {name!r}: its driver is not installed; {cure}") from error
        except ValueError as error:
            raise ConfigError(
                f"catalog {name!r}: {first_line(error)}; check loader.catalog or the ICEBERG_* settings"
            ) from error
    with closing(catalog):
        yield catalog


def _open(name: str, options: dict[str, str]) -> "Catalog":
    from pyiceberg.catalog import CatalogType, load_catalog
    from sqlalchemy.exc import OperationalError

    kinds = [kind.value for kind in CatalogType]
    if options.get("type") and options["type"].lower() not in kinds:
        raise ValueError(f"unknown catalog type {options['type']!r}, not one of {', '.join(kinds)}")
    uri = options.get("uri", "")
    if uri.startswith("postgres"):
        return _with_tables(
            load_catalog(name, **{**options, "uri": _postgres_address(uri), _MAKES_TABLES: "false"}), options
        )
    if options.get("type") == "glue":
        tries: Any = int(options.get("glue.max-retries", _GLUE_TRIES))  # pyiceberg hands it on unread, as a number
        return load_catalog(name, **{**options, "glue.max-retries": tries})
    if not uri.startswith("sqlite"):
        return load_catalog(name, **options)
    file = _sqlite_file(uri)
    if file:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    if "?" not in uri:
        options = {**options, "uri": f"{uri}?timeout={_LOCK_WAIT_SECONDS}"}
    try:
        return load_catalog(name, **options)
    except OperationalError as error:
        if "already exists" not in str(error):
            raise
        return load_catalog(name, **options)  # another process created the catalog's tables in the same moment


def _with_tables(catalog: "Catalog", options: Mapping[str, str]) -> "Catalog":
    """The catalog of a server with its own tables, which another process may create in the same moment."""
    from pyiceberg.catalog.sql import SqlCatalog
    from sqlalchemy.exc import DBAPIError

    wanted = options.get(_MAKES_TABLES, "true").lower() == "true"
    if not (wanted and isinstance(catalog, SqlCatalog)) or _has_tables(catalog):
        return catalog
    try:
        catalog.create_tables()
    except DBAPIError:
        if not _has_tables(catalog):
            catalog.close()
            raise
    return catalog


def _postgres_address(uri: str) -> str:
    """*uri* as SQLAlchemy takes it, for the driver that is installed unless it names one."""
    scheme, _, rest = uri.partition("://")
    if scheme in ("postgres", "postgresql"):
        driver = "psycopg2" if find_spec("psycopg2") and not find_spec("psycopg") else "psycopg"
        uri = f"postgresql+{driver}://{rest}"
    if "connect_timeout=" not in uri:
        uri += f"{'&' if '?' in uri else '?'}connect_timeout={_CONNECT_SECONDS}"
    return uri


def find_table(catalog: "Catalog", identifier: tuple[str, ...]) -> "Table | None":
    """The table as the catalog knows it now; None where there is none."""
    from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

    try:
        return catalog.load_table(identifier)
    except (NoSuchTableError, NoSuchNamespaceError):
        return None


def make_namespace(catalog: "Catalog", namespace: tuple[str, ...]) -> None:
    """Create *namespace* unless it exists or another process creates it in the same moment."""
    if catalog.namespace_exists(namespace):
        return
    try:
        catalog.create_namespace(namespace)
    except Exception:  # REST catalogs answer what their database says of two at once
        if not catalog.namespace_exists(namespace):
            raise

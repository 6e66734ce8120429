"""The catalog: opened from pyiceberg's own properties, with its failures named by their remedy."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ingestion import settings
from ingestion.errors import ConfigError, IngestionError, TransientError
from ingestion.secrets import redact

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table
    from requests import RequestException

__all__ = ["catalog_properties", "find_table", "make_namespace", "opened", "translated"]

_LOCK_WAIT_SECONDS = 30  # how long SQLite waits for another writer


def catalog_properties(given: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Name and properties of the catalog that a job means; what it leaves out comes from the settings."""
    own = settings.current()
    options = {key: _text(value) for key, value in given.items() if value is not None}
    name = options.pop("name", own.iceberg_catalog_name)
    if not {"type", "uri", "py-catalog-impl"} & options.keys():
        options = {**_settings(own), **options}
    kind = options.get("type") or ("sql" if options.get("uri", "").startswith(("sqlite", "postgresql")) else "")
    if kind == "sql":
        options = {"uri": own.iceberg_catalog_uri, "warehouse": own.iceberg_warehouse_location, **options}
    if kind != "rest" and "warehouse" in options:
        options["warehouse"] = own.absolute(options["warehouse"])
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
def opened(given: Mapping[str, Any]) -> "Iterator[Catalog]":
    """The catalog, closed again at the end; raises ConfigError or TransientError if it cannot be opened."""
    name, options = catalog_properties(given)
    with translated(f"catalog {name!r}"):
        try:
            catalog = _open(name, options)
        except ValueError as error:
            raise ConfigError(
                f"catalog {name!r}: {_first_line(error)}; check loader.catalog or the ICEBERG_* settings"
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
    if not uri.startswith("sqlite"):
        return load_catalog(name, **options)
    file = uri.partition(":///")[2].partition("?")[0]
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


def find_table(catalog: "Catalog", identifier: tuple[str, ...]) -> "Table | None":
    """The table as the catalog knows it now; None where there is none."""
    from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

    try:
        return catalog.load_table(identifier)
    except (NoSuchTableError, NoSuchNamespaceError):
        return None


def make_namespace(catalog: "Catalog", namespace: tuple[str, ...]) -> None:
    """Create *namespace* unless it exists or another process creates it in the same moment."""
    from pyiceberg.exceptions import NamespaceAlreadyExistsError
    from sqlalchemy.exc import IntegrityError

    if catalog.namespace_exists(namespace):
        return
    with suppress(NamespaceAlreadyExistsError, IntegrityError):
        catalog.create_namespace(namespace)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise ConfigError or TransientError, without secrets, in place of what drivers and pyiceberg raise."""
    try:
        yield
    except IngestionError:
        raise
    except ImportError as error:
        raise ConfigError(
            f"{what} needs a driver that is not installed ({error}); install the extra it belongs to"
        ) from error
    except PermissionError as error:
        raise ConfigError(f"{what}: no permission ({_first_line(error)}); grant it or choose another place") from error
    except OSError as error:
        raise TransientError(_os_sentence(what, error)) from error
    except Exception as error:
        kind = _kind(error)
        if kind is None:
            raise
        raise kind(f"{what}: {type(error).__name__}: {_first_line(error)}; {_ADVICE[kind]}") from error


_ADVICE: dict[type[IngestionError], str] = {
    ConfigError: "check loader.catalog or the ICEBERG_* settings",
    TransientError: "check that the catalog is up and reachable, then run again",
}


def _os_sentence(what: str, error: OSError) -> str:
    import errno

    from requests import exceptions as http

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{what}: no space left ({_first_line(error)}); free some and run again, nothing was loaded"
    if isinstance(error, http.ConnectionError | http.Timeout) and not isinstance(error, http.SSLError):
        return f"{what}: {_address(error)} does not answer; {_ADVICE[TransientError]}"
    return f"{what}: {_first_line(error)}; check that the storage is reachable, then run again"


def _address(error: "RequestException") -> str:
    """The URL that was asked, without user, password and query."""
    parts = urlsplit(str(error.request.url) if error.request is not None else "")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else "the server"


def _first_line(error: BaseException) -> str:
    lines = redact(str(error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _kind(error: Exception) -> type[IngestionError] | None:
    """Which of our errors a foreign one is; None for what looks like a bug."""
    from pyiceberg import exceptions as iceberg
    from sqlalchemy import exc as sql

    config = (
        iceberg.NoSuchPropertyException,
        iceberg.NotInstalledError,
        iceberg.AuthorizationExpiredError,
        iceberg.UnauthorizedError,
        iceberg.ForbiddenError,
        iceberg.BadRequestError,
        sql.ArgumentError,
        sql.ProgrammingError,
    )
    transient = (
        iceberg.CommitFailedException,
        iceberg.CommitStateUnknownException,
        iceberg.ServerError,
        iceberg.ServiceUnavailableError,
        iceberg.RESTError,
        sql.SQLAlchemyError,
    )
    return ConfigError if isinstance(error, config) else TransientError if isinstance(error, transient) else None

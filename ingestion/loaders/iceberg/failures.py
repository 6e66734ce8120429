"""What catalogs, object stores and their drivers raise, told by its remedy."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ingestion.errors import ConfigError, IngestionError, TransientError
from ingestion.loaders.tables.failures import first_line, translating

if TYPE_CHECKING:
    from requests import RequestException

__all__ = ["first_line", "refused", "translated"]

_ADVICE: dict[type[IngestionError], str] = {
    ConfigError: "check loader.catalog or the ICEBERG_* settings",
    TransientError: "check that the catalog is up and reachable, then run again",
}
_REFUSED_LOGIN = (  # a server has no code for these when it ends the connection
    "authentication failed",
    "no password supplied",
    "does not exist",
    "permission denied",
    "no pg_hba.conf entry",
)
_NO_BUCKET = ("NO_SUCH_BUCKET", "bucket does not exist")
_NO_ENTRY = (
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY_ID",
    "SIGNATURE_DOES_NOT_MATCH",
    "INVALID_SIGNATURE",
    "EXPIRED_TOKEN",
    "INVALID_CLIENT_TOKEN_ID",
    "HTTP status 401",
    "HTTP status 403",
)
_AWS_CONFIG = {
    "NoRegionError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "ParamValidationError",
    "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
}
_AWS_REFUSALS = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "UnrecognizedClientException",
}


def translated(what: str) -> AbstractContextManager[None]:
    """Raise ConfigError or TransientError, without secrets, in place of what drivers and pyiceberg raise."""
    return translating(what, "install the extra it belongs to", _of_storage, _of_driver)


def refused(error: Exception) -> bool:
    """Whether a request that met *error* was turned away for who sent it, so that it cannot land."""
    from pyiceberg import exceptions as iceberg
    from sqlalchemy import exc as sql

    if isinstance(error, OSError):
        return any(words in str(error) for words in (*_NO_BUCKET, *_NO_ENTRY))
    if type(error).__module__.startswith("botocore"):
        return _of_aws(error) is ConfigError
    return isinstance(
        error, iceberg.UnauthorizedError | iceberg.ForbiddenError | iceberg.OAuthError | sql.ProgrammingError
    )


def _described(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error  # SQLAlchemy wraps what the driver says in the statement
    return f"{type(cause).__name__}: {first_line(cause)}"


def _of_driver(what: str, error: Exception) -> IngestionError | None:
    kind = _kind(error)
    return kind(f"{what}: {_described(error)}; {_ADVICE[kind]}") if kind is not None else None


def _of_storage(what: str, error: OSError) -> IngestionError:
    from requests import exceptions as http

    said = first_line(error)
    if isinstance(error, http.ConnectionError | http.Timeout) and not isinstance(error, http.SSLError):
        return TransientError(f"{what}: {_address(error)} does not answer; {_ADVICE[TransientError]}")
    if any(words in said for words in _NO_BUCKET):
        return ConfigError(f"{what}: the bucket does not exist ({said}); create it, or correct the catalog's warehouse")
    if any(words in said for words in _NO_ENTRY):
        return ConfigError(
            f"{what}: the object store refuses ({said}); check s3.access-key-id and s3.secret-access-key "
            f"of loader.catalog, and what the bucket's policy allows"
        )
    return TransientError(f"{what}: {said}; check that the storage is reachable, then run again")


def _address(error: "RequestException") -> str:
    """The URL that was asked, without user, password and query."""
    parts = urlsplit(str(error.request.url) if error.request is not None else "")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else "the server"


def _kind(error: Exception) -> type[IngestionError] | None:
    """Which of our errors a foreign one is; None for what looks like a bug."""
    origin = type(error).__module__.partition(".")[0]  # a driver that is not installed raised nothing
    if origin == "sqlalchemy":
        return _of_database(error)
    if origin == "botocore":
        return _of_aws(error)
    if origin in ("thrift", "hive_metastore"):
        return TransientError
    return _of_pyiceberg(error)


def _of_database(error: Exception) -> type[IngestionError]:
    from sqlalchemy import exc as sql

    refused = isinstance(error, sql.OperationalError) and any(words in str(error) for words in _REFUSED_LOGIN)
    wrong = isinstance(error, sql.ArgumentError | sql.ProgrammingError | sql.NoSuchModuleError)
    return ConfigError if wrong or refused else TransientError


def _of_aws(error: Exception) -> type[IngestionError]:
    code = getattr(error, "response", {}).get("Error", {}).get("Code")
    refused = code in _AWS_REFUSALS or type(error).__name__ in _AWS_CONFIG
    return ConfigError if refused else TransientError


def _of_pyiceberg(error: Exception) -> type[IngestionError] | None:
    from pyiceberg import exceptions as iceberg

    config = (
        iceberg.NoSuchPropertyException,
        iceberg.NotInstalledError,
        iceberg.AuthorizationExpiredError,
        iceberg.UnauthorizedError,
        iceberg.ForbiddenError,
        iceberg.BadRequestError,
        iceberg.OAuthError,
        iceberg.SignError,
    )
    transient = (
        iceberg.CommitFailedException,
        iceberg.WaitingForLockException,
        iceberg.DynamoDbError,
        iceberg.RESTError,  # the rest of its family
    )
    # What is no REST catalog has no answer that pyiceberg has a name for.
    stranger = type(error) is iceberg.RESTError and str(error).startswith("RESTError 4")
    return (
        ConfigError
        if stranger or isinstance(error, config)
        else TransientError
        if isinstance(error, transient)
        else None
    )

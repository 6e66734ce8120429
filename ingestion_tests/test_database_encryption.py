"""What ssl_mode asks of servers, whatever their drivers call it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from ingestion.connectors import ConnectorFactory
from ingestion.connectors.databases.encryption import SSL_MODES
from ingestion.connectors.databases.postgresql import PostgresqlConnector
from ingestion.errors import ConfigError
from ingestion_tests.certificates import Authority
from ingestion_tests.postgres_sources import PATHS
from ingestion_tests.servers import running_mariadb, running_postgres
from ingestion_tests.ssh_servers import running_ssh

ENCRYPTED = {
    "postgresql": "SELECT ssl AS it FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    "mysql": "SELECT VARIABLE_VALUE <> '' AS it FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'SSL_CIPHER'",
}
AUTHORITIES = {"postgresql": "sslrootcert", "mysql": "ssl_ca"}
KINDS = list(ENCRYPTED)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new()


@pytest.fixture(scope="module")
def servers(authority: Authority) -> Iterator[dict[str, Any]]:
    """One of each kind, whose certificate is that of localhost."""
    certificate = authority.signed("localhost")
    with running_postgres(certificate) as postgres, running_mariadb(certificate) as maria:
        yield {"postgresql": postgres, "mysql": maria}


@pytest.fixture
def trusted(authority: Authority, tmp_path: Path) -> str:
    """The file of whom we trust."""
    (tmp_path / "authority.crt").write_bytes(authority.certificate)
    return str(tmp_path / "authority.crt")


def options(kind: str, server: Any, trusted: str | None = None, **others: Any) -> dict[str, Any]:
    """A source's options that ask the server whether it encrypts."""
    params = {AUTHORITIES[kind]: trusted} if trusted else {}
    database = "postgres" if kind == "postgresql" else "mysql"
    address = {"host": "localhost", "port": server.port, "database": database, "username": server.user}
    given = {
        "type": kind,
        **address,
        "password": server.password,
        "query": ENCRYPTED[kind],
        "connection_params": params,
    }
    return {**given, **others}


def encrypted(given: dict[str, Any]) -> bool:
    return answer(ConnectorFactory.create(given))


def answer(connector: Any) -> bool:
    [row] = pa.Table.from_batches([batch.records for batch in connector.read(None, None)]).to_pylist()
    return bool(row["it"])


@pytest.mark.parametrize("mode", SSL_MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_mode_encrypts_unless_it_is_disable(kind, mode, servers, trusted):
    assert encrypted(options(kind, servers[kind], trusted, ssl_mode=mode)) == (mode != "disable")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("mode", ["disable", "verify-full"])
def test_every_driver_of_postgresql_holds_to_the_mode(path, mode, servers, trusted):
    given = options("postgresql", servers["postgresql"], trusted, ssl_mode=mode)
    connector = PATHS[path].model_validate(given)
    assert isinstance(connector, PostgresqlConnector)
    assert answer(connector) == (mode != "disable")


@pytest.mark.parametrize(("mode", "taken"), [("require", True), ("verify-ca", False), ("verify-full", False)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_of_somebody_else_is_taken_where_nothing_is_verified(kind, mode, taken, servers, tmp_path):
    (tmp_path / "other.crt").write_bytes(Authority.new().certificate)
    # Whoever gives PostgreSQL's driver authorities has them verified, in mode require, too.
    authorities = None if mode == "require" else str(tmp_path / "other.crt")
    given = options(kind, servers[kind], authorities, ssl_mode=mode)
    if taken:
        assert encrypted(given)
    else:
        with pytest.raises(ConfigError, match=r"check source\.ssl_mode"):
            encrypted(given)


@pytest.mark.parametrize("kind", KINDS)
def test_the_name_is_verified_by_verify_full_alone(kind, servers, trusted):
    given = options(kind, servers[kind], trusted, host="127.0.0.1")
    assert encrypted({**given, "ssl_mode": "verify-ca"})
    with pytest.raises(ConfigError, match=r"check source\.ssl_mode"):
        encrypted({**given, "ssl_mode": "verify-full"})


@pytest.mark.parametrize("kind", KINDS)
def test_the_name_is_that_of_the_host_behind_a_tunnel(kind, servers, trusted, tmp_path):
    with running_ssh(tmp_path) as ssh:
        given = options(kind, servers[kind], trusted, ssl_mode="verify-full", ssh_tunnel=ssh.options)
        assert encrypted(given)
        with pytest.raises(ConfigError, match=r"check source\.ssl_mode"):
            encrypted({**given, "host": "127.0.0.1"})


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_without_certificate_is_refused_by_require(kind, request):
    server = request.getfixturevalue("postgres_server" if kind == "postgresql" else "mysql_server")
    with pytest.raises(ConfigError, match=r"check source\.ssl_mode"):
        encrypted(options(kind, server, ssl_mode="require"))


@pytest.mark.parametrize("kind", KINDS)
def test_authorities_that_cannot_be_read_are_told(kind, servers, tmp_path):
    with pytest.raises(ConfigError, match="certificate"):
        encrypted(options(kind, servers[kind], str(tmp_path / "nowhere.crt"), ssl_mode="verify-ca"))


def test_a_file_has_no_mode():
    with pytest.raises(ValidationError, match="SQLite has no ssl_mode require; leave it out"):
        ConnectorFactory.create({"type": "sqlite", "database": "x.db", "table": "t", "ssl_mode": "require"})

"""Servers that the tests talk to, each on a free port with its data in a temporary folder, until the session ends."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx

from ingestion_tests.dagster_server import free_port

_START_SECONDS = 60
_STOP_SECONDS = 20
_INSTALL = "run scripts/install-services, which installs what the tests drive"


@dataclass(frozen=True)
class PostgresServer:
    """A PostgreSQL server that asks for a password; *log* is what it says."""

    port: int
    log: Path
    host: str = "127.0.0.1"
    user: str = "tester"
    password: str = "s3cret-of-tests"

    def url(self, database: str = "postgres", **other: Any) -> str:
        """The address of *database*; user, password, host and port may be others."""
        given = {"user": self.user, "password": self.password, "host": self.host, "port": self.port, **other}
        secret = quote(given["password"], safe="")
        return f"postgresql://{given['user']}:{secret}@{given['host']}:{given['port']}/{database}"

    def fresh_database(self) -> str:
        """The address of a new database."""
        name = f"t{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, statement: str, url: str | None = None) -> list[Any]:
        """What one statement answers."""
        import psycopg

        with psycopg.connect(url or self.url(), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@dataclass(frozen=True)
class MariaServer:
    """A MariaDB server that asks for a password; *log* is what it says."""

    port: int
    log: Path
    host: str = "127.0.0.1"
    user: str = "tester"
    password: str = "s3cret-of-tests"

    def url(self, database: str = "mysql", **other: Any) -> str:
        """The address of *database*; user, password, host and port may be others."""
        given = {"user": self.user, "password": self.password, "host": self.host, "port": self.port, **other}
        secret = quote(given["password"], safe="")
        return f"mysql://{given['user']}:{secret}@{given['host']}:{given['port']}/{database}"

    def fresh_database(self) -> str:
        """The address of a new database."""
        name = f"t{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, statement: str, url: str | None = None) -> list[Any]:
        """What one statement answers."""
        with self.session(url) as run:
            return run(statement)

    @contextmanager
    def session(self, url: str | None = None) -> Iterator[Callable[[str], list[Any]]]:
        """What runs statements in one session, and returns what they answer."""
        import pymysql

        at = urlsplit(url or self.url())
        connection = pymysql.connect(
            host=str(at.hostname),
            port=at.port or 0,
            user=at.username,
            password=unquote(at.password or ""),
            database=at.path[1:],
            charset="utf8mb4",
            autocommit=True,
        )

        def run(statement: str) -> list[Any]:
            cursor.execute(statement)
            return list(cursor.fetchall())

        with connection, connection.cursor() as cursor:
            yield run


@dataclass(frozen=True)
class AwsServer:
    """S3, Glue and the rest of AWS as moto plays them; it believes any credentials."""

    port: int
    log: Path
    region: str = "us-east-1"
    access_key: str = "test-key"
    secret_key: str = "test-secret"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def properties(self) -> dict[str, str]:
        """How pyiceberg finds the object store."""
        return {
            "s3.endpoint": self.endpoint,
            "s3.access-key-id": self.access_key,
            "s3.secret-access-key": self.secret_key,
            "s3.region": self.region,
        }

    @property
    def storage_options(self) -> dict[str, str]:
        """How object_store (Delta, polars) finds it."""
        return {
            "aws_endpoint_url": self.endpoint,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "aws_region": self.region,
            "aws_allow_http": "true",
        }

    def client(self, service: str = "s3") -> Any:
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
        )

    def fresh_bucket(self) -> str:
        """The name of a new bucket."""
        name = f"t{uuid.uuid4().hex[:12]}"
        httpx.put(f"{self.endpoint}/{name}").raise_for_status()
        return name

    def keys(self, bucket: str) -> list[str]:
        """The keys of all objects in *bucket*."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]


@dataclass(frozen=True)
class RestCatalogServer:
    """Iceberg's own REST catalog; tables are created below *warehouse*."""

    port: int
    log: Path
    warehouse: str
    storage: Mapping[str, str] = field(default_factory=dict)  # how pyiceberg finds the warehouse

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def properties(self) -> dict[str, str]:
        """The catalog as pyiceberg opens it."""
        return {"type": "rest", "uri": self.uri, **self.storage}


@contextmanager
def running_postgres(
    certificate: tuple[bytes, bytes] | None = None, *, asks_for_password: bool = True
) -> Iterator[PostgresServer]:
    """A new cluster; not durable, which only a power cut would show. With *certificate* and its key it takes TLS."""
    programs = _postgres_programs()
    with _public_folder() as path:
        owner = _owner(path)
        password = path / "password"
        password.write_text(PostgresServer.password)
        password.chmod(0o644)
        data = path / "data"
        authentication = "scram-sha-256" if asks_for_password else "trust"
        setup = ["-D", data, "-U", PostgresServer.user, f"--pwfile={password}", f"--auth={authentication}"]
        subprocess.run(
            [programs / "initdb", *setup, "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=path,
            **owner,
        )
        options = {}
        if certificate is not None:
            shown, key = _certificate(path, certificate, owner)
            options = {"ssl": "on", "ssl_cert_file": shown, "ssl_key_file": key}
        with _postgres_on(data, **options) as server:
            yield server


@contextmanager
def running_standby(primary: PostgresServer) -> Iterator[PostgresServer]:
    """A server that follows *primary*."""
    with _public_folder() as path:
        owner, data = _owner(path), path / "data"
        setup = ["-d", primary.url("replication"), "-D", data, "-R", "-X", "stream", "-c", "fast", "--no-sync"]
        subprocess.run(
            [_postgres_programs() / "pg_basebackup", *setup], check=True, capture_output=True, cwd=path, **owner
        )
        with _postgres_on(data) as server:
            yield server


@contextmanager
def _postgres_on(data: Path, **other: Any) -> Iterator[PostgresServer]:
    """A server with what is in *data*."""
    path = data.parent
    server = PostgresServer(free_port(), path / "log")
    options = {"port": server.port, "listen_addresses": server.host, "unix_socket_directories": "", "fsync": "off"}
    arguments = [text for name, value in (options | other).items() for text in ("-c", f"{name}={value}")]
    command = [_postgres_programs() / "postgres", "-D", data, *arguments]
    # Its quickest way out, which writes nothing back.
    with _running(command, server.log, lambda: _accepts(server), stop=signal.SIGQUIT, cwd=path, **_owner(path)):
        yield server


def _certificate(path: Path, certificate: tuple[bytes, bytes], owner: Mapping[str, Any]) -> tuple[Path, Path]:
    """The files of a certificate and its key, which only *owner* may read."""
    files = path / "server.crt", path / "server.key"
    for file, content in zip(files, certificate, strict=True):
        file.write_bytes(content)
        file.chmod(0o600)
        if owner:
            shutil.chown(file, owner["user"])
    return files


@contextmanager
def running_mariadb(certificate: tuple[bytes, bytes] | None = None) -> Iterator[MariaServer]:
    """A new server with small caches; not durable. With *certificate* and its key it takes TLS."""
    with _public_folder() as path:
        server = MariaServer(free_port(), path / "log")
        data, user = path / "data", ["--user=root"] if os.getuid() == 0 else []  # it runs as root only where told to
        setup = ["--no-defaults", *user, f"--datadir={data}", "--auth-root-authentication-method=normal"]
        subprocess.run([_maria_program("mariadb-install-db"), *setup], check=True, capture_output=True, cwd=path)
        first = path / "first.sql"
        who = f"'{server.user}'@'%'"
        first.write_text(
            f"CREATE USER {who} IDENTIFIED BY '{server.password}';\nGRANT ALL ON *.* TO {who} WITH GRANT OPTION;\n"
        )
        options = {
            "datadir": data,
            "init-file": first,
            "port": server.port,
            "bind-address": server.host,
            "socket": path / "socket",
            "pid-file": path / "pid",
            "character-set-server": "utf8mb4",
            "skip-name-resolve": "1",
            "innodb-buffer-pool-size": "64M",
            "innodb-log-file-size": "16M",
            "innodb-flush-log-at-trx-commit": "0",
            "key-buffer-size": "1M",
        }
        if certificate is not None:
            shown, key = _certificate(path, certificate, {})
            options |= {"ssl-cert": shown, "ssl-key": key}
        arguments = [f"--{name}={value}" for name, value in options.items()]
        command = [_maria_program("mariadbd"), "--no-defaults", *user, *arguments]
        # Killed, as nobody reads its data again.
        with _running(command, server.log, lambda: _maria_accepts(server), stop=signal.SIGKILL, cwd=path):
            yield server


@contextmanager
def running_aws() -> Iterator[AwsServer]:
    with _public_folder() as path:
        server = AwsServer(free_port(), path / "log")
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(server.port)]
        with _running(command, server.log, lambda: _answers(f"{server.endpoint}/moto-api/")):
            yield server


@contextmanager
def running_rest_catalog(aws: AwsServer | None = None) -> Iterator[RestCatalogServer]:
    """With a warehouse in a bucket of *aws* if it is given, otherwise in a local folder."""
    with _public_folder() as path:
        port, storage = free_port(), aws.properties if aws is not None else {}
        warehouse = f"s3://{aws.fresh_bucket()}/warehouse" if aws is not None else str(path / "warehouse")
        server = RestCatalogServer(port, path / "log", warehouse, storage)
        properties = {"uri": f"jdbc:sqlite:{path}/catalog.db", "clients": "1", "warehouse": warehouse}
        if aws is not None:
            properties |= {
                "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
                "http-client.type": "urlconnection",
                "s3.path-style-access": "true",
                "client.region": aws.region,
                **{name: value for name, value in storage.items() if name != "s3.region"},
            }
        settings = {_variable(name): value for name, value in {**properties, "rest.port": str(port)}.items()}
        small = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        command = ["java", *small, "-cp", _classpath(), "org.apache.iceberg.rest.RESTCatalogServer"]
        with _running(command, server.log, lambda: _answers(f"{server.uri}/v1/config"), env={**os.environ, **settings}):
            yield server


def _variable(name: str) -> str:
    """How the REST catalog's server is told a property."""
    return "CATALOG_" + name.replace("-", "__").replace(".", "_").upper()


def _classpath() -> str:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = cache / "ingestion-tests" / "rest-catalog.classpath"
    if not found.exists() or shutil.which("java") is None:
        raise AssertionError(f"the REST catalog's jars or java are missing; {_INSTALL}")
    return found.read_text().strip()


def _postgres_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    if on_path and not found:
        return Path(on_path).resolve().parent
    if not found:
        raise AssertionError(f"PostgreSQL's server is missing; {_INSTALL}")
    return found[-1].parent


def _maria_program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")
    if found is None:
        raise AssertionError(f"MariaDB's {name} is missing; {_INSTALL}")
    return found


def _owner(path: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root, so root gives *path* and the process to another user."""
    if os.getuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(path, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextmanager
def _public_folder() -> Iterator[Path]:
    """A temporary folder that other users may enter; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory(prefix="ingestion-tests-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@contextmanager
def _running(
    command: list[Any], log: Path, ready: Callable[[], bool], *, stop: int = signal.SIGTERM, **options: Any
) -> Iterator[None]:
    """The process until the end of the block, once it is *ready*."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{command[0]} did not come up; its log:\n{log.read_text()[-4000:]}")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(stop)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _accepts(server: PostgresServer) -> bool:
    import psycopg

    try:
        psycopg.connect(server.url(), connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _maria_accepts(server: MariaServer) -> bool:
    import pymysql

    try:
        server.execute("SELECT 1")
    except pymysql.OperationalError:
        return False
    return True

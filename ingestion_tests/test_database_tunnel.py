"""Databases behind an SSH server."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pyarrow as pa
import pytest
from pydantic import ValidationError
from sqlalchemy.engine import make_url

from ingestion.connectors import ConnectorFactory
from ingestion.errors import ConfigError, TransientError
from ingestion_tests.dagster_server import free_port
from ingestion_tests.ssh_servers import SshServer, running_ssh


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[SshServer]:
    with running_ssh(tmp_path) as served:
        yield served


def source(kind: str, url: str, tunnel: dict[str, Any], **options: Any) -> Any:
    """A source by that tunnel, in which this machine is called localhost."""
    at = make_url(url)
    address = {"host": "localhost", "port": at.port, "database": at.database}
    user = {"username": at.username, "password": at.password}
    given = {"type": kind, "query": "SELECT 1 AS one", **address, **user, "ssh_tunnel": tunnel, **options}
    return ConnectorFactory.create(given)


def read(connector: Any) -> list[dict[str, Any]]:
    return pa.Table.from_batches([batch.records for batch in connector.read(None, None)]).to_pylist()


@pytest.mark.parametrize(("kind", "fixture"), [("postgresql", "postgres_url"), ("mysql", "mysql_url")])
def test_rows_come_through_the_tunnel(kind, fixture, ssh, request):
    connector = source(kind, request.getfixturevalue(fixture), ssh.options)
    assert read(connector) == [{"one": 1}]
    assert len(ssh.asked) >= 2  # once to see whether the server reaches it, then for each connection
    assert set(ssh.asked) == {("localhost", connector.port)}
    assert connector.server.place == f"{kind}://localhost:{connector.port}/{connector.database}"
    assert not [thread for thread in threading.enumerate() if thread.name == "ssh"]


def test_a_port_that_is_not_given_is_the_usual_one_of_its_kind(ssh, postgres_url):
    ssh.forwards = False
    with pytest.raises(ConfigError, match="does not forward to localhost:5432"):
        read(source("postgresql", postgres_url, ssh.options, port=None))


def test_a_private_key_may_be_written_out(ssh, postgres_url):
    text = (ssh.folder / "key").read_text()
    assert read(source("postgresql", postgres_url, {**ssh.options, "private_key": text})) == [{"one": 1}]


def test_a_host_key_that_is_not_known_is_refused(ssh, postgres_url):
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    (ssh.folder / "known_hosts").write_text(f"[127.0.0.1]:{ssh.port} {other}")
    with pytest.raises(ConfigError, match=rf"shows a host key that .* run: ssh-keyscan -p {ssh.port} 127\.0\.0\.1"):
        read(source("postgresql", postgres_url, ssh.options))
    assert not ssh.asked


def test_missing_host_keys_are_no_reason_to_trust_anyone(ssh, postgres_url):
    (ssh.folder / "known_hosts").unlink()
    with pytest.raises(ConfigError, match=r"known_hosts: there is no file .*known_hosts; run: ssh-keyscan"):
        read(source("postgresql", postgres_url, ssh.options))


def test_a_key_that_the_server_does_not_know_is_refused(ssh, postgres_url):
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(ssh.folder / "key")
    with pytest.raises(ConfigError, match=r"does not let jump in with source\.ssh_tunnel\.private_key"):
        read(source("postgresql", postgres_url, ssh.options))


def test_a_key_with_a_passphrase_needs_an_agent(ssh, postgres_url, monkeypatch):
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(ssh.folder / "key", "pkcs8-pem", passphrase="secret")
    with pytest.raises(ConfigError, match="has a passphrase; run ssh-add"):
        read(source("postgresql", postgres_url, ssh.options))


@pytest.mark.parametrize("content", [None, "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA-canary\n"])
def test_a_key_that_is_none_is_told_without_its_text(content, ssh, postgres_url):
    tunnel = {**ssh.options, "private_key": content or str(ssh.folder / "nowhere")}
    with pytest.raises(ConfigError, match=r"private_key cannot be used") as caught:
        read(source("postgresql", postgres_url, tunnel))
    assert "canary" not in str(caught.value)


def test_a_database_that_the_ssh_server_does_not_reach_is_a_passing_error(ssh, postgres_url):
    port = free_port()
    with pytest.raises(
        TransientError, match=rf"the SSH server 127\.0\.0\.1:{ssh.port} does not reach localhost:{port}"
    ):
        read(source("postgresql", postgres_url, ssh.options, port=port))


def test_an_ssh_server_that_is_not_there_is_a_passing_error(ssh, postgres_url):
    with pytest.raises(TransientError, match=r"cannot be used: .*run again once it is there"):
        read(source("postgresql", postgres_url, {**ssh.options, "port": free_port()}))
    with pytest.raises(ConfigError, match=r"check source\.ssh_tunnel\.host"):
        read(source("postgresql", postgres_url, {**ssh.options, "host": "no-such-host.invalid"}))


def test_a_tunnel_that_breaks_off_ends_the_reading_as_a_passing_error(ssh, postgres_url):
    query = "SELECT number, repeat('x', 1000) AS text FROM generate_series(1, 200000) AS number"
    connector = source("postgresql", postgres_url, ssh.options, query=query, max_batch_bytes=1 << 20)
    reading = connector.read(None, None)
    next(reading)
    ssh.hang_up()
    with pytest.raises(TransientError):
        list(reading)
    assert not [thread for thread in threading.enumerate() if thread.name == "ssh"]


def test_a_file_is_behind_no_tunnel(ssh):
    with pytest.raises(ValidationError, match="ssh_tunnel leads to a server, and SQLite has none; leave it out"):
        ConnectorFactory.create({"type": "sqlite", "database": "x.db", "table": "t", "ssh_tunnel": ssh.options})

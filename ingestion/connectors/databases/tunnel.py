"""A database that is reached by way of an SSH server."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from ingestion import settings
from ingestion.errors import ConfigError, IngestionError, TransientError

if TYPE_CHECKING:
    from asyncssh import SSHClientConnection

    from ingestion.connectors.databases.database import Database
    from ingestion.connectors.databases.options import SshTunnel

__all__ = ["tunnelled"]

_LOCAL = "127.0.0.1"
_ALIVE_SECONDS = 15  # of silence, after which the server is asked whether it is there
_SILENCES = 4  # after which it is taken for dead

T = TypeVar("T")


@contextmanager
def tunnelled(database: "Database") -> Iterator[None]:
    """While it is open, *database* is reached through the tunnel of its options; without one, directly."""
    tunnel = database.options.ssh_tunnel
    if tunnel is None:
        yield
        return
    with _loop() as run:
        connection = run(_connected(tunnel, database.options.connect_timeout))
        try:
            port = run(_forwarded(connection, tunnel, database.url.host or "", database.url.port or database.port))
            database.near = (_LOCAL, port)
            yield
        finally:
            database.near = None
            run(_closed(connection))


@contextmanager
def _loop() -> Iterator[Callable[[Coroutine[Any, Any, T]], T]]:
    """What runs a coroutine in a thread of its own, to its end; the thread also moves what goes through the tunnel."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="ssh", daemon=True)
    thread.start()
    try:
        yield lambda awaited: asyncio.run_coroutine_threadsafe(awaited, loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _connected(tunnel: "SshTunnel", timeout: float) -> "SSHClientConnection":
    try:
        import asyncssh
    except ImportError as error:
        raise ConfigError("source.ssh_tunnel needs asyncssh; run: pip install 'ingestion[ssh]'") from error
    try:
        return await asyncssh.connect(
            tunnel.host,
            tunnel.port,
            username=tunnel.username,
            known_hosts=str(_known_hosts(tunnel)),
            config=None,  # this job alone says how
            connect_timeout=timeout,
            login_timeout=timeout,
            keepalive_interval=_ALIVE_SECONDS,
            keepalive_count_max=_SILENCES,
            **_identity(tunnel),
        )
    except (OSError, asyncio.TimeoutError, asyncssh.Error) as error:
        raise _failure(error, tunnel) from error


def _known_hosts(tunnel: "SshTunnel") -> Path:
    given = tunnel.known_hosts
    path = Path("~/.ssh/known_hosts").expanduser() if given is None else Path(settings.current().absolute(given))
    if not path.is_file():
        raise ConfigError(f"source.ssh_tunnel.known_hosts: there is no file {path}; {_scan(tunnel)}")
    return path


def _scan(tunnel: "SshTunnel") -> str:
    port = "" if tunnel.port == 22 else f"-p {tunnel.port} "
    return f"run: ssh-keyscan {port}{tunnel.host}, compare the key with the server's own, and write it to that file"


def _identity(tunnel: "SshTunnel") -> dict[str, Any]:
    """The key; one with a passphrase by the agent that holds it."""
    import asyncssh

    try:
        if tunnel.private_key.lstrip().startswith("-----BEGIN"):
            return {"client_keys": [asyncssh.import_private_key(tunnel.private_key)], "agent_path": None}
        path = settings.current().absolute(str(Path(tunnel.private_key).expanduser()))
        return {"client_keys": [asyncssh.read_private_key(path)], "agent_path": None}
    except (OSError, asyncssh.KeyImportError) as error:
        if "Passphrase" not in str(error):
            # The text of a key is never told.
            what = error.strerror if isinstance(error, OSError) else "it is no private key that SSH knows"
            raise ConfigError(f"source.ssh_tunnel.private_key cannot be used: {what}") from error
        if not settings.environment().get("SSH_AUTH_SOCK"):
            raise ConfigError(
                "source.ssh_tunnel.private_key has a passphrase; run ssh-add and set SSH_AUTH_SOCK, "
                "or use a key without one that may only forward"
            ) from error
        return {}  # asyncssh asks the agent


async def _forwarded(connection: "SSHClientConnection", tunnel: "SshTunnel", host: str, port: int) -> int:
    """The local port that leads to *host*, once the SSH server has shown that it reaches it."""
    import asyncssh

    try:
        _, writer = await connection.open_connection(host, port)
        writer.close()
        return (await connection.forward_local_port(_LOCAL, 0, host, port)).get_port()
    except asyncssh.ChannelOpenError as error:
        place = f"the SSH server {tunnel.host}:{tunnel.port}"
        if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
            raise ConfigError(f"{place} does not forward to {host}:{port}; allow it there") from error
        raise TransientError(f"{place} does not reach {host}:{port}: {error.reason}; check source.host") from error
    except (OSError, asyncssh.Error) as error:
        raise _failure(error, tunnel) from error


async def _closed(connection: "SSHClientConnection") -> None:
    connection.close()
    await connection.wait_closed()


def _failure(error: Exception, tunnel: "SshTunnel") -> IngestionError:
    import asyncssh

    place = f"the SSH server {tunnel.host}:{tunnel.port}"
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return ConfigError(
            f"{place} shows a host key that source.ssh_tunnel.known_hosts does not have; {_scan(tunnel)}"
        )
    if isinstance(error, asyncssh.PermissionDenied):
        return ConfigError(f"{place} does not let {tunnel.username} in with source.ssh_tunnel.private_key")
    if isinstance(error, socket.gaierror):
        return ConfigError(f"{place} is not known by that name; check source.ssh_tunnel.host")
    told = str(error) or "no answer in time"
    return TransientError(f"{place} cannot be used: {told}; run again once it is there")

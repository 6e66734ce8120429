"""An SSH server in the test's own process."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import asyncssh

__all__ = ["SshServer", "running_ssh"]


@dataclass
class SshServer:
    """It lets in who has *key*, and forwards unless *forwards* is false; *folder* has what a user needs."""

    folder: Path
    port: int = 0
    forwards: bool = True
    connections: list[Any] = field(default_factory=list)
    asked: list[tuple[str, int]] = field(default_factory=list)  # where to forward
    loop: Any = None

    @property
    def options(self) -> dict[str, Any]:
        """What a source writes under ssh_tunnel."""
        files = {"private_key": str(self.folder / "key"), "known_hosts": str(self.folder / "known_hosts")}
        return {"host": "127.0.0.1", "port": self.port, "username": "jump", **files}

    def hang_up(self) -> None:
        """Break off all connections."""
        for connection in self.connections:
            self.loop.call_soon_threadsafe(connection.abort)


class _Server(asyncssh.SSHServer):
    def __init__(self, served: SshServer) -> None:
        self.served = served

    def connection_made(self, conn: Any) -> None:
        self.served.connections.append(conn)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        self.served.asked.append((dest_host, dest_port))
        if not self.served.forwards:  # as OpenSSH says it
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")
        return True


@contextmanager
def running_ssh(folder: Path) -> Iterator[SshServer]:
    """A server with keys of its own, on a free port."""
    served = SshServer(folder)
    host_key, key = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(folder / "key")
    key.write_public_key(folder / "authorized")
    loop = served.loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()

    async def start() -> Any:
        listening = {"server_host_keys": [host_key], "authorized_client_keys": str(folder / "authorized")}
        return await asyncssh.create_server(lambda: _Server(served), "127.0.0.1", 0, **listening)

    async def stop() -> None:
        acceptor.close()
        for connection in served.connections:
            connection.abort()
            await connection.wait_closed()

    acceptor = asyncio.run_coroutine_threadsafe(start(), loop).result()
    served.port = acceptor.get_port()
    public = host_key.export_public_key().decode()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{served.port} {public}")
    try:
        yield served
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

"""Proxies before a server: they lose, delay or spoil one of its commits."""

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

FAULTS = [
    "lost_request",
    "lost_reply",
    "error_500",
    "error_502",
    "error_504",
    "refused_503",
    "conflict",
    "called_conflict",
    "late",
]
_REST_COMMIT = re.compile(r"POST /v1/namespaces/[^/]+/tables/[^/]+")
_DELTA_COMMIT = re.compile(r"PUT /.+/_delta_log/[0-9]{20}\.json")
_GLUE_COMMITS = ("AWSGlue.CreateTable", "AWSGlue.UpdateTable")
_HOP_BY_HOP = {"connection", "transfer-encoding", "content-encoding", "content-length", "keep-alive", "date", "server"}


class Proxy(ThreadingHTTPServer):
    """Passes on what it gets, but commit number *at* (0 = the first; -1 = every request) goes wrong as *fault* says."""

    daemon_threads = True

    def __init__(self, target: str, fault: str = "", at: int = 0, hook: Callable[[], None] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.fault = fault
        self.at = at
        self.hook = hook or (lambda: None)
        self.commits = 0
        self.requests: list[str] = []
        self.seen: list[dict[str, str]] = []
        self.client = httpx.Client(timeout=60, verify=False)
        self.one_at_a_time = threading.Lock()
        self._lock = threading.Lock()
        self._late: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def strikes(self, line: str, headers: dict[str, str]) -> bool:
        """Whether this request is the one that goes wrong."""
        with self._lock:
            self.requests.append(line)
            self.seen.append(headers)
            if self.at < 0:
                return True
            named = _REST_COMMIT.fullmatch(line) or _DELTA_COMMIT.fullmatch(line)
            if not (named or headers.get("x-amz-target") in _GLUE_COMMITS):
                return False
            number, self.commits = self.commits, self.commits + 1
        return number == self.at and bool(self.fault)

    def afterwards(self, send: Callable[[], Any]) -> None:
        def later() -> None:
            time.sleep(0.02)
            send()

        thread = threading.Thread(target=later)
        self._late.append(thread)
        thread.start()

    def settle(self) -> None:
        """Wait until nothing is on its way any more."""
        for thread in self._late:
            thread.join()

    def handle_error(self, *_: Any) -> None:
        """A client that was killed while it waited is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def log_message(self, *_: Any) -> None: ...

    def do_any(self) -> None:
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}

        def send() -> httpx.Response:
            kept = {name: value for name, value in headers.items() if name not in ("connection", "transfer-encoding")}
            address = self.server.target + self.path
            return self.server.client.request(self.command, address, headers=kept, content=body)

        if not self.server.strikes(f"{self.command} {self.path.partition('?')[0]}", headers):
            self._pass_on(self._compared(headers, body, send))
        else:
            getattr(self, "_" + self.server.fault)(send)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return body

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_any  # noqa: N815 - the server's names

    def _compared(self, headers: dict[str, str], body: bytes, send: Callable[[], httpx.Response]) -> httpx.Response:
        """The answer; an update of a Glue table is refused as Glue does it, which moto does not."""
        if headers.get("x-amz-target") not in _GLUE_COMMITS:
            return send()
        with self.server.one_at_a_time:
            asked = json.loads(body)
            if "VersionId" in asked and asked["VersionId"] != self._glue_version(headers, asked):
                return httpx.Response(
                    400, json={"__type": "ConcurrentModificationException", "message": "by the proxy"}
                )
            return send()

    def _glue_version(self, headers: dict[str, str], asked: dict[str, Any]) -> str:
        named = {"DatabaseName": asked["DatabaseName"], "Name": asked["TableInput"]["Name"]}
        kept = {name: headers[name] for name in ("content-type", "authorization", "x-amz-date") if name in headers}
        kept["x-amz-target"] = "AWSGlue.GetTable"
        found = self.server.client.post(self.server.target, headers=kept, json=named).json()
        return str(found["Table"]["VersionId"])

    def _pass_on(self, answer: httpx.Response) -> None:
        content = answer.content
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        # HEAD tells the length of what it does not send.
        self.send_header(
            "Content-Length", answer.headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        )
        self.end_headers()
        self.wfile.write(content)

    def _answer(self, status: int, kind: str) -> None:
        error = {"error": {"message": f"{kind} by the proxy", "type": kind, "code": status}}
        self._pass_on(httpx.Response(status, json=error))

    def _lost_request(self, _: Callable[[], httpx.Response]) -> None:
        self.close_connection = True

    def _lost_reply(self, send: Callable[[], httpx.Response]) -> None:
        send()
        self.close_connection = True

    def _error_500(self, send: Callable[[], httpx.Response]) -> None:
        send()
        self._answer(500, "CommitStateUnknownException")

    def _error_502(self, send: Callable[[], httpx.Response]) -> None:
        send()
        self._answer(502, "BadGateway")

    def _error_504(self, send: Callable[[], httpx.Response]) -> None:
        send()
        self._answer(504, "GatewayTimeout")

    def _refused_503(self, _: Callable[[], httpx.Response]) -> None:
        self._answer(503, "SlowDownException")

    def _conflict(self, _: Callable[[], httpx.Response]) -> None:
        self._answer(409, "CommitFailedException")

    def _called_conflict(self, send: Callable[[], httpx.Response]) -> None:
        send()
        self._answer(409, "CommitFailedException")

    def _late(self, send: Callable[[], httpx.Response]) -> None:
        self.server.afterwards(send)
        self._answer(504, "GatewayTimeout")

    def _denied_401(self, _: Callable[[], httpx.Response]) -> None:
        self._answer(401, "NotAuthorizedException")

    def _denied_403(self, _: Callable[[], httpx.Response]) -> None:
        self._answer(403, "ForbiddenException")

    def _kill_before(self, _: Callable[[], httpx.Response]) -> None:
        self.server.hook()
        self.close_connection = True

    def _kill_inside(self, send: Callable[[], httpx.Response]) -> None:
        self.server.hook()
        send()
        self.close_connection = True

    def _kill_after(self, send: Callable[[], httpx.Response]) -> None:
        send()
        self.server.hook()
        self.close_connection = True


@contextmanager
def proxied(target: str, fault: str = "", at: int = 0, hook: Callable[[], None] | None = None) -> Iterator[Proxy]:
    """A proxy before *target* until the end of the block."""
    proxy = Proxy(target, fault, at, hook)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.settle()
        proxy.shutdown()
        proxy.server_close()
        proxy.client.close()
        thread.join()


@contextmanager
def proxied_apart(target: str, fault: str, at: int = 0) -> Iterator[str]:
    """The address of such a proxy in a process of its own, for drivers that hold Python's lock while they wait."""
    command = [sys.executable, "-m", "ingestion_tests.proxies", target, fault, str(at)]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


class _Tunnel:
    """Passes bytes on; *needle* number *at* reaches the server, its answer does not reach the client."""

    def __init__(self, port: int, needle: bytes, at: int) -> None:
        self._server = ("127.0.0.1", port)
        self._needle = needle
        self._left = at
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            threading.Thread(target=self._forth, args=(client, server), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client), daemon=True).start()

    def _forth(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if self._needle in data and self._strikes():
                    client.shutdown(socket.SHUT_RDWR)
                    server.sendall(data)
                    time.sleep(0.1)  # the server does as it was told before it learns that nobody listens
                    break
                server.sendall(data)
        server.close()

    def _strikes(self) -> bool:
        self._left -= 1
        return self._left == -1

    @staticmethod
    def _pump(server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                client.sendall(data)
        client.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class _Cut(_Tunnel):
    """Passes bytes on until the server has sent *most* of them, over all connections; then it cuts every one of them.

    From then on nobody is let in: the server is gone."""

    def __init__(self, port: int, most: int) -> None:
        self._most = most
        self._open: list[socket.socket] = []
        super().__init__(port, b"\0", 0)

    def _forth(self, client: socket.socket, server: socket.socket) -> None:
        self._open += [client, server]
        with suppress(OSError):
            while data := client.recv(1 << 16):
                server.sendall(data)
        server.close()

    def _pump(self, server: socket.socket, client: socket.socket) -> None:  # type: ignore[override]
        with suppress(OSError):
            while data := server.recv(1 << 16):
                self._most -= len(data)
                if self._most < 0:
                    self._cut()
                client.sendall(data)
        client.close()

    def _cut(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the port."""
        with suppress(OSError):
            super().close()


@contextmanager
def cut_after(port: int, most: int) -> Iterator[int]:
    """A port that leads to *port* until *most* bytes have come from there."""
    tunnel = _Cut(port, most)
    try:
        yield tunnel.port
    finally:
        tunnel.close()


@contextmanager
def tunnelled(port: int, needle: bytes, at: int = 0) -> Iterator[int]:
    """A port that leads to *port*, where the answer to *needle* number *at* (0 = the first) is lost."""
    tunnel = _Tunnel(port, needle, at)
    try:
        yield tunnel.port
    finally:
        tunnel.close()


if __name__ == "__main__":
    with Proxy(sys.argv[1], sys.argv[2], int(sys.argv[3])) as _proxy:
        print(_proxy.url, flush=True)  # noqa: T201 - what the parent waits for
        _proxy.serve_forever()

"""Who may call, and how much they may send: decided before a route sees the request."""

import hmac
import json
from collections.abc import Callable
from ipaddress import ip_address
from socket import gethostname

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingestion.settings import Settings

__all__ = ["LARGEST_BODY", "Guard"]

LARGEST_BODY = 1024 * 1024
_OPEN_PATHS = {"/health"}
_FORWARDED = {"forwarded", "x-forwarded-for", "x-real-ip"}


class Guard:
    """ASGI middleware: 401 for callers without access, 413 for bodies beyond `LARGEST_BODY`, chunked ones too.

    With a token, whoever shows it is served. Without one, callers at the loopback address are, by the
    address of their connection; no header of a proxy makes it up, and one shows that somebody else asks.
    """

    def __init__(self, app: ASGIApp, settings: Callable[[], Settings]) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or say why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = None if scope["path"] in _OPEN_PATHS else _refusal(scope, self._settings())
        if refusal:
            await _answer(send, 401, refusal, {"www-authenticate": "Bearer"})
            return
        try:
            body = await _body(Headers(scope=scope), receive)
        except ClientDisconnect:
            return
        if body is None:
            await _answer(
                send,
                413,
                f"the body is larger than {LARGEST_BODY:,} bytes; a job file is far smaller",
                {"connection": "close"},
            )
            return
        await self._app(scope, _replay(body, receive), send)


def _refusal(scope: Scope, settings: Settings) -> str | None:
    headers = Headers(scope=scope)
    if settings.api_token:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        known = hmac.compare_digest(token.strip().encode("latin-1"), settings.api_token.encode())
        if known and scheme.lower() == "bearer":
            return None
        return "send the header 'Authorization: Bearer <token>' with the value of the server's API_TOKEN"
    if settings.api_allow_anonymous or _from_here(scope, headers):
        return None
    return (
        "without a token only callers on the server's own machine are served, by the names localhost or 127.0.0.1; "
        "set API_TOKEN on the server and send 'Authorization: Bearer <token>', "
        "or set API_ALLOW_ANONYMOUS=true to open it to all"
    )


def _from_here(scope: Scope, headers: Headers) -> bool:
    """Whether somebody on this machine asks: by the connection, with no proxy between, for a name of this machine."""
    address = (scope.get("client") or ("",))[0]
    return _is_loopback(address) and _is_local(headers.get("host", "")) and not _FORWARDED & set(headers)


def _is_loopback(address: str) -> bool:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def _is_local(host: str) -> bool:
    """Whether *host* names this machine: a page that rebinds a name of its own to 127.0.0.1 sends that name."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.lower() in {"", "localhost", gethostname().lower()} or _is_loopback(name)


async def _body(headers: Headers, receive: Receive) -> bytes | None:
    """The whole body, or None if it is too large; at most one chunk more than that is ever held."""
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > LARGEST_BODY:
        return None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message


async def _answer(send: Send, status: int, detail: str, headers: dict[str, str]) -> None:
    body = json.dumps({"detail": detail}).encode()
    named = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    raw = [(key.encode(), value.encode()) for key, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})

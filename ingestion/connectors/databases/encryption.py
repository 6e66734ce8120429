"""How a connection is encrypted: what each ssl_mode asks for, whatever a driver calls it."""

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from typing_extensions import Self

from ingestion.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import StrPath

__all__ = ["SSL_MODES", "Encryption", "SslMode", "tls"]

SslMode = Literal["disable", "require", "verify-ca", "verify-full"]


class Encryption(NamedTuple):
    """What a connection has to be."""

    encrypted: bool
    trusted: bool = False  # the server's certificate is signed by an authority that we trust
    named: bool = False  # and is the one of the host that was asked for


SSL_MODES: Mapping[str, Encryption] = {
    "disable": Encryption(encrypted=False),
    "require": Encryption(encrypted=True),
    "verify-ca": Encryption(encrypted=True, trusted=True),
    "verify-full": Encryption(encrypted=True, trusted=True, named=True),
}


class _Context(ssl.SSLContext):
    """A context that checks for the host that was asked for, where a tunnel's local end is connected to."""

    host: str

    @classmethod
    def for_host(cls, host: str) -> Self:
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.host = host
        return context

    def wrap_socket(self, *args: Any, **named: Any) -> ssl.SSLSocket:
        return super().wrap_socket(*args, **{**named, "server_hostname": self.host})


def tls(
    mode: str,
    host: str,
    *,
    authorities: "StrPath | None" = None,
    certificate: "StrPath | None" = None,
    key: "StrPath | None" = None,
) -> ssl.SSLContext:
    """The context of an encrypted connection to *host* in that ssl_mode, for drivers that use Python's TLS.

    *authorities* is a file of certificates to trust in place of the system's; *certificate* and *key* show who we are.
    """
    asked = SSL_MODES[mode]
    context = _Context.for_host(host)
    context.check_hostname = asked.named
    context.verify_mode = ssl.CERT_REQUIRED if asked.trusted else ssl.CERT_NONE
    try:
        if authorities is not None:
            context.load_verify_locations(authorities)
        elif asked.trusted:
            context.load_default_certs()
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except OSError as error:  # SSLError too
        raise ConfigError(f"the certificates for ssl_mode: {mode} cannot be loaded: {error}") from error
    return context

"""Certificates for servers of the tests."""

import datetime as dt
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["Authority"]


class Authority(NamedTuple):
    """One that signs certificates, and is trusted by whoever has its own."""

    name: x509.Name
    key: ec.EllipticCurvePrivateKey
    certificate: bytes

    @classmethod
    def new(cls) -> "Authority":
        """Of keys that nobody else has."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
        signed = _unsigned(name, key).issuer_name(name)
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        signed = signed.add_extension(constraints, critical=True).sign(key, hashes.SHA256())
        return cls(name, key, signed.public_bytes(serialization.Encoding.PEM))

    def signed(self, host: str) -> tuple[bytes, bytes]:
        """A certificate of *host*, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        signed = _unsigned(name, key).issuer_name(self.name).add_extension(names, critical=False)
        plain = serialization.NoEncryption()
        return (
            signed.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain),
        )


def _unsigned(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )

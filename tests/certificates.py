"""Self-signed certificates for loopback, and what a client sees of them."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    """The files of a certificate and its key."""

    certificate: Path
    key: Path

    @property
    def options(self) -> tuple[str, ...]:
        """What `jangteo serve` is given."""
        return "--tls-certificate", str(self.certificate), "--tls-key", str(self.key)

    def trusted(self) -> ssl.SSLContext:
        """What a client is given that trusts this certificate only."""
        return ssl.create_default_context(cafile=str(self.certificate))


def write_certificate(folder: Path, name: str = "shop") -> Certificate:
    """Make a certificate for 127.0.0.1 and localhost, and write it, or write another one in its place."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    written = Certificate(folder / f"{name}.pem", folder / f"{name}-key.pem")
    written.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    written.certificate.write_bytes(made.public_bytes(Encoding.PEM))
    return written


def presented(port: int, *, tls_1_2: bool = False) -> bytes:
    """The certificate that a server presents to a new connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if tls_1_2:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client, context.wrap_socket(client) as tls:
        return tls.getpeercert(binary_form=True) or b""

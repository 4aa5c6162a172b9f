"""TLS for the server's port. A renewed certificate is taken up by the next connection, without a restart."""

import ssl
from pathlib import Path
from time import monotonic
from typing import Any, Final

import structlog

from jangteo.settings import InvalidSetting

log = structlog.get_logger()

HANDSHAKE_TIMEOUT_S: Final = 10.0
"""How long a client may take for the handshake."""
_LOOK_EVERY_S: Final = 1.0


class InvalidCertificate(InvalidSetting):
    """The certificate or its key can't be used; the message is one line for the operator."""


class Tls:
    """A certificate and its key, as their files have them."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises InvalidCertificate."""
        self._certificate = certificate
        self._key = key
        self._seen = self._look()
        self._looked_at = monotonic()
        self._current = self._load()
        self.context = self._load()
        """What a server listens with. It hands each connection over to the newest certificate."""
        self.context.sni_callback = self._choose

    def _choose(self, connection: Any, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called in each handshake, also where the client names no server."""
        if monotonic() - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = monotonic()
            self._take_up_renewed()
        connection.context = self._current

    def _take_up_renewed(self) -> None:
        """Load the files if they have changed; keep the present certificate as long as they don't fit together."""
        found = self._look()
        if found == self._seen:
            return
        try:
            self._current = self._load()
        except InvalidCertificate as error:
            # The one may have been renewed before the other; they are tried again.
            log.warning("renewed certificate not taken up", error=str(error), consequence="the one before stays")
            return
        self._seen = found
        log.info("renewed certificate taken up", file=str(self._certificate))

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_state_of(path) for path in (self._certificate, self._key))

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            # Without a password the library would ask for one on the terminal.
            context.load_cert_chain(self._certificate, self._key, password="")
        except ssl.SSLError as error:
            raise InvalidCertificate(
                f"{self._certificate} and {self._key} are no PEM certificate and its key without a password: "
                f"{error.reason or error}"
            ) from None
        except OSError as error:
            raise InvalidCertificate(
                f"the certificate {self._certificate} or its key {self._key} can't be read: {error.strerror}"
            ) from None
        return context


def _state_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size

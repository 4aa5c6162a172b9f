"""Logging in to NATS: with tls://, credentials are only sent over TLS."""

import ssl
from collections.abc import Callable
from typing import Any, Self

from jangteo.delivery.sinks.base import PlatformUnavailable
from jangteo.delivery.sinks.urls import Address


class TlsContext(ssl.SSLContext):
    """Knows whether the TLS handshake was begun: the client goes on unencrypted if a server doesn't ask for TLS.

    For one connection only: a host whose TLS fails ends the attempt, so no other host is tried unencrypted after it.
    """

    has_begun: bool

    def __new__(cls) -> Self:
        """Make a context that trusts the system's certificate authorities, or those in SSL_CERT_FILE."""
        context = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        context.load_default_certs()
        context.has_begun = False
        return context

    def wrap_bio(self, *args: Any, **named: Any) -> ssl.SSLObject:
        """Called by the event loop when it begins the handshake."""
        self.has_begun = True
        return super().wrap_bio(*args, **named)

    def check_handshake(self) -> None:
        """Raises PlatformUnavailable if the connection is not encrypted."""
        if not self.has_begun:
            raise PlatformUnavailable(
                "the server doesn't ask for TLS: its address is nats://…, or TLS must be set up there"
            )


def login_options(address: Address, tls: TlsContext | None) -> dict[str, Any]:
    """Return the client's options for user and password, or token: callbacks that check the connection's TLS first."""

    def callback(value: str | None) -> Callable[[], str | None]:
        def get() -> str | None:
            if tls is not None:
                tls.check_handshake()
            return value

        return get

    if address.user is None:
        return {}
    if address.password is None:
        return {"token": callback(address.user)}
    return {"user": callback(address.user), "password": callback(address.password)}

"""Who we are to NATS, told only over a connection that is as safe as it was named."""

import ssl
from typing import Any, Self

from jangteo.delivery.sinks.urls import Address


class Refused(Exception):
    """The stream, or NATS, takes nothing now; the message is one line."""


class Secured(ssl.SSLContext):
    """Knows whether TLS was begun: the client itself goes on in the clear where a server doesn't ask for it.

    For one connection: a host whose TLS fails ends the attempt, so none is tried after it in the clear.
    """

    begun: bool

    def __new__(cls) -> Self:
        """One that trusts whom the system trusts, or SSL_CERT_FILE names."""
        context = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        context.load_default_certs()
        context.begun = False
        return context

    def wrap_bio(self, *args: Any, **named: Any) -> ssl.SSLObject:
        """As the event loop has it when it begins TLS."""
        self.begun = True
        return super().wrap_bio(*args, **named)

    def check(self) -> None:
        """Raises Refused where the connection is in the clear."""
        if not self.begun:
            raise Refused("the server doesn't ask for TLS: its address is nats://…, or TLS must be set up there")


def credentials_of(address: Address, secured: Secured | None) -> dict[str, Any]:
    """Submission for when the connection stands, and only given where it is as safe as it should be."""

    def given(what: str | None) -> Any:
        def give() -> str | None:
            if secured is not None:
                secured.check()
            return what

        return give

    if address.user is None:
        return {}
    if address.password is None:
        return {"token": given(address.user)}
    return {"user": given(address.user), "password": given(address.password)}

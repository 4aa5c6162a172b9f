"""What a connection hands to the application, and gets back."""

from typing import NamedTuple

Header = tuple[bytes, bytes]


class Request(NamedTuple):
    """One complete request."""

    method: str
    path: str
    """As it was sent, not decoded: a path has one spelling, so that a proxy's rules about paths hold."""
    query: bytes
    """What follows the first `?`."""
    headers: list[Header]
    """With their names in lower case."""
    body: bytes
    keep_alive: bool
    """Whether the connection may stay open after the answer."""
    peer: str = ""
    """The address at the other end of the connection: the client's, or a proxy's."""


class Response(NamedTuple):
    """A response, ready to be sent. Its headers include its length."""

    status: int
    headers: list[Header]
    body: bytes

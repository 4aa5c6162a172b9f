"""Rules: who may make a call. Each row of `api.routes` has one of these; the documentation and the tests follow it."""

from dataclasses import dataclass
from typing import Final, Literal

from jangteo.core.keys import Scope

Customers = Literal["none", "own", "own-order", "all"]
"""Which customers may make a call:

- own: the user whom its path or its body names
- own-order: the user who placed the order that its path names
- all: every customer
"""
Public = Literal["always", "reads", "never"]
"""Whether a call needs no caller: health and pages always, public reads unless they are closed."""


@dataclass(frozen=True)
class Access:
    """Who may make a call."""

    scope: Scope | None = None
    """The scope that a key needs; None: any key may make it."""
    customers: Customers = "none"
    public: Public = "never"


ALWAYS: Final = Access(public="always")
"""Anyone may make it."""
PUBLIC_READ: Final = Access("read", customers="all", public="reads")
"""Anyone may make it; with `--no-public-reads`, keys that read and customers."""
EACH_CALL: Final = Access(customers="all")
"""Any caller may make it: the rules of the calls within apply to each of them."""


def keys_with(scope: Scope) -> Access:
    """Return the rule of a call for keys with this scope only."""
    return Access(scope)


def own(scope: Scope) -> Access:
    """Return the rule of a call for keys with this scope, and for the customer whom it is about."""
    return Access(scope, customers="own")


def own_order(scope: Scope) -> Access:
    """Return the rule of a call for keys with this scope, and for the customer who placed the order."""
    return Access(scope, customers="own-order")

"""Users, balances and ledgers over HTTP."""

from jangteo.api.bodies import Body
from jangteo.core.entities import LedgerEntry
from jangteo.core.limits import ChargedMoney, Name
from jangteo.core.refusals import UserNotFound
from jangteo.core.wallets import ChargeBalance, CurrentBalance, RegisterUser
from jangteo.storage import wallets
from jangteo.storage.port import Page, Query


class NewUser(Body):
    """A new user."""

    name: Name | None = None


class Charge(Body):
    """The amount to add to the balance."""

    amount: ChargedMoney


def register_user(body: NewUser) -> RegisterUser:
    """Register a user with a balance of 0."""
    return RegisterUser(body.name)


def charge_balance(user_id: int, body: Charge) -> ChargeBalance:
    """Add money to a user's balance."""
    return ChargeBalance(user_id, body.amount)


def read_balance(user_id: int) -> Query[CurrentBalance | UserNotFound]:
    """Read a user's balance."""
    return Query(wallets.read_balance, (user_id,))


def read_ledger(user_id: int, limit: int, after: int | None) -> Query[Page[LedgerEntry] | UserNotFound]:
    """List the changes of a user's balance, newest first."""
    return Query(wallets.read_ledger, (user_id, limit, after))

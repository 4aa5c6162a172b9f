"""Wallets: registering users and charging their prepaid balances. Payments and refunds belong to `core.orders`."""

from msgspec import Struct

from jangteo.core.book import Book, Command, Needs
from jangteo.core.entities import Wallet
from jangteo.core.limits import Id, Money, fits
from jangteo.core.refusals import InvalidAmount, UserNotFound


class CurrentBalance(Struct, frozen=True):
    """A user's current balance, in minor units."""

    balance: Money


class UserBalance(Struct, frozen=True, rename="camel"):
    """A user and the balance after a command, in minor units."""

    user_id: Id
    balance: Money


class RegisterUser(Command, frozen=True):
    """Register a user with an empty wallet."""

    name: str | None

    def name_needs(self, needs: Needs) -> None:
        """Need one new user id."""
        needs.new_users += 1

    def decide(self, book: Book) -> UserBalance:
        """Register the user; never refused."""
        wallet = Wallet(next(book.wallets.new_ids), 0)
        book.wallets.put(wallet.user_id, wallet)
        book.names[wallet.user_id] = self.name
        return UserBalance(wallet.user_id, wallet.balance)


class ChargeBalance(Command, frozen=True):
    """Add money to a user's balance; `amount` is in minor units."""

    user_id: Id
    amount: int

    def name_needs(self, needs: Needs) -> None:
        """Need the user and one new ledger entry id."""
        needs.users.add(self.user_id)
        needs.new_entries += 1

    def decide(self, book: Book) -> UserBalance | UserNotFound | InvalidAmount:
        """Add the amount to the balance.

        Refused with UserNotFound, or InvalidAmount if the amount is below 1 or the balance would reach 2^53.
        """
        wallet = book.wallets.get(self.user_id)
        if wallet is None:
            return UserNotFound(self.user_id)
        if self.amount < 1 or not fits(wallet.balance + self.amount):
            return InvalidAmount(wallet.balance)
        after = book.enter_balance(wallet, "charge", self.amount, None)
        return UserBalance(after.user_id, after.balance)

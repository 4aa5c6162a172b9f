"""Judges a drill: compares what customers were answered with the rows and with the events of the platform.

Pure functions: no database, no clock.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from drill.answers import Acknowledged, Identity, Kind, Request


class Row(Struct, frozen=True):
    """A thing in the shop with the same identity as its answer's, made at seconds since 1970."""

    kind: Kind
    identity: Identity
    owner: int | str
    at: float


class ReceivedEvent(Struct, frozen=True):
    """An event of a paid order as it arrived at the platform, at seconds since 1970. `text` is all of it."""

    id: str
    order: Identity
    text: str
    at: float


class Finding(Struct, frozen=True):
    """Something that should not be, and when it was done: seconds since 1970."""

    at: float
    what: str


class Findings(Struct, frozen=True):
    """Everything that should not be."""

    lost: Sequence[Finding]
    doubled: Sequence[Finding]
    events_of_lost_orders: Sequence[Finding]
    missing_events: Sequence[Finding]
    doubled_events: Sequence[Finding]
    others: Sequence[str]
    """Wrong balances, requests that were never answered or refused, answers that came late, and the audit."""

    def lines(self) -> list[str]:
        """Return a line for each of them."""
        dated = (self.lost, self.doubled, self.events_of_lost_orders, self.missing_events, self.doubled_events)
        return [each.what for findings in dated for each in findings] + list(self.others)


def lost(acknowledged: Iterable[Acknowledged], rows: Iterable[Row]) -> list[Finding]:
    """Return the acknowledged requests without a row of their own."""
    found = Counter((row.kind, row.identity) for row in rows)
    missing = []
    for each in acknowledged:
        if found[each.kind, each.identity] > 0:
            found[each.kind, each.identity] -= 1
        else:
            missing.append(Finding(each.at, f"{each.kind} {each.identity} was acknowledged and is not there"))
    return missing


def doubled(
    acknowledged: Iterable[Acknowledged], rows: Iterable[Row], unanswered: Iterable[Request] = ()
) -> list[Finding]:
    """Return the rows that no acknowledged request asked for: something was done twice.

    A request that was never answered may have left one row of its kind and owner.
    """
    promised = Counter((each.kind, each.identity) for each in acknowledged)
    possible = Counter((each.kind, each.owner) for each in unanswered)
    extra = []
    for row in rows:
        if promised[row.kind, row.identity] > 0:
            promised[row.kind, row.identity] -= 1
        elif possible[row.kind, row.owner] > 0:
            possible[row.kind, row.owner] -= 1
        else:
            extra.append(Finding(row.at, f"{row.kind} {row.identity} is there and nobody was answered so"))
    return extra


def wrong_balances(
    acknowledged: Sequence[Acknowledged], balances: Mapping[int | str, int], unanswered: Iterable[Request] = ()
) -> list[str]:
    """Return the users whose balance is not what they were answered that they charged and paid."""
    unknown = {each.owner for each in unanswered}
    expected: Counter[int | str] = Counter()
    for each in acknowledged:
        amount = each.identity[-1]
        if each.kind in {"order", "charge"} and isinstance(amount, int):
            expected[each.owner] += amount if each.kind == "charge" else -amount
    return [
        f"user {user}: balance {balances.get(user)}, answered {balance}"
        for user, balance in expected.items()
        if user not in unknown and balances.get(user) != balance
    ]


def events_of_lost_orders(events: Iterable[ReceivedEvent], rows: Iterable[Row]) -> list[Finding]:
    """Return the events of orders that are not there, or not as the event has them."""
    orders = {row.identity for row in rows if row.kind == "order"}
    return [Finding(each.at, f"event {each.id}: no such order") for each in events if each.order not in orders]


def missing_events(acknowledged: Iterable[Acknowledged], events: Iterable[ReceivedEvent]) -> list[Finding]:
    """Return the acknowledged orders whose event never arrived."""
    arrived = {each.order for each in events}
    return [
        Finding(each.at, f"order {each.identity}: no event")
        for each in acknowledged
        if each.kind == "order" and each.identity not in arrived
    ]


def doubled_events(events: Iterable[ReceivedEvent]) -> list[Finding]:
    """Return the events that came again under another id, or as another text under the same id."""
    texts: dict[str, str] = {}
    ids: dict[Identity, str] = {}
    found = []
    for each in events:
        if texts.setdefault(each.id, each.text) != each.text:
            found.append(Finding(each.at, f"event {each.id}: another text under the same id"))
        elif ids.setdefault(each.order, each.id) != each.id:
            found.append(Finding(each.at, f"event {each.id}: the order {each.order} has had {ids[each.order]}"))
    return found

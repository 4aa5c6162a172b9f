"""Valid calls of every route, with ids that exist."""

import json
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from fuzz.known import Known
from jangteo.api import best_sellers, coupons, keys, orders, products, tokens, wallets
from jangteo.api.bodies import NoBody, OptionalPaging, Paging
from jangteo.api.bulk import is_command
from jangteo.api.route import Route
from jangteo.api.routes import ROUTES

Fields = dict[str, Any]

_COMMANDS: Final = tuple(route for route in ROUTES if is_command(route))
_REPEATED_KEYS: Final = 0.1
"""The share of calls that repeat an idempotency key."""


class Call(NamedTuple):
    """A call of a route: what a request is made of."""

    route: Route
    path: str
    query: Fields
    body: Any
    key: str | None
    parts: "tuple[Call, ...]" = ()
    """The calls of a bulk request."""

    @property
    def target(self) -> str:
        """The path and the query."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    @property
    def title(self) -> str:
        """The method and the path."""
        return f"{self.route.method} {self.target}"

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers without those of the body's framing."""
        headers = [(b"host", b"localhost")]
        if self.body is not None:
            headers.append((b"content-type", b"application/json"))
        if self.key is not None:
            headers.append((b"idempotency-key", self.key.encode()))
        return headers

    def content(self) -> bytes:
        """The body as JSON."""
        return b"" if self.body is None else json.dumps(self.body).encode()


def route_to(method: str, path: str) -> Route:
    """Return the route of a method and a path with its names."""
    return next(route for route in ROUTES if (route.method, route.path) == (method, path))


class Calls:
    """Makes calls; the same random numbers and answers make the same ones."""

    def __init__(self, random: Random, known: Known, name: str) -> None:
        """`name` is what keys begin with: each one's own."""
        self._random = random
        self._known = known
        self._name = name
        self._count = 0
        self._sent: list[Call] = []

    def call(self, route: Route) -> Call:
        """Make a call of this route; now and then one that was made before, with its key."""
        if self._sent and route.takes_key and self._random.random() < _REPEATED_KEYS:
            return self._random.choice(self._sent)
        if route.path == "/bulk":
            return self._bulk(route)
        ids = {name: self._known.pick(name, self._random) for name in route.ids}
        body = None if route.body is None else BODIES[route.body](self._random, self._known)
        query = {} if route.query is None else QUERIES[route.query](self._random)
        call = Call(route, route.path.format(**ids), query, body, self._key() if route.takes_key else None)
        if call.key is not None and is_command(route):
            self._sent = [*self._sent[-20:], call]
        return call

    def opening(self) -> Iterable[Call]:
        """Make the calls that others build on: users with money, products, campaigns with coupons, an order."""
        paths = ("/users", "/users/{userId}/balance", "/products", "/campaigns", "/coupons", "/orders")
        for path in paths:
            yield self.call(route_to("POST", path))

    def any_route(self) -> Call:
        """Make a call of a route of the table, each as often as any other."""
        return self.call(self._random.choice(ROUTES))

    def _bulk(self, route: Route) -> Call:
        parts = tuple(self.call(self._random.choice(_COMMANDS)) for _ in range(self._random.choice((1, 2, 5, 40))))
        return Call(route, route.path, {}, [_part(each) for each in parts], None, parts)

    def _key(self) -> str | None:
        self._count += 1
        return None if self._random.random() < 0.1 else f"{self._name}-{self._count}"


def _part(call: Call) -> Fields:
    key = {} if call.key is None else {"key": call.key}
    return {"call": call.title, **key, "body": call.body}


def _new_order(random: Random, known: Known) -> Fields:
    items = [
        {"productId": known.pick("productId", random), "quantity": random.randint(1, 3)}
        for _ in range(random.choice((1, 1, 2, 3)))
    ]
    if known.coupons and random.random() < 0.3:
        coupon = random.choice(known.coupons)
        return {"userId": coupon.user_id, "items": items, "couponId": coupon.coupon_id}
    return {"userId": known.pick("userId", random), "items": items}


def _new_campaign(random: Random, _: Known) -> Fields:
    terms: Fields = random.choice(({"discount": 300}, {"percent": 10}, {"percent": 25, "maxDiscount": 2_000}))
    limits: Fields = random.choice(({}, {"minAmount": 1_000}, {"couponValidDays": 30}))
    return {"name": "Opening", "quantity": random.choice((1, 50, 100_000)), **terms, **limits}


def _claim(random: Random, known: Known) -> Fields:
    user = {"userId": known.pick("userId", random)}
    return user if random.random() < 0.3 else {**user, "campaignId": known.pick("campaignId", random)}


def _paging(random: Random) -> Fields:
    return random.choice(({}, {"limit": 2}, {"limit": 1000}, {"limit": 5, "after": random.randint(0, 50)}))


BODIES: Final[dict[type, Callable[[Random, Known], Fields]]] = {
    wallets.NewUser: lambda random, _: random.choice(({}, {"name": "Kim Jangteo"}, {"name": None})),
    wallets.Charge: lambda random, _: {"amount": random.choice((10_000, 50_000, 1_000_000))},
    products.NewProduct: lambda random, _: {
        "name": "Hallabong 한라봉",
        "price": random.choice((0, 700, 24_000)),
        "stock": random.choice((0, 5, 1_000_000)),
    },
    products.ProductChange: lambda random, _: random.choice(({}, {"price": 900}, {"name": "Gyul", "price": 1_200})),
    products.StockChange: lambda random, _: {"quantity": random.choice((-2, 30, 1_000))},
    coupons.NewCampaign: _new_campaign,
    coupons.Claim: _claim,
    orders.NewOrder: _new_order,
    keys.NewKey: lambda random, _: {
        "name": "storefront 1",
        "scopes": random.choice((["read"], ["users", "read"])),
        **random.choice(({}, {"endsAt": None}, {"endsAt": "2099-01-01T00:00:00+09:00"})),
    },
    tokens.NewToken: lambda random, _: random.choice(({}, {"validSeconds": 60})),
    NoBody: lambda *_: {},
}
QUERIES: Final[dict[type, Callable[[Random], Fields]]] = {
    Paging: _paging,
    OptionalPaging: _paging,
    best_sellers.BestSellersQuery: lambda random: random.choice(
        ({}, {"limit": 3}, {"days": 7}, {"days": 3, "method": "direct"}, {"limit": 100, "method": "summary"})
    ),
}

"""Problems (RFC 9457, `application/problem+json`): the table of refusals, and what any call may answer with."""

from typing import Any, Final, NamedTuple

import msgspec

from jangteo.core import refusals
from jangteo.core.refusals import Refusal

TYPE_PREFIX: Final = "/problems/"
RETRY_AFTER_S: Final = 1


class Kind(NamedTuple):
    """A kind of problem: its stable `slug`, HTTP status, title, and what it means to the client."""

    slug: str
    status: int
    title: str
    meaning: str


def _refusal(refusal: type[Refusal], slug: str, status: int, title: str) -> tuple[type, Kind]:
    return refusal, Kind(slug, status, title, _meaning(refusal))


def _meaning(refusal: type[Refusal]) -> str:
    return " ".join((refusal.__doc__ or "").split())


INVALID_REQUEST: Final = Kind(
    "invalid-request",
    400,
    "Invalid request",
    "The request is not as documented; `field` names the part that is wrong.",
)
REFUSALS: Final[dict[type, Kind]] = dict(
    (
        _refusal(refusals.UserNotFound, "user-not-found", 404, "User not found"),
        _refusal(refusals.ProductNotFound, "product-not-found", 404, "Product not found"),
        _refusal(refusals.CampaignNotFound, "campaign-not-found", 404, "Campaign not found"),
        _refusal(refusals.OrderNotFound, "order-not-found", 404, "Order not found"),
        _refusal(refusals.KeyNotFound, "key-not-found", 404, "Key not found"),
        _refusal(refusals.InvalidAmount, "invalid-amount", 400, "Invalid amount"),
        _refusal(refusals.InsufficientBalance, "insufficient-balance", 400, "Insufficient balance"),
        _refusal(refusals.OutOfStock, "out-of-stock", 400, "Out of stock"),
        _refusal(refusals.InvalidCoupon, "invalid-coupon", 400, "Invalid coupon"),
        _refusal(refusals.CouponsSoldOut, "coupons-sold-out", 409, "Coupons sold out"),
        _refusal(refusals.CouponAlreadyClaimed, "coupon-already-claimed", 409, "Coupon already claimed"),
        _refusal(refusals.CampaignNotOpen, "campaign-not-open", 409, "Campaign not open"),
        _refusal(refusals.OrderAlreadyCancelled, "order-already-cancelled", 409, "Order already cancelled"),
        _refusal(refusals.LimitExceeded, "limit-exceeded", 409, "Limit exceeded"),
        _refusal(refusals.KeyReused, "idempotency-key-reused", 422, "Idempotency key reused"),
    )
) | {refusals.NeverOpen: INVALID_REQUEST, refusals.NeverValid: INVALID_REQUEST}

NOT_FOUND: Final = Kind("not-found", 404, "Not found", "Nothing has this path.")
METHOD_NOT_ALLOWED: Final = Kind(
    "method-not-allowed", 405, "Method not allowed", "This path takes other methods: see the `Allow` header."
)
BODY_TOO_LARGE: Final = Kind(
    "content-too-large", 413, "Content too large", "The body is larger than this server accepts."
)
CROSS_SITE: Final = Kind(
    "cross-site",
    403,
    "Cross-site",
    "A browser sent this for a page of another site. Only pages of this server and programs may change something.",
)
UNAUTHENTICATED: Final = Kind(
    "unauthenticated",
    401,
    "Unauthenticated",
    "This call needs `Authorization: Bearer` with a valid API key or customer token.",
)
FORBIDDEN: Final = Kind(
    "forbidden", 403, "Forbidden", "The caller may not make this call; `scope` names the scope that it needs."
)
NOT_YOURS: Final = Kind("not-yours", 403, "Not yours", "A customer may name no other user than themselves.")
MISDIRECTED: Final = Kind(
    "misdirected-request",
    421,
    "Misdirected request",
    "The `Host` of the request is none of this server's. Its operator names them with `--allowed-host`.",
)
TOO_MANY_REQUESTS: Final = Kind(
    "too-many-requests",
    429,
    "Too many requests",
    "Too many requests, or too many with wrong credentials. Nothing was done; retry after `Retry-After` seconds.",
)
TARGET_TOO_LONG: Final = Kind(
    "uri-too-long", 414, "URI too long", "The path and query of the request are longer than this server accepts."
)
HEADERS_TOO_LARGE: Final = Kind(
    "headers-too-large", 431, "Headers too large", "The headers of the request are larger than this server accepts."
)
REQUEST_TIMEOUT: Final = Kind(
    "request-timeout", 408, "Request timeout", "The request did not arrive completely in time. Nothing was done."
)
EXPECTATION_FAILED: Final = Kind(
    "expectation-failed",
    417,
    "Expectation failed",
    "Of all expectations only `Expect: 100-continue` is known.",
)
NOT_IMPLEMENTED: Final = Kind(
    "not-implemented", 501, "Not implemented", "The request uses a part of HTTP that this server does not serve."
)
UNSUPPORTED_TYPE: Final = Kind(
    "unsupported-media-type",
    415,
    "Unsupported media type",
    "The body must be JSON as it is: send `content-type: application/json`, and no `content-encoding`.",
)
INTERNAL: Final = Kind(
    "internal-error",
    500,
    "Internal error",
    "A defect in Jangteo; the server's log has the details. Nothing was changed.",
)
OVERLOADED: Final = Kind(
    "overloaded",
    503,
    "Overloaded",
    "The server is too busy, or closing. Nothing was done; retry after `Retry-After` seconds.",
)
UNAVAILABLE: Final = Kind(
    "unavailable",
    503,
    "Unavailable",
    "The database can't be used at the moment, and whether the request was executed may be unknown. Retry after "
    "`Retry-After` seconds with the same Idempotency-Key: it is executed once.",
)
DRAINING: Final = Kind(
    "draining",
    503,
    "Draining",
    "Only `GET /health/ready` answers this: the server stops within seconds. Until then it still answers everything "
    "else; send new requests to another server.",
)

ANY_CALL: Final = (
    INVALID_REQUEST,
    UNAUTHENTICATED,
    FORBIDDEN,
    NOT_YOURS,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    REQUEST_TIMEOUT,
    CROSS_SITE,
    MISDIRECTED,
    TOO_MANY_REQUESTS,
    BODY_TOO_LARGE,
    TARGET_TOO_LONG,
    UNSUPPORTED_TYPE,
    EXPECTATION_FAILED,
    HEADERS_TOO_LARGE,
    INTERNAL,
    NOT_IMPLEMENTED,
    OVERLOADED,
    UNAVAILABLE,
    DRAINING,
)


class Problem(msgspec.Struct, rename="camel"):
    """An error answer (RFC 9457). Each kind adds facts of its own to these fields."""

    type: str
    title: str
    status: int
    detail: str


def problem(kind: Kind, detail: str | None = None, **facts: Any) -> dict[str, Any]:
    """Make the body of a problem."""
    return {
        "type": TYPE_PREFIX + kind.slug,
        "title": kind.title,
        "status": kind.status,
        "detail": detail or kind.meaning,
        **facts,
    }


def problem_of(refusal: Refusal) -> dict[str, Any]:
    """Make the body of a refusal, with its facts."""
    return problem(REFUSALS[type(refusal)], _meaning(type(refusal)), **msgspec.to_builtins(refusal))

"""From "no" to `application/problem+json` (RFC 9457): the one table of refusals, and what any call may answer."""

from typing import Any, Final, NamedTuple

import msgspec

from jangteo.core import refusals as no
from jangteo.core.refusals import Refusal

TYPE_PREFIX: Final = "/problems/"
RETRY_AFTER_S: Final = 1


class Kind(NamedTuple):
    """A kind of problem: stable `slug`, HTTP status, title, and what it means to the client."""

    slug: str
    status: int
    title: str
    meaning: str


def _refused(refusal: type[Refusal], slug: str, status: int, title: str) -> tuple[type, Kind]:
    return refusal, Kind(slug, status, title, " ".join((refusal.__doc__ or "").split()))


REFUSALS: Final[dict[type, Kind]] = dict(
    (
        _refused(no.UserNotFound, "user-not-found", 404, "User not found"),
        _refused(no.ProductNotFound, "product-not-found", 404, "Product not found"),
        _refused(no.CampaignNotFound, "campaign-not-found", 404, "Campaign not found"),
        _refused(no.OrderNotFound, "order-not-found", 404, "Order not found"),
        _refused(no.InvalidAmount, "invalid-amount", 400, "Invalid amount"),
        _refused(no.InsufficientBalance, "insufficient-balance", 400, "Insufficient balance"),
        _refused(no.OutOfStock, "out-of-stock", 400, "Out of stock"),
        _refused(no.InvalidCoupon, "invalid-coupon", 400, "Invalid coupon"),
        _refused(no.CouponsSoldOut, "coupons-sold-out", 409, "Coupons sold out"),
        _refused(no.CouponAlreadyClaimed, "coupon-already-claimed", 409, "Coupon already claimed"),
        _refused(no.CampaignNotOpen, "campaign-not-open", 409, "Campaign not open"),
        _refused(no.OrderAlreadyCancelled, "order-already-cancelled", 409, "Order already cancelled"),
        _refused(no.LimitExceeded, "limit-exceeded", 409, "Limit exceeded"),
        _refused(no.KeyReused, "idempotency-key-reused", 422, "Idempotency key reused"),
    )
)

INVALID_REQUEST: Final = Kind(
    "invalid-request",
    400,
    "Invalid request",
    "The request isn't as documented; `field` names what is wrong.",
)
NOT_FOUND: Final = Kind("not-found", 404, "Not found", "There is nothing at this path.")
METHOD_NOT_ALLOWED: Final = Kind(
    "method-not-allowed", 405, "Method not allowed", "This path takes other methods: see `Allow`."
)
BODY_TOO_LARGE: Final = Kind(
    "content-too-large", 413, "Content too large", "The body is larger than any request needs."
)
UNSUPPORTED_TYPE: Final = Kind(
    "unsupported-media-type",
    415,
    "Unsupported media type",
    "Bodies are JSON: send `content-type: application/json`.",
)
INTERNAL: Final = Kind(
    "internal-error",
    500,
    "Internal error",
    "A defect of Jangteo; its log says more. Nothing was changed.",
)
OVERLOADED: Final = Kind(
    "overloaded",
    503,
    "Overloaded",
    "Too much is waiting. Nothing was done; ask again after `Retry-After`.",
)
UNAVAILABLE: Final = Kind(
    "unavailable",
    503,
    "Unavailable",
    "The database can't be used just now. Nothing was confirmed; ask again after `Retry-After`, with the same "
    "Idempotency-Key.",
)

OF_ANY_CALL: Final = (
    INVALID_REQUEST,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    BODY_TOO_LARGE,
    UNSUPPORTED_TYPE,
    INTERNAL,
    OVERLOADED,
    UNAVAILABLE,
)


class Problem(msgspec.Struct, rename="camel"):
    """Why there was no success (RFC 9457), with the facts that belong to its kind beside these."""

    type: str
    title: str
    status: int
    detail: str


def problem(kind: Kind, detail: str | None = None, **facts: Any) -> dict[str, Any]:
    """The body of a problem."""
    return {
        "type": TYPE_PREFIX + kind.slug,
        "title": kind.title,
        "status": kind.status,
        "detail": detail or kind.meaning,
        **facts,
    }


def problem_of(refusal: Refusal) -> dict[str, Any]:
    """The body of a refusal, with its facts."""
    return problem(REFUSALS[type(refusal)], **msgspec.to_builtins(refusal))

"""The best sellers over HTTP."""

from typing import Annotated, Literal

from msgspec import Meta

from jangteo.api.bodies import Body
from jangteo.core.best_sellers import DEFAULT_BEST, DEFAULT_DAYS, MAX_BEST, MAX_DAYS
from jangteo.engine.best_sellers import BestSellersRequest


class BestSellersQuery(Body):
    """How many, of which window, and which way."""

    limit: Annotated[int, Meta(ge=1, le=MAX_BEST, description="How many products at most.")] = DEFAULT_BEST
    days: Annotated[
        int, Meta(ge=1, le=MAX_DAYS, description="Units sold within this many times 24 hours before the request.")
    ] = DEFAULT_DAYS
    method: Annotated[
        Literal["summary", "direct"],
        Meta(description="From the maintained view, or counted from the orders. Both are exact."),
    ] = "summary"


def list_best_sellers(limit: int, days: int, method: Literal["summary", "direct"]) -> BestSellersRequest:
    """List the best sellers of the last three days, or of `days` days, best first."""
    return BestSellersRequest(limit, days, method)

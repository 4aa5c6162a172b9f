"""The best sellers over HTTP."""

from typing import Annotated, Literal

from msgspec import Meta

from jangteo.api.bodies import Body
from jangteo.core.best_sellers import DEFAULT_BEST, DEFAULT_DAYS, MAX_BEST, MAX_DAYS
from jangteo.core.entities import BestSeller
from jangteo.storage.best_sellers.query import count_best_sellers, read_best_sellers
from jangteo.storage.port import AsOf, Query


class WhichBest(Body):
    """How many, of which window, and how they are counted."""

    limit: Annotated[int, Meta(ge=1, le=MAX_BEST, description="So many at the most.")] = DEFAULT_BEST
    days: Annotated[
        int, Meta(ge=1, le=MAX_DAYS, description="Of the last so many times 24 hours, to the moment of the request.")
    ] = DEFAULT_DAYS
    method: Annotated[
        Literal["summary", "direct"],
        Meta(description="From what is counted of a window already, or from its orders. Both are exact."),
    ] = "summary"


def list_best_sellers(limit: int, days: int, method: str) -> Query[AsOf[list[BestSeller]] | None]:
    """List the best sellers of the last three days, or of as many as wanted, best first."""
    directly: Query[AsOf[list[BestSeller]] | None] = Query(count_best_sellers, (limit, days), cost="scan")
    if method == "direct":
        return directly
    return Query(read_best_sellers, (limit, days), fallback=directly, window_days=days)

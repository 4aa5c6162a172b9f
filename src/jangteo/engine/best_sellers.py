"""The best sellers as clients request them.

`engine.refresher` maintains the view that answers most requests, beside the orders.
"""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from jangteo.core.entities import BestSeller
from jangteo.engine.reads import Reads
from jangteo.storage.best_sellers.query import BestSellersView, count_best_sellers
from jangteo.storage.port import AsOf, Query


class BestSellersRequest(Struct, frozen=True):
    """A request for the first `limit` best sellers of the last `days` times 24 hours."""

    limit: int
    days: int
    method: Literal["summary", "direct"]
    """From the view, or from the orders."""


class BestSellers:
    """Answers requests for the best sellers."""

    def __init__(self, reads: Reads, request_window: Callable[[int], None]) -> None:
        """`request_window` is called with the days of each window that a client requests."""
        self._reads = reads
        self._request_window = request_window
        self._view = BestSellersView()

    async def read(self, request: BestSellersRequest) -> AsOf[list[BestSeller]]:
        """Read the best sellers as of now, from the orders if no active window can answer. Raises as `Reads.run`."""
        if request.method == "summary":
            self._request_window(request.days)
            from_view = await self._reads.run(Query(self._view.read, (request.limit, request.days)))
            if from_view is not None:
                return from_view
        direct = await self._reads.run(Query(count_best_sellers, (request.days,), cost="scan"))
        return AsOf(direct.timestamp, direct.value[: request.limit])

"""The best sellers over HTTP."""

from jangteo.core.rows import BestSeller
from jangteo.storage import top_sellers
from jangteo.storage.port import Question


def list_best_sellers() -> Question[list[BestSeller]]:
    """List the five best sellers of the last 72 hours, best first."""
    return Question(top_sellers.read_best_sellers, takes_long=True)

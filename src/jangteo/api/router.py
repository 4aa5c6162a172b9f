"""From a path to its routes. Literal segments go before ids, so `/products/top` is no product."""

from collections.abc import Iterable
from typing import NamedTuple

from jangteo.api.route import Route


class Match(NamedTuple):
    """The routes of a path by method, and the path's ids, not yet read."""

    by_method: dict[str, Route]
    ids: list[str]


class _Place:
    def __init__(self) -> None:
        self.literal: dict[str, _Place] = {}
        self.id: _Place | None = None
        self.by_method: dict[str, Route] = {}


class Router:
    """All paths, segment by segment."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Place()
        for route in routes:
            self._place(route.path).by_method[route.method] = route

    def find(self, path: str) -> Match | None:
        """The routes at a path; None where there is nothing."""
        place = self._root
        ids: list[str] = []
        for part in path[1:].split("/"):
            there = place.literal.get(part)
            if there is None:
                there = place.id
                if there is None or not part:
                    return None
                ids.append(part)
            place = there
        return Match(place.by_method, ids) if place.by_method else None

    def _place(self, path: str) -> _Place:
        place = self._root
        for part in path[1:].split("/"):
            if part.startswith("{"):
                place.id = place.id or _Place()
                place = place.id
            else:
                place = place.literal.setdefault(part, _Place())
        return place

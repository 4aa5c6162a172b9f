"""Finds the routes of a path. Literal segments take precedence over ids, so `/products/top` is not a product."""

from collections.abc import Iterable
from typing import NamedTuple

from jangteo.api.route import Route


class Match(NamedTuple):
    """The routes of a path by method, and the ids in the path, not parsed yet."""

    by_method: dict[str, Route]
    ids: list[str]


def allowed_methods(by_method: Iterable[str]) -> str:
    """Return the methods that a path takes, as the header `Allow` names them."""
    methods = set(by_method)
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


class _Node:
    """A node of the tree of path segments."""

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.id: _Node | None = None
        self.by_method: dict[str, Route] = {}


class Router:
    """A tree of all paths, segment by segment."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route.path).by_method[route.method] = route

    def find(self, path: str) -> Match | None:
        """Return the routes of a path; None for an unknown path.

        None also for one with an escape: no path needs one, and a second spelling would pass a proxy's rules.
        """
        if "%" in path:
            return None
        node = self._root
        ids: list[str] = []
        for segment in path[1:].split("/"):
            child = node.literals.get(segment)
            if child is None:
                child = node.id
                if child is None or not segment:
                    return None
                ids.append(segment)
            node = child
        return Match(node.by_method, ids) if node.by_method else None

    def _add(self, path: str) -> _Node:
        node = self._root
        for segment in path[1:].split("/"):
            if segment.startswith("{"):
                node.id = node.id or _Node()
                node = node.id
            else:
                node = node.literals.setdefault(segment, _Node())
        return node

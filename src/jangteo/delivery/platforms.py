"""From a platform's URL to its sink."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from jangteo.delivery.json_lines import JsonLines
from jangteo.delivery.sinks import CannotUse, Sink


class Nowhere:
    """No platform: every event counts as delivered at once, and is kept as long as others are."""

    async def send(self, events: Sequence[bytes]) -> Mapping[int, str]:  # noqa: ARG002 - the protocol's own signature
        """Nothing is sent."""
        return {}

    async def close(self) -> None:
        """Nothing is held."""


def open_sink(url: str, secret: str | None = None, taken: Collection[Path] = ()) -> Sink:
    """The sink at a URL; `secret` signs what goes to an HTTP platform.

    Raises CannotUse where there is no such kind, it can't be used as named, or is one of the files taken. Reaches
    nothing yet: a platform that isn't there may come.
    """
    if url == "none":
        return Nowhere()
    path = url.removeprefix("file:")
    if not url.startswith("file:") or not path:
        raise CannotUse(f"the platform must be named as file:PATH or none, not {url.partition(':')[0]}:…")
    if secret is not None:
        raise CannotUse("a secret is for a platform that is reached over HTTP")
    sink = JsonLines(Path(path))
    sink.check(taken)
    return sink


def shown_platform(url: str) -> str:
    """The URL without what must stay secret."""
    return url

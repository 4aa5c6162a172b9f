"""Writes figures into a document, between markers, and leaves the rest as it is."""

from collections.abc import Sequence


def between(text: str, name: str, lines: Sequence[str]) -> str:
    """Replace what stands between the markers of this name. Raises ValueError when they are missing."""
    begin, end = f"<!-- bench: {name} -->", f"<!-- bench: end of {name} -->"
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"the markers {begin} and {end} are missing")
    return "\n".join([before + begin, "", *lines, "", end]) + after

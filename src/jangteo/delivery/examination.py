"""Examines the platform: whether it can be reached, without sending it an event."""

from collections.abc import Collection
from pathlib import Path
from typing import Final

from jangteo.delivery.sinks.base import InvalidPlatform, PlatformUnavailable
from jangteo.delivery.sinks.platforms import open_sink
from jangteo.storage.diagnosis import Diagnosis, danger, note, ok
from jangteo.storage.free_disk import examine_disk
from jangteo.url_secrets import shown_url

PROBE_TIMEOUT_S: Final = 5.0
_SUBJECT: Final = "platform"
_WAITING: Final = "until it is reachable its events wait in the database"


async def examine_platform(url: str, secrets: Collection[str], shop_files: Collection[Path]) -> list[Diagnosis]:
    """Reach the platform within `PROBE_TIMEOUT_S`; for a file also examine its disk."""
    try:
        sink = open_sink(url, secrets, shop_files)
    except InvalidPlatform as error:
        return [danger(_SUBJECT, str(error), "a server with this platform doesn't start")]
    shown = shown_url(url)
    try:
        found = f"{shown} {await sink.probe(PROBE_TIMEOUT_S)}"
    except PlatformUnavailable as error:
        return [note(_SUBJECT, f"{shown} can't be reached ({error})", _WAITING)]
    finally:
        await sink.close()
    if url == "none":
        return [note(_SUBJECT, "none, so every event counts as sent", "name one with --platform if events are wanted")]
    return [ok(_SUBJECT, found), *_disk(url)]


def _disk(url: str) -> list[Diagnosis]:
    if not url.startswith("file:"):
        return []
    return [examine_disk("platform's disk", Path(url.removeprefix("file:")).resolve().parent)]

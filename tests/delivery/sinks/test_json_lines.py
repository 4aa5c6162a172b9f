"""The file platform: one event a line, whole lines only, whatever happens to the file."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from threading import Event

import pytest

from jangteo.delivery.sinks.base import PlatformUnavailable
from jangteo.delivery.sinks.json_lines import JsonLines


def send(path: Path, *batches: list[bytes]) -> None:
    async def scenario() -> None:
        sink = JsonLines(path)
        for events in batches:
            assert await sink.send(events) == {}
        await sink.close()

    asyncio.run(scenario())


def test_each_event_is_appended_as_a_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    send(path, [b'{"id":1}', b'{"id":2}'])
    send(path, [b'{"id":3}'])
    assert path.read_bytes() == b'{"id":1}\n{"id":2}\n{"id":3}\n'


@pytest.mark.parametrize("size", [1, 70_000, 200_000])
def test_a_line_torn_by_a_crash_is_removed(tmp_path: Path, size: int) -> None:
    path = tmp_path / "events.jsonl"
    torn = b'{"id":2' + b" " * size
    path.write_bytes(b'{"id":1}\n' + torn)
    send(path, [b'{"id":2}'])
    assert path.read_bytes() == b'{"id":1}\n{"id":2}\n'
    path.write_bytes(torn)
    send(path, [b'{"id":2}'])
    assert path.read_bytes() == b'{"id":2}\n'
    path.write_bytes(b'{"precious": true}')
    send(path, [b'{"id":2}'])
    assert path.read_bytes() == b'{"precious": true}\n{"id":2}\n'


def test_a_rotated_file_is_created_again(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"

    async def scenario() -> None:
        sink = JsonLines(path)
        await sink.send([b'{"id":1}'])
        path.rename(tmp_path / "events.1")
        await sink.send([b'{"id":2}'])
        path.unlink()
        await sink.send([b'{"id":3}'])
        await sink.close()

    asyncio.run(scenario())
    assert (tmp_path / "events.1").read_bytes() == b'{"id":1}\n'
    assert path.read_bytes() == b'{"id":3}\n'


def test_a_full_disk_is_unavailable_and_leaves_no_torn_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    write = os.write

    def write_a_little(file: int, data: bytes) -> int:
        if path.stat().st_size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data[:5])

    async def scenario() -> None:
        sink = JsonLines(path)
        monkeypatch.setattr(os, "write", write_a_little)
        with pytest.raises(PlatformUnavailable, match="No space left"):
            await sink.send([b'{"id":1}'])
        monkeypatch.setattr(os, "write", write)
        await sink.send([b'{"id":1}'])
        await sink.close()

    asyncio.run(scenario())
    assert path.read_bytes() == b'{"id":1}\n'


def test_a_cancelled_send_is_finished_before_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    started, go_on = Event(), Event()
    flush = os.fdatasync

    def flush_slowly(file: int) -> None:
        started.set()
        assert go_on.wait(30)
        flush(file)

    async def scenario() -> None:
        sink = JsonLines(path)
        monkeypatch.setattr(os, "fdatasync", flush_slowly)
        sending = asyncio.ensure_future(sink.send([b'{"id":1}']))
        assert await asyncio.to_thread(started.wait, 30)
        sending.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await sink.send([b'{"id":2}'])
        await sink.close()

    asyncio.run(scenario())
    assert path.read_bytes() == b'{"id":1}\n{"id":2}\n'

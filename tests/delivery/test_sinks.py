from __future__ import annotations

from pathlib import Path

import pytest

from jangteo.delivery.sinks import CannotUse, JsonLines, open_sink


def test_events_are_appended_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for events in ([b'{"id":1}', b'{"id":2}'], [b'{"id":3}']):
        sink = open_sink(f"file:{path}")
        sink.send(events)
        sink.close()
    assert path.read_bytes() == b'{"id":1}\n{"id":2}\n{"id":3}\n'


@pytest.mark.parametrize("size", [1, 70_000, 200_000])
def test_a_line_that_a_crash_has_torn_is_cut_off(tmp_path: Path, size: int) -> None:
    path = tmp_path / "events.jsonl"
    torn = b'{"id":2' + b" " * size
    path.write_bytes(b'{"id":1}\n' + torn)
    sink = JsonLines(path)
    sink.send([b'{"id":2}'])
    sink.close()
    assert path.read_bytes() == b'{"id":1}\n{"id":2}\n'
    path.write_bytes(torn)
    sink.send([b'{"id":2}'])
    sink.close()
    assert path.read_bytes() == b'{"id":2}\n'
    path.write_bytes(b'{"precious": true}')
    sink.send([b'{"id":2}'])
    sink.close()
    assert path.read_bytes() == b'{"precious": true}\n{"id":2}\n'


def test_a_file_that_was_rotated_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    sink = JsonLines(path)
    sink.send([b'{"id":1}'])
    path.rename(tmp_path / "events.1")
    sink.send([b'{"id":2}'])
    path.unlink()
    sink.send([b'{"id":3}'])
    sink.close()
    assert (tmp_path / "events.1").read_bytes() == b'{"id":1}\n'
    assert path.read_bytes() == b'{"id":3}\n'


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://x", "file:PATH, not ftp:"),
        ("file:", "file:PATH"),
        ("file:{folder}", "is no file"),
        ("file:/dev/null", "is no file"),
        ("file:{folder}/taken", "own database"),
        ("file:{folder}/missing/events.jsonl", "create it first"),
        ("file:{folder}/shop.db", "no JSON Lines file; nothing was changed"),
    ],
)
def test_a_platform_that_cannot_be_used_is_told_in_one_line(tmp_path: Path, url: str, says: str) -> None:
    (tmp_path / "shop.db").write_bytes(b"SQLite format 3\x00")
    with pytest.raises(CannotUse) as refused:
        open_sink(url.format(folder=tmp_path), [tmp_path / "taken"])
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert (tmp_path / "shop.db").read_bytes() == b"SQLite format 3\x00"

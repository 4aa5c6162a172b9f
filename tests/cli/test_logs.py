"""Log lines: whole and one JSON object each, whatever writes them; without secrets; and never in a shop's way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from jangteo.logs import LINE_MAX_BYTES, render_line
from tests.serving import JANGTEO

PROCESSES = 3
THREADS = 4
ROUNDS = 400
NOISY = f"""
import logging, threading, structlog
from jangteo import logs

logs.configure()
ours, theirs = structlog.get_logger(), logging.getLogger("some.library")

def write():
    for number in range({ROUNDS}):
        ours.info("ours", number=number)
        theirs.error("theirs %s", number)
        try:
            {{}}["\\uac00" * number * 20]
        except KeyError:
            ours.exception("ours")
            theirs.exception("theirs")

threads = [threading.Thread(target=write) for _ in range({THREADS})]
for each in threads: each.start()
for each in threads: each.join()
"""
FAILING = """
import logging, threading, structlog
from jangteo import logs

logs.configure()

def fail():
    password = "open sesame"
    raise RuntimeError("what happened")

try:
    fail()
except RuntimeError:
    structlog.get_logger().exception("ours")
    logging.getLogger("some.library").exception("theirs")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
"""


def logged(program: str) -> list[dict[str, Any]]:
    run = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, check=False, timeout=60)
    return [json.loads(line) for line in run.stderr.splitlines()]


@pytest.mark.long
def test_lines_of_threads_and_processes_on_one_pipe_are_whole() -> None:
    reading, writing = os.pipe()
    programs = [subprocess.Popen([sys.executable, "-c", NOISY], stderr=writing) for _ in range(PROCESSES)]
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        lines = pipe.readlines()
    assert [each.wait() for each in programs] == [0] * PROCESSES
    events = Counter(json.loads(line)["event"].split()[0] for line in lines)
    assert events == {"ours": PROCESSES * THREADS * ROUNDS * 2, "theirs": PROCESSES * THREADS * ROUNDS * 2}
    assert max(map(len, lines)) <= LINE_MAX_BYTES


def test_lines_of_libraries_have_the_fields_of_ours_and_the_loggers_name() -> None:
    ours, theirs, *_ = logged(FAILING)
    assert set(ours) == {"event", "level", "timestamp", "exception"}
    assert set(theirs) == {*ours, "logger"}
    assert (ours["level"], theirs["level"], theirs["logger"]) == ("error", "error", "some.library")


def test_every_traceback_is_within_its_line_and_without_local_variables() -> None:
    lines = logged(FAILING)
    assert [line["event"] for line in lines] == ["ours", "theirs", "uncaught exception", "uncaught exception"]
    for line in lines:
        assert line["exception"].startswith("Traceback")
        assert line["exception"].endswith("RuntimeError: what happened")
        assert "sesame" not in line["exception"]


@pytest.mark.parametrize(
    "event",
    [
        {"event": "short", "number": 1},
        {"event": "long", "exception": "Traceback" + "x" * 9_000 + "RuntimeError: what happened"},
        {"event": "\uac00" * 9_000, "number": 1},
        {"event": "nested", "rows": [{"id": number} for number in range(2_000)]},
        {"event": "many", "level": "info", **{f"field_{number}": "\U0001f34a" * 50 for number in range(900)}},
        {"event": "\0" * 9_000, "level": "\0" * 9_000, "timestamp": "\U0001f34a" * 9_000},
        {"event": "odd", "text": "\ud800", "value": object()},
    ],
    ids=lambda event: event["event"][:6].encode("unicode-escape").decode(),
)
def test_a_line_too_long_for_one_write_is_shortened_and_says_so(event: dict[str, Any]) -> None:
    line = render_line(None, "", dict(event))
    assert len(line.encode()) < LINE_MAX_BYTES
    short = json.loads(line)
    assert short.get("shortened", False) == (len(repr(event)) > 3_000)
    assert short["event"][:8] == event["event"][:8]
    if "exception" in event:
        assert short["exception"].startswith("Traceback")
        assert short["exception"].endswith("RuntimeError: what happened")


def test_a_shop_without_standard_error_is_served(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'shop.db'}"
    closing = ["bash", "-c", 'exec "$@" 2>&-', "bash", JANGTEO, "serve", "--port", "0", "--database", database]
    with subprocess.Popen(closing, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Jangteo is open at ")
        process.terminate()
        assert "Every acknowledged change is on disk" in process.stdout.read()
    assert process.returncode == 0

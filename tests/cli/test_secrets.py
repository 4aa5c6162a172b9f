"""Secrets are hidden by their values, in whatever is logged, printed, stored or raised."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest

from jangteo.delivery.sinks.base import InvalidPlatform, PlatformGone, PlatformUnavailable
from jangteo.redaction import Redaction, redaction
from jangteo.storage.errors import CannotOpen, Unavailable
from jangteo.storage.urls import open_storage
from jangteo.url_secrets import is_torn, secrets_of, shown_url
from tests.cli.conftest import Jangteo
from tests.delivery.sinks.test_hostile_webhook import answering, head_of
from tests.serving import Http, serve_in_process

KEY = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def redact(text: str, *secrets: str) -> str:
    alone = Redaction()
    alone.hide(secrets)
    return alone.redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "it is s3cr3t-pa/ss&word",
        "it is s3cr3t-pa%2Fss%26word",
        "it is s3cr3t-pa%2fss%26word",
        'it is "s3cr3t-pa/ss&amp;word"',
        "xxs3cr3t-pa/ss&wordxx",
    ],
)
def test_a_secret_is_hidden_as_it_is_encoded_or_escaped(text: str) -> None:
    for written in ("s3cr3t-pa/ss&word", "s3cr3t-pa%2Fss%26word"):
        shown = redact(text, written)
        assert "s3cr3t" not in shown
        assert "***" in shown


def test_a_short_secret_is_hidden_as_a_word() -> None:
    assert redact('postgresql://h: role "postgres"\\npostgres', "postgres") == 'postgresql://h: role "***"\\n***'
    assert redact("abc", "abc") == "abc"
    assert redact("abc", "") == "abc"


def test_the_longer_of_two_secrets_is_hidden_whole() -> None:
    assert redact("the long-secret-of-all", "long-secret", "long-secret-of-all") == "the ***"


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("postgresql://ann:pa55word@h/shop", {"pa55word"}),
        ("postgresql://ann@h/shop?password=pa55word&sslmode=require&sslpassword=other", {"pa55word", "other"}),
        ("postgresql://ann:ab/cdef@h/shop", {"ab/cdef", "cdef"}),
        ("postgresql://ann:ab@cdef@h/shop", {"ab@cdef", "cdef"}),
        ("https://ann:pa55word@h/hooks/T0024?key=query5&flag", {"pa55word", "T0024", "query5", "flag", "/hooks/T0024"}),
        ("https://t0ken@h/events", {"t0ken", b64encode(b"t0ken:").decode()}),
        ("nats://t0ken@a,b/shop.orders", {"t0ken"}),
        ("kafka://ann:pa55word@h:1,ann:pa55word@i:1/orders?security=sasl_ssl", {"pa55word"}),
        ("file:/var/lib/a:b@c", set()),
        ("sqlite:////var/lib/a:b@c", set()),
        ("none", set()),
        ("", set()),
    ],
)
def test_the_secrets_of_a_url_are_found(url: str, secrets: set[str]) -> None:
    found = {each for each in secrets_of(url) if len(each) >= 4}
    assert secrets <= found
    assert not found & {"ann", "shop", "events", "hooks", "orders", "require", "sasl_ssl", "shop.orders"}


@pytest.mark.parametrize("password", ["w0rd/y", "w0rd@y", "54/w0rdy", "w0rdy/", "@w0rdy", "pa?w0rdy/x"])
def test_a_password_with_an_unescaped_character_is_refused_and_not_quoted(password: str) -> None:
    with pytest.raises(CannotOpen, match="write any special character within a part of it as %XX") as error:
        open_storage(f"postgresql://ann:{password}@127.0.0.1:1/shop").check()
    assert "w0rd" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///shop?host=/tmp",
        "postgresql://%2Ftmp/shop",
        "postgresql://ann:pa55%2Fword@%2Ftmp:5433/shop",
        "postgresql://[::1]:5432/shop",
        "postgresql://[fe80::1%25eth0]/shop",
        "postgresql://ann:p?a#55@one:1,two:2,[::1]/shop?options=-c%20x%3Dy",
        "postgresql://ann:pa:55@one:/shop?user=a@b",
        "postgresql://ann:pa,55@one,two/shop",
        "postgres://ann@one",
    ],
)
def test_a_database_url_is_not_refused_for_what_the_driver_understands(url: str) -> None:
    assert not is_torn(url)
    open_storage(url)
    assert "55" not in shown_url(url)


@pytest.mark.parametrize(
    "command", ["relay", "migrate", "audit", "doctor", "doctor --json", "events status", "top status"]
)
def test_no_command_prints_a_torn_password(command: str, jangteo: Jangteo) -> None:
    for password in ("w0rd/y", "w0rd@y", "%zzw0rd"):
        result = jangteo(*command.split(), *["--database", f"postgresql://ann:{password}@127.0.0.1:1/shop"])
        assert result.code == 2
        assert "w0rd" not in result.out + result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["migrate", "postgresql://ann:s3/cret-w0rd@db/shop"],
        ["--databse=postgresql://ann:s3/cret-w0rd@db/shop"],
        ["serve", "https://hooks.example/in/cret-w0rd"],
        ["serve", "--port", f"whsec_{KEY}"],
        [f"whsec_{KEY}"],
    ],
)
def test_a_secret_in_the_wrong_place_is_not_quoted(arguments: list[str], jangteo: Jangteo) -> None:
    result = jangteo(*arguments)
    result.complains()
    assert "cret-w0rd" not in result.err
    assert KEY not in result.err


def test_a_defect_of_a_command_is_printed_without_secrets() -> None:
    program = (
        "import sys\n"
        "from jangteo.cli import main, migrate\n"
        "from jangteo.redaction import redaction\n"
        "redaction.hide(['pa55-w0rd-x'])\n"
        "def fail(url): raise RuntimeError('pa55-w0rd-x \\x1b[2J')\n"
        "migrate.open_storage = fail\n"
        "sys.argv = ['jangteo', 'migrate']\n"
        "main.main()\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == r"RuntimeError: *** \x1b[2J"
    assert "pa55-w0rd-x" not in run.stderr


LOGGING = f"""
import logging, threading, structlog
from jangteo import logs
from jangteo.delivery.sinks.base import InvalidPlatform, PlatformGone, PlatformUnavailable
from jangteo.redaction import redaction

logs.configure()
redaction.hide(["pa55-word!", {KEY!r}])
ours, theirs = structlog.get_logger(), logging.getLogger("some.library")
secret = 'pa55-word!"' + {KEY!r}
ours.warning("said " + secret, reason=secret, nested={{"a": [secret]}}, error=ValueError(secret))
theirs.error("said %s", secret)
try:
    raise ValueError(secret)
except ValueError:
    ours.exception("ours")
    theirs.exception("theirs")
raise ValueError(secret)
"""


def test_no_log_line_shows_a_secret() -> None:
    run = subprocess.run([sys.executable, "-c", LOGGING], stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    assert len(lines) == 5
    assert "pa55" not in run.stderr
    assert KEY not in run.stderr
    assert all("***" in json.dumps(line) for line in lines)
    assert lines[0]["nested"] == {"a": ['***"***']}


def test_a_terminal_is_shown_escaped_texts() -> None:
    program = (
        "import pty, os, sys\n"
        "code = 'import structlog; from jangteo import logs; logs.configure(); "
        'structlog.get_logger().warning("said", reason=chr(27) + "[2J" + chr(0x9b) + "x")\'\n'
        "pty.spawn([sys.executable, '-c', code])\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert "\\x1b[2J\\x9bx" in run.stdout
    assert "\x1b[2J" not in run.stdout


@pytest.mark.parametrize("kind", [Unavailable, CannotOpen, InvalidPlatform, PlatformUnavailable, PlatformGone])
def test_a_message_of_an_error_is_one_safe_line(kind: Callable[[str], Exception]) -> None:
    redaction.hide(["pa55word"])
    message = str(kind("it said\n\tpa55word \x1b[2J\x9b \u202e" + " and more" * 200))
    assert message.startswith("it said *** \\x1b[2J\\x9b \\u202e and more")
    assert message.isprintable()
    assert len(message) <= 1_000


def stored_text(database: Path, sql: str) -> str:
    """What the statement finds, once it finds something."""
    deadline = monotonic() + 30
    with closing(sqlite3.connect(database)) as raw:
        while not (rows := raw.execute(sql).fetchall()):
            assert monotonic() < deadline, sql
    return str(rows[0][0])


def test_an_echoing_platform_finds_its_secrets_nowhere(tmp_path: Path) -> None:
    def answer(request: bytes) -> Iterator[bytes]:
        head = head_of(request)
        path = head.split()[1]
        status = 422 if "order-1-" in request.decode() else 500
        body = f"{head} for {path}".encode()
        yield b"HTTP/1.1 %d No\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)

    database, log = tmp_path / "shop.db", tmp_path / "log"
    with answering(answer) as (port, _):
        platform = f"http://ann:pa55%2Fw0rd@127.0.0.1:{port}/in/T0024-pathsecret?token=querysecret"
        options = ["--platform", platform, "--platform-secret", f"whsec_{KEY}"]
        server = serve_in_process(f"sqlite:///{database}", *options, log=log)
        with Http(base_url=server.address, timeout=30) as http:
            user, product = http.user(balance=100_000), http.product()
            assert http.order(user, (product, 1)).status_code == 201
            rejected = stored_text(database, "SELECT reason FROM failed_events")
            assert http.order(user, (product, 1)).status_code == 201
            failure = stored_text(database, "SELECT failure FROM platforms WHERE failure IS NOT NULL")
        _, printed = server.interrupt()
    with closing(sqlite3.connect(database)) as raw:
        stored = "\n".join(raw.iterdump())
    assert "HTTP 500: POST ***" in failure
    assert "HTTP 422: POST ***" in rejected
    basic = b64encode(b"ann:pa55/w0rd").decode()
    for secret in ("pa55", basic, basic[:12], "pathsecret", "querysecret", KEY):
        for shown in (printed, log.read_text(), stored):
            assert secret not in shown

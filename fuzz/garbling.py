"""Bytes that go wrong: flipped, cut, inserted, doubled, and mixed with those of other requests."""

from random import Random
from typing import Final

_INSERTED: Final = (
    *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\n\n", b"\0", b" ", b"\t", b":", b"\xff", b"\r\n ", b"\r\n\t", b"\x0b"),
    *(b"transfer-encoding: chunked\r\n", b"transfer-encoding: gzip, chunked\r\n", b"transfer-encoding:\x0bchunked\r\n"),
    *(b"content-length: 0\r\n", b"content-length: 5\r\n", b"content-length: -1\r\n", b"content-length: 1, 1\r\n"),
    *(b"content-length: 99999999999999999999\r\n", b"content-length: 0x10\r\n", b"host: other\r\n", b"host:\r\n"),
    *(b"expect: 200-maybe\r\n", b"connection: close\r\n", b"connection: upgrade\r\nupgrade: h2c\r\n", b"0\r\n\r\n"),
    *(b"FFFFFFFFFFFFFFFF\r\n", b"5;" + b"x" * 70_000, b"x-long: " + b"x" * 70_000 + b"\r\n", b"x: y\r\n" * 3_000),
    *(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/0.9\r\n\r\n", b"\r\n" * 100),
)
_STRAY: Final = (b"stray", b"\r\nstray\r\n\r\n", b"\0\0\0\0", b"GET", b"}", b"GET / HTTP/1.1\r\n\r\n", b"X / Y\r\n\r\n")


def garble(data: bytes, other: bytes, random: Random) -> bytes:
    """Return bytes of requests with one to four things changed; `other` are bytes of another request."""
    for _ in range(random.choice((1, 1, 2, 4))):
        data = _insert(data, random) if random.random() < 0.25 else _change(data, other, random)
    return data


def stray(random: Random) -> bytes:
    """Return bytes that are no request."""
    return random.choice(_STRAY)


def _change(data: bytes, other: bytes, random: Random) -> bytes:
    at, end = sorted((random.randint(0, len(data)), random.randint(0, len(data))))
    match random.randrange(6):
        case 0:
            flipped = bytes(byte ^ 1 << random.randrange(8) for byte in data[at : at + 1])
            return data[:at] + flipped + data[at + 1 :]
        case 1:
            return data[:at]
        case 2:
            return data[:at] + data[end:]
        case 3:
            return data[:end] + data[at:]
        case 4:
            return data[:at] + other[random.randint(0, len(other)) :] + data[at:]
        case _:
            return data[:at] + random.randbytes(random.choice((1, 3, 100))) + data[at:]


def _insert(data: bytes, random: Random) -> bytes:
    """Insert something, mostly where a line begins."""
    lines = data.split(b"\r\n")
    if random.random() < 0.3:
        at = random.randint(0, len(data))
        return data[:at] + random.choice(_INSERTED) + data[at:]
    index = random.randrange(len(lines))
    lines[index] = random.choice((*_INSERTED, random.choice(lines) + b"\r\n")) + lines[index]
    return b"\r\n".join(lines)

"""A bare echo: the ceiling that this machine, Python, the HTTP server and JSON set for any shop.

It decodes an order and answers with it, on plain uvicorn (uvloop, httptools), without the bounds of
`jangteo serve`. A GET is answered with `--answer-bytes` bytes.
Run as `python -m bench.contenders.echo --answer-bytes 7000`.
"""

import argparse
import signal
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import uvicorn

from jangteo.engine import gc_tuning

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class EchoedItem(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One item of an order."""

    product_id: int
    quantity: int


class EchoedOrder(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """An order as the shop's clients send it."""

    user_id: int
    items: tuple[EchoedItem, ...]
    coupon_id: int | None = None


_decode = msgspec.json.Decoder(EchoedOrder).decode
_encode = msgspec.json.Encoder().encode


class Echo:
    """The ASGI application: a POST returns the order it decoded, a GET returns `answer`."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one request, or the server's lifespan."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["method"] == "GET":
            await _reply(send, 200, self._answer)
        else:
            await _reply(send, 201, _encode(_decode(await _body(receive))))


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _reply(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def json_text(length: int) -> bytes:
    """A JSON string of `length` bytes, quotes included."""
    return b'"' + b"x" * max(length - 2, 0) + b'"'


def serve(echo: Echo) -> None:
    """Serve on a free loopback port until SIGINT or SIGTERM."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"The echo is open at http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    for closing in (signal.SIGINT, signal.SIGTERM):
        signal.signal(closing, lambda *_: None)
    gc_tuning.tune_gc()
    config = uvicorn.Config(echo, loop="uvloop", http="httptools", interface="asgi3", log_config=None, access_log=False)
    uvicorn.Server(config).run(sockets=[listening])


def main() -> None:
    """Parse the options and serve."""
    options = argparse.ArgumentParser(description="A bare echo under the shop's server.")
    options.add_argument("--answer-bytes", type=int, default=2, help="size of the answer to a GET")
    serve(Echo(json_text(options.parse_args().answer_bytes)))


if __name__ == "__main__":
    main()

"""The thinnest HTTP there is in Python: bare ASGI and a fast JSON library, for peers whose work is done elsewhere."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import orjson

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Call = Callable[[Any], Awaitable[object]]


class Refused(Exception):
    """The shop says no; the message says why."""


class ThinHttp:
    """An ASGI application of POST calls: each is given the decoded body and returns what is encoded as the answer."""

    def __init__(self, calls: Mapping[str, Call], opened: Callable[[], Awaitable[None]]) -> None:
        self._calls = calls
        self._opened = opened

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one request, or the server's lifespan."""
        if scope["type"] == "lifespan":
            await receive()
            await self._opened()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["method"] == "GET":
            await _reply(send, 200, b"{}")
        else:
            body = orjson.loads(await _body(receive))
            try:
                answer = await self._calls[scope["path"]](body)
            except Refused as refused:
                await _reply(send, 409, orjson.dumps({"detail": str(refused)}))
            else:
                await _reply(send, 201, orjson.dumps(answer))


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

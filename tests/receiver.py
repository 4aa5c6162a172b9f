"""An HTTP platform, as a program: accepts webhooks, verifies their signatures, and misbehaves on request.

`python tests/receiver.py FILE [--secret whsec_…] [--port N]` prints the URL for events. Each accepted event is a
line of the file, `{"at": seconds since 1970, "event": …}`, written before the response.

JSON by POST to `/control` sets its behaviour: `{"plans": [PLAN, …]}` is for the next requests, one each; a plan is
`{"do": "answer", "status": N, "headers": {…}, "body": "…"}`, `{"do": "hang"}`, `{"do": "drip"}`, `{"do": "cut"}`, which
breaks off the response, or `{"do": "vanish"}`, which closes the connection without one. `{"refuse": [ID, …]}` answers
422 to a request with such an event, `{"max_bytes": N}` 413 to a larger one; `{"close": true}` closes all connections.
GET returns counts, with `?requests=N` once so many requests have arrived.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import uvloop
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

BATCH = "application/cloudevents-batch+json"


class EventId(msgspec.Struct):
    id: str


class Plan(msgspec.Struct):
    do: str
    status: int = 200
    headers: dict[str, str] = {}
    body: str = ""


class Control(msgspec.Struct):
    plans: list[Plan] = []
    refuse: list[str] | None = None
    max_bytes: int | None = None
    close: bool = False


READ_BATCH = msgspec.json.Decoder(list[msgspec.Raw])
READ_ID = msgspec.json.Decoder(EventId)


class Receiver:
    def __init__(self, file: BinaryIO, secret: str | None) -> None:
        self.file = file
        self.verifier = None if secret is None else Webhook(secret)
        self.plans: list[Plan] = []
        self.refuse: set[str] = set()
        self.max_bytes = 2**40
        self.connections: set[asyncio.BaseTransport] = set()
        self.counts = {"requests": 0, "events": 0, "connections": 0, "unverified": 0}
        self.headers: dict[str, str] = {}
        self.arrived = asyncio.Condition()

    async def receive(self, request: web.Request) -> web.StreamResponse:
        self.count_connection(request)
        body = await request.read()
        self.counts["requests"] += 1
        async with self.arrived:
            self.arrived.notify_all()
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        if refused := self.refusal(request, body):
            return refused
        plan = self.plans.pop(0) if self.plans else Plan("answer")
        if plan.do in {"hang", "drip", "vanish"}:
            return await self.fail(request, plan)
        if plan.status >= 300:
            return _answer(plan)
        return await self.accept(request, plan, READ_BATCH.decode(body))

    async def fail(self, request: web.Request, plan: Plan) -> web.StreamResponse:
        if plan.do == "hang":
            # Until the client disconnects: then this is cancelled.
            await asyncio.Event().wait()
        if plan.do == "drip":
            return await self.drip(request)
        return self.vanish(request)

    async def accept(self, request: web.Request, plan: Plan, events: list[msgspec.Raw]) -> web.StreamResponse:
        if self.refuse and any(READ_ID.decode(event).id in self.refuse for event in events):
            return web.Response(status=422, text="one of these\nis not welcome")
        self.write(time.time(), events)
        return await self.cut(request) if plan.do == "cut" else _answer(plan)

    def refusal(self, request: web.Request, body: bytes) -> web.Response | None:
        if self.verifier is not None:
            try:
                self.verifier.verify(body, dict(request.headers), json_parse=False)
            except WebhookVerificationError as error:
                self.counts["unverified"] += 1
                return web.Response(status=401, text=str(error))
        if request.content_type != BATCH:
            return web.Response(status=415)
        if len(body) > self.max_bytes:
            return web.Response(status=413)
        return None

    def write(self, at: float, events: list[msgspec.Raw]) -> None:
        self.counts["events"] += len(events)
        start = b'{"at":%.6f,"event":' % at
        self.file.write(b"".join(start + bytes(event) + b"}\n" for event in events))
        self.file.flush()

    def count_connection(self, request: web.Request) -> None:
        transport = request.transport
        if transport is not None and transport not in self.connections:
            self.connections.add(transport)
            self.counts["connections"] += 1

    async def drip(self, request: web.Request) -> web.StreamResponse:
        """Send an endless response, a byte at a time."""
        answer = web.StreamResponse()
        await answer.prepare(request)
        with suppress(ConnectionError):
            while True:
                await answer.write(b".")
                await asyncio.sleep(0.01)
        return answer

    async def cut(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"content-length": "1000"})
        await answer.prepare(request)
        await answer.write(b"this is the beginn")
        return self.vanish(request, answer)

    def vanish(self, request: web.Request, answer: web.StreamResponse | None = None) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.close()
        return answer or web.Response()

    async def configure(self, request: web.Request) -> web.Response:
        control = msgspec.json.decode(await request.read(), type=Control)
        self.plans += control.plans
        if control.refuse is not None:
            self.refuse = set(control.refuse)
        if control.max_bytes is not None:
            self.max_bytes = control.max_bytes
        if control.close:
            for connection in self.connections:
                connection.close()
            self.connections.clear()
        return web.Response()

    async def state(self, request: web.Request) -> web.Response:
        awaited = int(request.query.get("requests", 0))
        async with self.arrived:
            await self.arrived.wait_for(lambda: self.counts["requests"] >= awaited)
        return web.json_response({**self.counts, "plans": len(self.plans), "headers": self.headers})


def _answer(plan: Plan) -> web.Response:
    return web.Response(status=plan.status, headers=plan.headers, text=plan.body)


async def serve(receiver: Receiver, port: int) -> None:
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/events", receiver.receive)
    app.router.add_post("/control", receiver.configure)
    app.router.add_get("/control", receiver.state)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    address: Any = runner.addresses[0]
    print(f"http://127.0.0.1:{address[1]}/events", flush=True)  # noqa: T201 - how whoever started it finds it
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--secret")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    with Path(options.file).open("ab") as file:
        uvloop.run(serve(Receiver(file, options.secret), options.port))


if __name__ == "__main__":
    main()

"""Signatures of Standard Webhooks, while their secret is changed: one for each, and a receiver accepts either."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from pathlib import Path

import pytest

from jangteo.delivery.sinks.signing import read_secret, signature_headers
from jangteo.delivery.sinks.urls import parse_address
from jangteo.delivery.sinks.webhook import Webhook
from tests.receiving import running_receiver
from tests.sent_events import closed_after, event, ids

OLD, NEW = (f"whsec_{b64encode(bytes([number]) * 32).decode()}" for number in (1, 2))


@pytest.mark.parametrize("secrets", [(OLD, NEW), (NEW, OLD)])
def test_while_a_secret_is_changed_receivers_of_either_accept(tmp_path: Path, secrets: tuple[str, ...]) -> None:
    events = [event(order) for order in range(5)]
    with running_receiver(tmp_path / "received.jsonl", OLD) as receiver:

        async def scenario() -> None:
            async with closed_after(Webhook(parse_address(receiver.url), secrets)) as sink:
                assert await sink.send(events) == {}

        asyncio.run(asyncio.wait_for(scenario(), 60))
        assert receiver.ids() == ids(events)


def test_each_key_has_a_signature_of_its_own() -> None:
    old, new = (signature_headers([read_secret(secret)], b"[]", 7)["webhook-signature"] for secret in (OLD, NEW))
    both = signature_headers([read_secret(OLD), read_secret(NEW)], b"[]", 7)
    assert old != new
    assert both["webhook-signature"] == f"{old} {new}"

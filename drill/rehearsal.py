"""One drill from the first process to the last check."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from time import time
from typing import Final

import aiohttp
from msgspec import Struct

from drill import judgement, shop_rows
from drill.answers import Acknowledged, Failure
from drill.client import Client
from drill.cluster.cluster import Cluster
from drill.cluster.primary import PrimaryWatch
from drill.customers import Customers
from drill.customers import session as customers_session
from drill.faults import Faults
from drill.judgement import Findings, ReceivedEvent, Row
from drill.programs import environment
from drill.timeline import Span, late_answers, spans
from drill.waiting import until

_ANSWER_TIMEOUT_S: Final = 4
_FLOWING_TIMEOUT_S: Final = 60
_PUBLISHED_TIMEOUT_S: Final = 60


class Rehearsal(Struct, frozen=True):
    """What was done, and what came of it."""

    spans: Sequence[Span]
    acknowledged: Sequence[Acknowledged]
    failures: Sequence[Failure]
    rows: Sequence[Row]
    events: Sequence[ReceivedEvent]
    findings: Findings


async def rehearse(cluster: Cluster, names: Sequence[str], number: int, log: Callable[[str], None]) -> Rehearsal:
    """Start the cluster, make these faults while customers shop, and judge. Raises DrillFailed if it can't go on."""
    timeout = aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session, customers_session() as shopping:
        await cluster.start(session)
        log("two servers in the balancer")
        customers = Customers(cluster.balancer.address, number, shopping)
        watch = PrimaryWatch(cluster.nodes)
        faults = Faults(cluster, customers, watch, session, log)
        async with watch.watching(), customers.shopping():
            log(f"{number} customers")
            await customers.flowing(_FLOWING_TIMEOUT_S)
            for name in names:
                await faults.make(name)
            ended = time()
    log("judging")
    return await _judged(cluster, customers.client, spans(faults.made, ended))


async def _judged(cluster: Cluster, client: Client, made: Sequence[Span]) -> Rehearsal:
    url = cluster.url("shop")

    async def published() -> bool:
        return await asyncio.to_thread(shop_rows.waiting_batches, url) == 0

    await until(published, "all events at the platform", _PUBLISHED_TIMEOUT_S)
    rows = await asyncio.to_thread(shop_rows.read_rows, url)
    balances = await asyncio.to_thread(shop_rows.read_balances, url)
    events = shop_rows.read_events(cluster.platform.events)
    acknowledged, unanswered = client.acknowledged, client.unanswered
    findings = Findings(
        lost=judgement.lost(acknowledged, rows),
        doubled=judgement.doubled(acknowledged, rows, unanswered),
        events_of_lost_orders=judgement.events_of_lost_orders(events, rows),
        missing_events=judgement.missing_events(acknowledged, events),
        doubled_events=judgement.doubled_events(events),
        others=[
            *judgement.wrong_balances(acknowledged, balances, unanswered),
            *(f"{each.kind} with key {each.key} was never answered" for each in unanswered),
            *(f"refused: {each.reason}" for each in client.failures if each.reason.startswith("4")),
            *late_answers([each.at for each in acknowledged], made),
            *await _audit(url),
        ],
    )
    return Rehearsal(made, acknowledged, client.failures, rows, events, findings)


async def _audit(url: str) -> list[str]:
    """Return what `jangteo audit` printed if an invariant is broken."""
    command = [sys.executable, "-m", "jangteo", "audit", "--database", url]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment()
    )
    printed, _ = await process.communicate()
    return [] if process.returncode == 0 else [f"jangteo audit: {line}" for line in printed.decode().splitlines()]

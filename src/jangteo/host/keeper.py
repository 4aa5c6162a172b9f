"""The keeper's process: sends the shop's events and keeps its best sellers, for all front ends of the host."""

import asyncio

import uvloop

from jangteo.app import Keeper, close, reads_of, system_clock
from jangteo.engine.commands import Commands
from jangteo.host.beating import beat
from jangteo.host.instructions import Instructions
from jangteo.lifeline import END, WINDOW, Lifeline


def run(instructions: Instructions, lifeline: Lifeline) -> None:
    """Keep the shop until the supervisor ends this process, or is gone."""
    uvloop.run(_run(instructions, lifeline))


async def _run(instructions: Instructions, lifeline: Lifeline) -> None:
    settings, storage = instructions.settings, instructions.storage(logs=True)
    commands = Commands(instructions.writer(watches=True))
    reads = reads_of(settings, storage, system_clock)
    keeper = Keeper(settings, storage, commands, reads)
    loop, ending = asyncio.get_running_loop(), asyncio.Event()

    def hear(line: str) -> None:
        word, *days = line.split()
        if word == END:
            loop.call_soon_threadsafe(ending.set)
        elif word == WINDOW:
            loop.call_soon_threadsafe(keeper.request_window, int(days[0]))

    beating = loop.create_task(beat(lifeline))
    await commands.start()
    reads.start()
    keeper.start()
    lifeline.listen(hear)
    await ending.wait()
    await close(keeper.upkeep, commands, reads)
    beating.cancel()

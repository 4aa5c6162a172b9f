"""The replay's job: send the events of a span of time again."""

from typing import Final

from jangteo.core.relay import RecordReplayProgress
from jangteo.delivery.sender import Sender
from jangteo.storage import outbox
from jangteo.storage.replay import Replay

_EVENTS_PER_STEP: Final = 500


class ReplayJob:
    """Sends the unfinished replay's events, a few event batches a step, and records its progress."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def step(self, replay: Replay | None) -> bool:
        """Send the next event batches and return whether there is a replay. Raises what sending raises."""
        if replay is None:
            return False
        span = (replay.since, replay.until)
        async with self._sender.lock:
            batches = await self._sender.query(
                outbox.read_sent, span, replay.done_batch, replay.last_batch, _EVENTS_PER_STEP
            )
            if batches is None:
                progress = RecordReplayProgress(replay.replay_id, replay.last_batch, replay.sent_events, finished=True)
            else:
                events = await self._sender.send_batches(batches, outbox.read_outbox_ids_of_sent)
                progress = RecordReplayProgress(
                    replay.replay_id, batches.event_batches[-1], replay.sent_events + events, finished=False
                )
            await self._sender.submit(progress)
        return True

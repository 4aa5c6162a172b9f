"""The retry queue's job: send failed events whose next attempt is due."""

from collections.abc import Sequence

from jangteo.core.relay import RecordDelivered
from jangteo.delivery.retry_schedule import failed_event
from jangteo.delivery.sender import Sender
from jangteo.storage.retry_queue import DueRetry


class RetryQueue:
    """Sends due retries again, and records which were delivered and when the others are due next."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def step(self, due: Sequence[DueRetry]) -> bool:
        """Send these and return whether there were any. Raises what sending raises."""
        if not due:
            return False
        blocked = self._sender.blocked
        async with self._sender.lock:
            for retry in due:
                # One that an operator has just retried was a dead letter: its order isn't blocked yet.
                blocked.block(retry.order_id, retry.outbox_id)
            unsent = {each.index: each for each in await self._sender.send([retry.text.encode() for retry in due])}
            delivered = [retry for index, retry in enumerate(due) if index not in unsent]
            await self._sender.record_failures(
                [failed_event(each, due[index].outbox_id, due[index].attempts) for index, each in unsent.items()]
            )
            if delivered:
                await self._sender.submit(RecordDelivered(tuple(retry.outbox_id for retry in delivered)))
            for retry in delivered:
                blocked.unblock(retry.order_id, retry.outbox_id)
        return True

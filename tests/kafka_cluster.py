"""A Kafka cluster for tests: the client library's mock, in a process that can be suspended and killed.

Run as a program, it prints its brokers' addresses and serves over TCP until its standard input ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

BROKERS = 3


class KafkaCluster:
    """Topics are created on first use, with four partitions each."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.brokers = self._process.stdout.readline().strip()
        assert self.brokers, "the cluster didn't start"

    def url(self, topic: str) -> str:
        return f"kafka://{self.brokers}/{topic}"

    def create(self, topic: str) -> None:
        """Create a topic by using it."""
        Producer({"bootstrap.servers": self.brokers}).list_topics(topic, timeout=30)

    def suspend(self) -> None:
        """Suspend the process; its connections stay open."""
        self._process.send_signal(signal.SIGSTOP)
        # Wait until every thread is suspended.
        os.waitpid(self._process.pid, os.WUNTRACED)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def read(self, topic: str, timeout_s: float = 30) -> list[Message[Any, Any]]:
        """All records in the topic now, in order within each partition."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": "reader", "enable.auto.commit": False})
        records: list[Message[Any, Any]] = []
        try:
            partitions = consumer.list_topics(topic, timeout=timeout_s).topics[topic].partitions
            offsets = [TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions]
            count = sum(consumer.get_watermark_offsets(offset, timeout=timeout_s)[1] for offset in offsets)
            consumer.assign(offsets)
            while len(records) < count:
                read = consumer.consume(num_messages=count - len(records), timeout=timeout_s)
                assert read, f"{len(records)} of {count} records arrived"
                records += [record for record in read if record.error() is None]
        finally:
            consumer.close()
        return records


@contextmanager
def running_kafka() -> Iterator[KafkaCluster]:
    cluster = KafkaCluster()
    try:
        yield cluster
    finally:
        cluster.kill()


if __name__ == "__main__":
    host = Producer({"bootstrap.servers": "", "test.mock.num.brokers": BROKERS, "log_level": 0})
    brokers = host.list_topics(timeout=30).brokers.values()
    print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)  # noqa: T201 - read by the test
    sys.stdin.read()

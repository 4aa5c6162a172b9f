"""A Kafka cluster for tests: the client library's own mock of one, in a process that can be stopped and killed.

As a program it prints its brokers' addresses and lives until its standard input ends. Others reach it over TCP.
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
    """Topics are made as they are named, with four partitions each."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.brokers = self._process.stdout.readline().strip()
        assert self.brokers, "the cluster didn't start"

    def url(self, topic: str) -> str:
        return f"kafka://{self.brokers}/{topic}"

    def suspend(self) -> None:
        """Stop it, with its connections open."""
        self._process.send_signal(signal.SIGSTOP)
        # A stop takes its time to reach every thread.
        os.waitpid(self._process.pid, os.WUNTRACED)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def read(self, topic: str, seconds: float = 30) -> list[Message[Any, Any]]:
        """All records that the topic has now, those of a partition in their order."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": "reader", "enable.auto.commit": False})
        records: list[Message[Any, Any]] = []
        try:
            partitions = consumer.list_topics(topic, timeout=seconds).topics[topic].partitions
            places = [TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions]
            count = sum(consumer.get_watermark_offsets(place, timeout=seconds)[1] for place in places)
            consumer.assign(places)
            while len(records) < count:
                read = consumer.consume(num_messages=count - len(records), timeout=seconds)
                assert read, f"{len(records)} of {count} records came"
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
    print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)  # noqa: T201 - how it is found
    sys.stdin.read()

"""Committing an operator's commands, beside servers or without any."""

from typing import Any

from jangteo.app import system_clock
from jangteo.core.book import Command
from jangteo.engine.batch import Failed, Submission, commit
from jangteo.engine.caller import CLI
from jangteo.storage.errors import Unavailable
from jangteo.storage.port import Connection


def submit(connection: Connection, command: Command) -> Any:
    """Commit an operator's command and return its result or refusal. Raises Unavailable."""
    result = commit(connection, [Submission(command, actor=CLI.actor)], system_clock)
    if result.not_begun is not None:
        raise Unavailable(result.not_begun)
    (outcome,) = result.outcomes
    if isinstance(outcome, Failed):
        raise Unavailable(outcome.reason)
    return outcome.value()

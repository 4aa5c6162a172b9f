"""A shop is fuzzed as `make fuzz` does it, with few steps and the same ones each time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fuzz.fuzzing import fuzz
from fuzz.served import prepared

STEPS = 600
SEED = 15
# Tests run side by side on few cores. What stands still is found all the same: every wait of a server is longer.
ANSWER_S = 8.0


@pytest.mark.long
def test_whatever_is_sent_is_answered_as_it_deserves_and_leaves_nothing_behind(database: str, tmp_path: Path) -> None:
    with prepared(tmp_path, database) as served:
        wrong = asyncio.run(fuzz(served, SEED, lambda steps: steps >= STEPS, ANSWER_S))
    assert not wrong, "\n".join(wrong)

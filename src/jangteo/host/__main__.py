"""The entry of a front end and of the keeper: `python -m jangteo.host ROLE LIFELINE`. Their supervisor starts them."""

import signal
import sys

from jangteo import logs
from jangteo.engine import gc_tuning
from jangteo.host import front_end, keeper
from jangteo.host.instructions import decode
from jangteo.lifeline import END, Lifeline


def main() -> None:
    """Run one process of a host until its supervisor ends it, or has ended itself."""
    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        # Some come to every process of a service; the supervisor decides when this one has nothing more to do.
        signal.signal(stop_signal, signal.SIG_IGN)
    role, descriptor = sys.argv[1:]
    lifeline = Lifeline(int(descriptor))
    line = lifeline.read()
    if line == END:
        return
    logs.configure()
    gc_tuning.tune_gc()
    run = {"front-end": front_end.run, "keeper": keeper.run}[role]
    run(decode(line), lifeline)


if __name__ == "__main__":
    main()

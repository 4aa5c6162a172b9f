"""The lifeline between a supervisor and a child process: a socket pair on which each hears that the other has ended.

The child sends a beat every second, so that the supervisor notices when it stands still. Both send lines of text.
"""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Final

BEAT_EVERY_S: Final = 1.0
DRAIN: Final = "drain"
"""From the supervisor: begin the drain."""
END: Final = "end"
"""From the supervisor: end. The end of the lifeline means the same."""
WINDOW: Final = "window"
"""From a front end, and on to the keeper: a client has requested best sellers of so many days."""
_BEAT: Final = ""


class Lifeline:
    """The child's end."""

    def __init__(self, descriptor: int) -> None:
        """Take over an inherited descriptor."""
        self.socket = socket.socket(fileno=descriptor)
        self._lines = self.socket.makefile(encoding="utf-8", newline="\n")

    def read(self) -> str:
        """Wait for one line; END if the supervisor is gone."""
        try:
            line = self._lines.readline()
        except OSError:
            return END
        return line[:-1] if line.endswith("\n") else END

    def send(self, line: str) -> None:
        """Send a line, from any thread. It is dropped while the supervisor doesn't read."""
        with suppress(OSError):
            self.socket.send(f"{line}\n".encode(), socket.MSG_DONTWAIT)

    def beat(self) -> None:
        """Tell the supervisor that this process goes on."""
        self.send(_BEAT)

    def start_beating(self) -> None:
        """Beat in a thread: for a process without an event loop."""
        Thread(target=self._beat, name="beat", daemon=True).start()

    def listen(self, hear: Callable[[str], None]) -> None:
        """Call `hear` in a thread with every line that comes, END the last."""
        Thread(target=self._listen, args=(hear,), name="lifeline", daemon=True).start()

    def _beat(self) -> None:
        while True:
            self.beat()
            time.sleep(BEAT_EVERY_S)

    def _listen(self, hear: Callable[[str], None]) -> None:
        while True:
            line = self.read()
            # The event loop is closed where a process was ending by itself.
            with suppress(RuntimeError):
                hear(line)
            if line == END:
                return

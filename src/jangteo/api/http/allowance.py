"""The allowance: how many bytes the large bodies of all connections of a process may take together."""


class Allowance:
    """Bytes that are taken while a large body arrives and until its request is answered."""

    def __init__(self, most_bytes: int) -> None:
        self._free_bytes = most_bytes

    def take(self, size: int) -> bool:
        """Take so many bytes; False, and nothing is taken, if that many aren't free."""
        if size > self._free_bytes:
            return False
        self._free_bytes -= size
        return True

    def give_back(self, size: int) -> None:
        """Give back bytes that were taken."""
        self._free_bytes += size

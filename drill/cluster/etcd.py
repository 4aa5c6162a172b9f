"""Three members of etcd, in which Patroni keeps who is the primary."""

from pathlib import Path
from typing import Final

from drill.packages import program
from drill.programs import Program, free_port

_MEMBERS: Final = ("etcd1", "etcd2", "etcd3")


class Etcd:
    """The members. Two of them are a quorum."""

    def __init__(self, folder: Path) -> None:
        peers = {name: f"http://127.0.0.1:{free_port()}" for name in _MEMBERS}
        clients = {name: f"http://127.0.0.1:{free_port()}" for name in _MEMBERS}
        together = ",".join(f"{name}={url}" for name, url in peers.items())
        self.hosts = [url.removeprefix("http://") for url in clients.values()]
        self.members = [
            Program(
                folder / name,
                [program("etcd")],
                system_user=True,
                ETCD_NAME=name,
                ETCD_DATA_DIR=str(folder / name / "data"),
                ETCD_LISTEN_PEER_URLS=peers[name],
                ETCD_INITIAL_ADVERTISE_PEER_URLS=peers[name],
                ETCD_LISTEN_CLIENT_URLS=clients[name],
                ETCD_ADVERTISE_CLIENT_URLS=clients[name],
                ETCD_INITIAL_CLUSTER=together,
                # With the v3 API, Debian 12's Patroni (3.0.2) gives the lock back to a primary that was frozen.
                ETCD_ENABLE_V2="true",
                # The disk's flushes are shared with three databases.
                ETCD_HEARTBEAT_INTERVAL="200",
                ETCD_ELECTION_TIMEOUT="2000",
                ETCD_LOG_LEVEL="warn",
            )
            for name in _MEMBERS
        ]

    def start(self) -> None:
        """Start all members that don't run."""
        for member in self.members:
            if member.has_ended():
                member.start()

    def lose_quorum(self) -> None:
        """Kill two of the three members."""
        for member in self.members[1:]:
            member.kill()

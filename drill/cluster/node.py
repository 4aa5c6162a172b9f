"""A node of the database: PostgreSQL and the Patroni that runs it."""

import json
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

from drill.packages import postgres_programs, program
from drill.programs import Program, free_port, processes_in

TTL_S: Final = 20
"""How long a primary that is gone keeps its lock: the least that Patroni's documentation allows."""
LOOP_WAIT_S: Final = 2
RETRY_TIMEOUT_S: Final = 5
SUPERUSER: Final = "postgres"
_REPLICATOR: Final = "replicator"
_STOP_TIMEOUT_S: Final = 5


class Node:
    """One node. Its files, PostgreSQL's and Patroni's, are in one folder."""

    def __init__(self, folder: Path, etcd_hosts: Sequence[str]) -> None:
        self.name = folder.name
        self.port = free_port()
        self._rest_port = free_port()
        self._data = folder / "data"
        self.program = Program(folder, [program("patroni"), str(folder / "patroni.yml")], system_user=True)
        # JSON is YAML, too.
        (folder / "patroni.yml").write_text(json.dumps(self._settings(folder, etcd_hosts), indent=2))

    @property
    def rest(self) -> str:
        """The address of Patroni's REST API."""
        return f"http://127.0.0.1:{self._rest_port}"

    def start(self) -> None:
        """Start Patroni, which starts PostgreSQL."""
        self.program.start()

    def kill(self) -> None:
        """Kill PostgreSQL and Patroni, as if the machine was lost."""
        self.program.kill()
        # A dead process that nobody has waited for yet would look like a server that runs.
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def freeze_receiver(self) -> None:
        """Stop the process that receives the write-ahead log, so that this standby confirms nothing."""
        for process_id in self._receivers():
            os.kill(process_id, signal.SIGSTOP)

    def kill_receiver(self) -> None:
        """Kill that process, with all that it has not written yet; PostgreSQL starts again by itself."""
        for process_id in self._receivers():
            os.kill(process_id, signal.SIGKILL)

    def _receivers(self) -> list[int]:
        return [
            process_id
            for process_id in processes_in(self.program.folder)
            if b"walreceiver" in Path(f"/proc/{process_id}/cmdline").read_bytes()
        ]

    def stop(self) -> None:
        """End all of its processes, whatever state they are in; PostgreSQL gives its shared memory back."""
        folder = self.program.folder
        self.program.thaw()
        self.program.interrupt(signal.SIGKILL)
        with suppress(OSError, ValueError):
            process_id = int((self._data / "postmaster.pid").read_text().split()[0])
            if process_id in processes_in(folder):
                os.kill(process_id, signal.SIGQUIT)
                deadline = monotonic() + _STOP_TIMEOUT_S
                while process_id in processes_in(folder) and monotonic() < deadline:
                    sleep(0.02)
        self.program.kill()

    def _settings(self, folder: Path, etcd_hosts: Sequence[str]) -> dict[str, Any]:
        address = "127.0.0.1"
        return {
            "scope": "shop",
            "name": self.name,
            "restapi": {"listen": f"{address}:{self._rest_port}", "connect_address": f"{address}:{self._rest_port}"},
            "etcd": {"hosts": list(etcd_hosts)},
            "bootstrap": {"dcs": _SHARED_SETTINGS, "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums"]},
            "postgresql": {
                "listen": f"{address}:{self.port}",
                "connect_address": f"{address}:{self.port}",
                "data_dir": str(self._data),
                "bin_dir": str(postgres_programs()),
                "pgpass": str(folder / "pgpass"),
                "authentication": {
                    "superuser": {"username": SUPERUSER},
                    "replication": {"username": _REPLICATOR},
                    "rewind": {"username": SUPERUSER},
                },
                "pg_hba": [f"host all all {address}/32 trust", f"host replication all {address}/32 trust"],
                "parameters": {"unix_socket_directories": "", "log_line_prefix": "%m [%p] "},
            },
        }


_SHARED_SETTINGS: Final = {
    "ttl": TTL_S,
    "loop_wait": LOOP_WAIT_S,
    "retry_timeout": RETRY_TIMEOUT_S,
    "synchronous_mode": True,
    "postgresql": {
        "use_pg_rewind": True,
        "use_slots": True,
        "parameters": {
            "max_connections": 100,
            # In the node's folder: what a killed server leaves is removed with it.
            "dynamic_shared_memory_type": "mmap",
            "shared_buffers": "64MB",
            "max_wal_size": "2GB",
            "wal_keep_size": "1GB",
            # The relay and the best sellers need no parallel queries, and the machine is small.
            "max_parallel_workers_per_gather": 0,
            "checkpoint_timeout": "15min",
        },
    },
}

"""The programs of the cluster, from Debian's packages."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from drill.waiting import DrillFailed

PACKAGES: Final = ("etcd-server", "haproxy", "patroni", "postgresql", "python3-etcd")
_ADMIN_FOLDERS: Final = "/usr/sbin:/sbin"
_NO_CLUSTER: Final = Path("/etc/postgresql-common/createcluster.d/jangteo-drill.conf")
_NO_SERVICES: Final = Path("/usr/sbin/policy-rc.d")


def program(name: str) -> str:
    """Return the path of a program. Raises DrillFailed if it isn't installed."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:{_ADMIN_FOLDERS}")
    if found is None:
        raise DrillFailed(f"{name} is not installed")
    return found


def postgres_programs() -> Path:
    """Return the folder of the newest PostgreSQL's programs. Raises DrillFailed if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise DrillFailed("PostgreSQL is not installed")
    return found[-1].parent


def install_missing() -> None:
    """Install what is missing if this is root. Raises DrillFailed that says what to install."""
    missing = [name for name in PACKAGES if not _is_installed(name)]
    if not missing:
        return
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise DrillFailed(f"the drill needs packages of Debian: sudo {' '.join(command[:2])} {' '.join(missing)}")
    unattended = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    created = _leave_services_off()
    try:
        for step in (["apt-get", "update", "-qq"], command):
            done = subprocess.run(step, env=unattended, capture_output=True, text=True, check=False)
            if done.returncode:
                raise DrillFailed(f"{' '.join(step)} failed: {' '.join(done.stderr.split())}")
    finally:
        for path in created:
            path.unlink()


def _is_installed(name: str) -> bool:
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", name]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=False).stdout == "installed"
    except FileNotFoundError:
        return False


def _leave_services_off() -> list[Path]:
    """Keep the packages from creating a cluster and starting services of their own; return the files that do so."""
    created = []
    for path, text in ((_NO_CLUSTER, "create_main_cluster = false\n"), (_NO_SERVICES, "#!/bin/sh\nexit 101\n")):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
            created.append(path)
    return created

"""Two states of the code beside each other: the working tree, and a commit in a worktree that is removed afterwards."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from bench.contenders import servers
from bench.loads.load import CannotMeasure

ROOT: Final = Path(__file__).parents[2]
_LOCK: Final = "requirements.lock"


class State(NamedTuple):
    """One state: its sources, and the Python that has its dependencies."""

    name: str
    sources: Path
    python: str

    def variables(self) -> Mapping[str, str]:
        """The environment variables with which Python finds these sources first."""
        return {"PYTHONPATH": str(self.sources)}

    def make_shop(self, url: str, claimants: int) -> str:
        """Make a shop by this state's own code, and return its URL. Raises CannotMeasure."""
        command = [self.python, "-m", "bench.compare.make_shop", url, str(claimants)]
        environment = {**servers.environment(), **self.variables()}
        ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            reason = ended.stderr.strip().rpartition("\n")[2]
            raise CannotMeasure(f"{self.name} can't make a shop for these loads: {reason}")
        return url


@contextmanager
def both(commit: str) -> Iterator[tuple[State, State]]:
    """The commit's state and the working tree's. Raises CannotMeasure."""
    revision = _git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", what=f"there is no commit {commit}")
    with TemporaryDirectory(prefix="bench-compare-") as folder:
        tree = Path(folder) / "base"
        _git("worktree", "add", "--detach", "--quiet", str(tree), revision, what=f"{commit} can't be checked out")
        try:
            base = State(revision[:10], tree / "src", _python_of(tree, Path(folder) / "environment"))
            yield base, State("this tree", ROOT / "src", sys.executable)
        finally:
            _git("worktree", "remove", "--force", str(tree), what="the worktree can't be removed")


def _python_of(tree: Path, environment: Path) -> str:
    """Ours if the dependencies are the same; a new one if they aren't."""
    if (tree / _LOCK).read_bytes() == (ROOT / _LOCK).read_bytes():
        return sys.executable
    python = str(environment / "bin" / "python")
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install")
    _run(sys.executable, "-m", "venv", str(environment), what="no environment for the base")
    _run(*pip, "--require-hashes", "-r", str(tree / _LOCK), what="the base's dependencies can't be installed")
    return python


def _git(*arguments: str, what: str) -> str:
    return _run("git", "-C", str(ROOT), *arguments, what=what)


def _run(*command: str, what: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise CannotMeasure(f"{what}: {ended.stderr.strip() or f'exit code {ended.returncode}'}")
    return ended.stdout.strip()

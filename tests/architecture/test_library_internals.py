"""The internals of uvicorn and psycopg that are used: a new version that changes one of them fails here, by name.

pyproject.toml bounds the versions. Raise a bound only when these tests and the whole suite pass with the new version.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httptools
import pytest
import uvicorn
from psycopg import pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq.abc import PGconn
from uvicorn.server import ServerState

from jangteo.api.http.connection import HttpConnection
from jangteo.api.http.parsing import RequestParser
from jangteo.api.http.server import config

SOURCE = Path(__file__).parents[2] / "src/jangteo"
OWNERS = {
    "uvicorn": Path("api/http/server.py"),
    "psycopg.pq": Path("storage/postgres/pipeline.py"),
    "psycopg.adapt": Path("storage/postgres/pipeline.py"),
    "psycopg.errors.error_from_result": Path("storage/postgres/pipeline.py"),
}
"""The only file that may import each of these."""


def parameters(function: object) -> list[str]:
    assert callable(function)
    return [name for name in inspect.signature(function).parameters if name != "self"]


def test_uvicorn_uses_a_connection_as_it_is_made_here() -> None:
    created = inspect.getsource(uvicorn.Server.startup)
    assert "config.http_protocol_class(" in created
    assert {"config", "server_state"} <= set(re.findall(r"(\w+)=(?:config|self\.server_state),", created))
    state = ServerState()
    for used in ("connections", "tasks", "default_headers"):
        assert hasattr(state, used), used
    called = set(re.findall(r"\bconnection\.(\w+)\(", inspect.getsource(uvicorn.Server)))
    assert called == {"shutdown"}
    assert parameters(HttpConnection.shutdown) == []


def test_httptools_calls_only_what_the_parser_implements() -> None:
    called = {name for name in dir(RequestParser) if name.startswith("on_")}
    assert called == {
        "on_message_begin",
        "on_url",
        "on_header",
        "on_headers_complete",
        "on_body",
        "on_message_complete",
    }
    for method in ("feed_data", "get_method", "get_http_version", "should_keep_alive", "should_upgrade"):
        assert callable(getattr(httptools.HttpRequestParser, method)), method
    assert issubclass(httptools.HttpParserInvalidMethodError, httptools.HttpParserError)
    assert not issubclass(httptools.HttpParserUpgrade, httptools.HttpParserError)


def test_uvicorns_server_is_as_used() -> None:
    assert parameters(uvicorn.Server) == ["config"]
    assert parameters(uvicorn.Server.run) == ["sockets"]
    # `_Server` opens the application with it, and listens itself.
    assert parameters(uvicorn.Server.startup) == ["sockets"]
    assert "self.servers: list[asyncio.base_events.Server] = []\n" in inspect.getsource(uvicorn.Server.startup)
    assert "for server in self.servers:" in inspect.getsource(uvicorn.Server.shutdown)
    used = set(re.findall(r"\b(\w+)=", inspect.getsource(config)))
    assert used <= set(parameters(uvicorn.Config))


def test_uvicorn_makes_the_application_with_its_loop_running_and_its_signal_handlers_set() -> None:
    """`Shutdown` takes SIGTERM from it there."""
    found: list[object] = []

    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError("never called: uvicorn is to exit")

    def make() -> object:
        found.extend((asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)))
        server.should_exit = True
        return app

    server = uvicorn.Server(config(make, is_factory=True))
    before = signal.getsignal(signal.SIGTERM)
    server.config.lifespan = "off"
    server.run(sockets=[])
    assert len(found) == 2
    assert found[1] == server.handle_exit
    assert parameters(server.handle_exit) == ["sig", "frame"]
    assert signal.getsignal(signal.SIGTERM) == before, "it restores the handlers that it found"


@pytest.mark.parametrize(
    ("method", "takes"),
    [
        ("enter_pipeline_mode", []),
        ("pipeline_sync", []),
        ("send_prepare", ["name", "command", "param_types"]),
        ("send_query_prepared", ["name", "param_values", "param_formats", "result_format"]),
        ("flush", []),
        ("is_busy", []),
        ("consume_input", []),
        ("get_result", []),
    ],
)
def test_the_called_methods_of_psycopgs_connection_exist(method: str, takes: list[str]) -> None:
    assert parameters(getattr(pq.PGconn, method)) == takes
    assert parameters(getattr(PGconn, method)) == takes


def test_psycopgs_results_and_loaders_are_as_used() -> None:
    assert pq.__impl__ in {"binary", "c"}, "the tests run with psycopg's compiled half"
    assert {"nonblocking", "socket"} <= set(dir(pq.PGconn))
    assert {"status", "ntuples"} <= set(dir(pq.PGresult))
    assert {"FATAL_ERROR", "PIPELINE_ABORTED", "PIPELINE_SYNC"} <= set(pq.ExecStatus.__members__)
    assert parameters(Transformer.set_pgresult)[:1] == ["result"]
    assert parameters(Transformer.load_rows) == ["row0", "row1", "make_row"]
    assert parameters(error_from_result)[:1] == ["result"]


def test_nobody_else_imports_these_internals() -> None:
    importers = {
        (library, path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        for imported in imports(ast.parse(path.read_text()))
        for library in OWNERS
        if f"{imported}.".startswith(f"{library}.")
    }
    assert importers == set(OWNERS.items())


def test_no_private_part_of_these_libraries_is_used_by_attribute() -> None:
    """`psycopg.pq…` is internal however it is reached, and so is a connection's `pgconn`."""
    pipeline = Path("storage/postgres/pipeline.py")
    found = {
        path.relative_to(SOURCE)
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and (node.attr == "pgconn" or ast.unparse(node) in OWNERS)
    }
    assert found == {pipeline}


def imports(tree: ast.AST) -> Iterator[str]:
    """The dotted name of everything that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)

"""Fixtures of the tests that write in many processes, and kill them: inputs, places and the fork server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from deadline import end
from file_commands import write_inputs

TESTS = Path(__file__).parents[1]
Ask = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read; nobody writes into it."""
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tmp`` and ``cache`` of all commands."""
    folder = tmp_path_factory.mktemp("places")
    for name in ("tmp", "cache"):
        (folder / name).mkdir()
    return folder


@pytest.fixture(scope="session")
def ask(places: Path) -> Iterator[Ask]:
    """Ask the fork server, see there."""
    paths = [*sys.path, *(str(TESTS / room) for room in ("e2e", "backends", "bundle"))]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "TMPDIR": str(places / "tmp"),
        "SPLITC_CACHE": str(places / "cache"),
    }
    command = [sys.executable, str(TESTS / "e2e" / "fork_server.py")]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def asked(request: dict[str, Any]) -> Any:
        assert server.stdin is not None
        assert server.stdout is not None
        print(json.dumps(request, default=str), file=server.stdin, flush=True)
        return json.loads(server.stdout.readline())

    yield asked
    end(server)

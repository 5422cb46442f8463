"""The server that every test of this folder shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sshd_server import Server, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("sshd")) as started:
        yield started

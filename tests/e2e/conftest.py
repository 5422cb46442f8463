"""The small setting, and one bundle built from it that read-only tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e_setting import Outcome, build, write_setting
from file_server import ask, inputs, places  # noqa: F401  # fixtures


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of model, pictures and recipe; nobody writes into it."""
    return write_setting(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="session")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """The bundle that ``splitc build`` makes of it, and what the command said. Nobody writes into it."""
    out = tmp_path_factory.mktemp("built") / "tiny"
    outcome = build(source, out)
    assert outcome.code == 0, outcome.err
    return out, outcome


@pytest.fixture(scope="session")
def bundle(built: tuple[Path, Outcome]) -> Path:
    """The folder of the shared bundle."""
    return built[0]

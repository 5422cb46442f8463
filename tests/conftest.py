"""Options that every test may use."""

from __future__ import annotations

import os

import pytest

os.environ["SPLITC_NO_CACHE"] = "1"  # a test computes what it asserts; tests of the cache undo this


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files instead of comparing with them")
    parser.addoption("--update-docs", action="store_true", help="rewrite generated pages of docs/")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--update-golden") and os.environ.get("CI", "").lower() in {"1", "true"}:
        raise pytest.UsageError("--update-golden is refused in CI: golden files change on a desk, in review.")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """True when golden files are to be rewritten."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def update_docs(request: pytest.FixtureRequest) -> bool:
    """True when generated pages are to be rewritten."""
    return bool(request.config.getoption("--update-docs"))

"""A small bundle to damage."""

from __future__ import annotations

import pytest
from bundle_samples import write

from splitc.bundle import Bundle


@pytest.fixture
def bundle(tmp_path) -> Bundle:
    return write(tmp_path / "x")

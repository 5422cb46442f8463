"""Two ``splitc serve`` behind a real balancer: what a rolling restart does, and what edges see of it. Slow lane."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from balancer import nginx
from e2e_setting import build, setting
from edges import ask_all
from served_process import served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("nginx", path="/usr/sbin:/usr/bin"), reason="needs nginx"),
]


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_a_server_that_ends_loses_no_frame(source: Path, tmp_path: Path, how: str) -> None:
    bundle = tmp_path / "bundle"
    assert build(source, bundle, *setting("codec.temporal=difference")).code == 0
    with served([bundle]) as one, served([bundle]) as two, nginx(tmp_path, one.address, two.address) as address:
        assert ask_all([bundle] * 8, address, 0.05, getattr(one.process, how)) > 0


def test_edges_of_two_builds_find_theirs(source: Path, tmp_path: Path) -> None:
    bundles = [tmp_path / "blue", tmp_path / "green"]
    for path, bits in zip(bundles, (4, 3), strict=True):
        assert build(source, path, *setting(f"codec.bits={bits}")).code == 0
    with served(bundles[:1]) as one, served(bundles[1:]) as two, nginx(tmp_path, one.address, two.address) as address:
        ask_all(bundles * 4, address)

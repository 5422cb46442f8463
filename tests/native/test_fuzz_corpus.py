"""The inputs that fuzzing found worth keeping, under sanitizers: ``golden/fuzz`` holds one archive a target.

To fuzz further: ``clang++ -std=c++17 -g -fsanitize=fuzzer,address,undefined -Isplitc/native tests/native/fuzz_X.cpp``.
"""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORPORA = ROOT / "tests" / "golden" / "fuzz"
LIMITS = ["-malloc_limit_mb=2048", "-rss_limit_mb=0"]
"""Of one allocation. The largest memory of a process counts what its parent held when it started: here, all tests."""
FLAGS = ["-std=c++17", "-O1", "-g", "-ffp-contract=off", "-fno-sanitize-recover=all"]


def test_the_corpora_stay_small() -> None:
    assert sum(path.stat().st_size for path in CORPORA.iterdir()) < 200_000


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("clang++") is None, reason="needs clang++ with libFuzzer")
@pytest.mark.parametrize("target", ["fuzz_decoders", "fuzz_rans_tables"])
def test_found_inputs_are_harmless(target: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(CORPORA / f"{target}.zip") as archive:
        archive.extractall(tmp_path / "inputs")
    inputs = sorted(str(path) for path in (tmp_path / "inputs").iterdir())
    source, binary = ROOT / "tests" / "native" / f"{target}.cpp", tmp_path / target
    include = f"-I{ROOT / 'splitc' / 'native'}"
    build = ["clang++", *FLAGS, "-fsanitize=fuzzer,address,undefined", include, str(source), "-o", str(binary)]
    for command in (build, [str(binary), *LIMITS, *inputs]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr[-4000:]

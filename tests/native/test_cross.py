"""The same bytes with every instruction set, and on AArch64 under emulation."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from splitc.native import _core

HERE = Path(__file__).parent
LEVELS = {"x86_64": ["scalar", "avx2", "avx512"], "aarch64": ["scalar", "neon"]}.get(platform.machine(), ["scalar"])
PROGRAM = """
import sys, zlib
sys.path[:0] = sys.argv[1:]
from chunk_cases import cases
print(zlib.crc32(b"".join(cases())))
"""


@pytest.mark.parametrize("level", LEVELS)
def test_every_instruction_set_writes_the_same_bytes(level: str) -> None:
    from chunk_cases import cases

    if LEVELS.index(level) > LEVELS.index(_core.simd_name()):
        pytest.skip(f"{_core.simd_name()} is the most that this processor has")
    command = [sys.executable, "-c", PROGRAM, str(HERE), str(HERE.parent)]
    environment = {**os.environ, "SPLITC_SIMD": level}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) == zlib.crc32(b"".join(cases()))


def test_an_unknown_instruction_set_is_refused() -> None:
    program = "from splitc.native import _core; _core.simd_name()"
    environment = {**os.environ, "SPLITC_SIMD": "mmx"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert "SPLITC_SIMD is 'mmx', must be one of scalar" in done.stderr


@pytest.mark.slow
def test_builds_for_other_processors_write_the_same_bytes(tmp_path: Path) -> None:
    from chunk_cases import cases

    chunks = tmp_path / "chunks"
    stored = list(cases())
    chunks.write_bytes(b"".join(stored))
    command = [str(HERE / "cross.sh"), str(chunks), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode in (0, 77), done.stdout + done.stderr
    results = {line.split(": ")[1] for line in lines if ": symbols" in line or "cases" in line}
    assert len(results) == 1, lines
    assert results.pop().startswith(f"{len(stored)} cases")
    if done.returncode == 77:
        pytest.skip(lines[-1])

"""The driver's answers, through its real calling convention: a small library with the same functions."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from splitc.backends import gpu

SOURCE = r"""
#include <stddef.h>
#include <string.h>
static int held = 0;
int cuInit(unsigned flags) { return INIT; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDriverGetVersion(int *version) { *version = 12060; return 0; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, "Orin", size); return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? 8 : attribute == 76 ? 7 : INTEGRATED;
    return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = &held; held++; return 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { held--; return 0; }
int cuCtxPushCurrent_v2(void *context) { return context == &held ? 0 : 1; }
int cuCtxPopCurrent_v2(void **context) { return 0; }
int cuMemGetInfo_v2(size_t *available, size_t *total) {
    *available = (size_t)3 << 30;
    *total = (size_t)8 << 30;
    return 0;
}
"""


def library(folder: Path, **macros: int) -> str:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    (folder / "cuda.c").write_text(SOURCE)
    flags = [f"-D{name}={value}" for name, value in {"INIT": 0, "INTEGRATED": 0, **macros}.items()]
    path = folder / "libcuda.so"
    subprocess.run([compiler, "-shared", "-fPIC", *flags, "-o", str(path), str(folder / "cuda.c")], check=True)
    return str(path)


def test_a_card_of_its_own(tmp_path: Path) -> None:
    assert gpu.find_gpu(library(tmp_path)) == gpu.Gpu("Orin", 87, (12, 6), 3 << 30)


def test_memory_that_the_system_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:        7802780 kB\nMemFree:          123456 kB\nMemAvailable:    4194304 kB\n")
    monkeypatch.setattr(gpu, "_MEMINFO", meminfo)
    found = gpu.find_gpu(library(tmp_path, INTEGRATED=1))
    assert found is not None
    assert found.free_bytes == 4 << 30


def test_no_driver_and_no_device(tmp_path: Path) -> None:
    assert gpu.find_gpu("libcuda-of-nobody.so.1") is None
    assert gpu.find_gpu(library(tmp_path, INIT=100)) is None

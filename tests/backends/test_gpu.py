"""The driver's answers, through its real calling convention: a small library with the same functions."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from splitc.backends import gpu
from splitc.errors import BackendError

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
static float clock_ms = 0;
static float events[2];
static int made = 0;
int cuEventCreate(void **event, unsigned flags) {
    if (EVENTS == 0) *event = &events[made++];
    return EVENTS;
}
int cuEventRecord(void *event, void *stream) {
    if (stream != (void *)77) return 1;
    *(float *)event = clock_ms++;
    return 0;
}
int cuEventSynchronize(void *event) { return event == &events[1] ? 0 : 1; }
int cuEventElapsedTime(float *ms, void *start, void *end) { *ms = *(float *)end - *(float *)start; return 0; }
int cuEventDestroy_v2(void *event) { made--; return 0; }
int left(void) { return made; }
void wait_ms(float ms) { clock_ms += ms; }
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
    flags = [f"-D{name}={value}" for name, value in {"INIT": 0, "INTEGRATED": 0, "EVENTS": 0, **macros}.items()]
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


def test_the_time_between_two_events(tmp_path: Path) -> None:
    path = library(tmp_path)
    cuda = ctypes.CDLL(path)
    cuda.wait_ms.argtypes = [ctypes.c_float]
    assert gpu.elapsed_ms(77, lambda: cuda.wait_ms(4.5), path) == 5.5
    assert cuda.left() == 0
    with pytest.raises(BackendError, match="the driver's events fail with CUDA error 1"):
        gpu.elapsed_ms(1, lambda: None, path)
    assert cuda.left() == 0


def test_events_that_a_driver_refuses(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="CUDA error 201"):
        gpu.elapsed_ms(77, lambda: None, library(tmp_path, EVENTS=201))
    with pytest.raises(BackendError, match="the GPU cannot be timed: libcuda-of-nobody"):
        gpu.elapsed_ms(77, lambda: None, "libcuda-of-nobody.so.1")

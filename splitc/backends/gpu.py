"""The GPU of this machine, queried from its driver; no CUDA package is needed.

Never run on hardware here: the tests call it against a small library with the same functions.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from splitc.errors import BackendError

LIBRARY = "libcuda.so.1"
_MAJOR, _MINOR, _INTEGRATED = 75, 76, 18  # CU_DEVICE_ATTRIBUTE_*
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Gpu:
    """The first GPU.

    Attributes:
        name: As the driver reports it.
        capability: SM number, 87 for 8.7.
        driver_cuda: The latest CUDA that the driver supports, ``(12, 6)``; not the driver's own version.
        free_bytes: Memory that a build may take; on a Jetson, the system's available memory.
    """

    name: str
    capability: int
    driver_cuda: tuple[int, int]
    free_bytes: int


def find_gpu(library: str = LIBRARY) -> Gpu | None:
    """The first GPU; None where there is no driver or no device."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return None
    device, version, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0):
        return None
    cuda.cuDriverGetVersion(ctypes.byref(version))
    cuda.cuDeviceGetName(name, len(name), device)
    capability = 10 * _attribute(cuda, _MAJOR, device) + _attribute(cuda, _MINOR, device)
    shares_memory = bool(_attribute(cuda, _INTEGRATED, device))
    free = _available_bytes() if shares_memory else _free_bytes(cuda, device)
    driver_cuda = (version.value // 1000, version.value % 1000 // 10)
    return Gpu(name.value.decode(errors="replace"), capability, driver_cuda, free)


def elapsed_ms(stream: int, work: Callable[[], None], library: str = LIBRARY) -> float:
    """Milliseconds that the GPU takes for what ``work`` puts on a stream, between two events of the driver.

    Args:
        stream: The stream's address, of the context that is current in this thread.
        work: Called once; it need not wait for the end.
        library: The driver's.

    Raises:
        BackendError: There is no driver, or it refuses.
    """
    try:
        cuda = ctypes.CDLL(library)
    except OSError as error:
        raise BackendError(f"the GPU cannot be timed: {error}.") from error
    start, end, ms = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_float()
    try:
        for event in (start, end):
            _require(cuda.cuEventCreate(ctypes.byref(event), 0))
        _require(cuda.cuEventRecord(start, ctypes.c_void_p(stream)))
        work()
        _require(cuda.cuEventRecord(end, ctypes.c_void_p(stream)))
        _require(cuda.cuEventSynchronize(end))
        _require(cuda.cuEventElapsedTime(ctypes.byref(ms), start, end))
    finally:
        for event in (start, end):
            if event:
                cuda.cuEventDestroy_v2(event)
    return ms.value


def _require(result: int) -> None:
    if result:
        raise BackendError(f"the GPU cannot be timed: the driver's events fail with CUDA error {result}.")


def _attribute(cuda: ctypes.CDLL, number: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    cuda.cuDeviceGetAttribute(ctypes.byref(value), number, device)
    return value.value


def _free_bytes(cuda: ctypes.CDLL, device: ctypes.c_int) -> int:
    """Needs a context, which is released at once."""
    context, free, total = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_size_t()
    if cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device):
        return 0
    try:
        cuda.cuCtxPushCurrent_v2(context)
        cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
        cuda.cuCtxPopCurrent_v2(ctypes.byref(context))
    finally:
        cuda.cuDevicePrimaryCtxRelease_v2(device)
    return free.value


def _available_bytes() -> int:
    """Memory of a GPU that shares the system's: what the kernel says is available."""
    for line in _MEMINFO.read_text("ascii").splitlines():
        key, _, rest = line.partition(":")
        if key == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return 0

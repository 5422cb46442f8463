"""What the operating system lets this process have: open files and threads, asked for before a library needs them.

gRPC and ONNX Runtime end the process by a signal where a descriptor or a thread that they need is refused.
"""

from __future__ import annotations

import ctypes
import os
import resource
import threading

from splitc.errors import CapabilityError

LEAST_FILES = 64
"""Of a process with gRPC in it: its own pipes and polls, libraries, and a few connections."""
FILES_A_CONNECTION = 3
"""Its socket, and both ends of the private one to gRPC."""
SPARE_FILES = 24
"""Kept free of connections: bundles, log, gRPC's own."""
M_ARENA_MAX, ARENAS = -8, 2
"""As in malloc.h; and how many."""
LEAST_THREADS = 24
"""That gRPC and the engines start at least."""


def require_process_limits(who: str) -> None:
    """Refuse to begin with too few files or threads; the soft limit of files is raised to the hard one.

    Args:
        who: For the message.

    Raises:
        CapabilityError: The process may not have what it needs.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if 0 <= hard < LEAST_FILES:
        raise CapabilityError(f"{who} needs {LEAST_FILES} open files, this process may have {hard}: raise ulimit -n.")
    _try_threads(who)


def connections_that_fit(wanted: int) -> int:
    """How many connections there are descriptors for, at most ``wanted``.

    Raises:
        CapabilityError: For none.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return wanted
    used = len(os.listdir("/proc/self/fd"))
    fit = (limit - used - SPARE_FILES) // FILES_A_CONNECTION
    if fit < 1:
        needed = used + SPARE_FILES + FILES_A_CONNECTION
        raise CapabilityError(f"a server needs {needed} open files, this process may have {limit}: raise ulimit -n.")
    return min(wanted, fit)


def resident_bytes() -> int:
    """Memory of this process that is in use now."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def use_few_arenas() -> None:
    """Have the C library's allocator keep few heaps: each thread's own one keeps pieces that no other can use."""
    option = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's
    if option is not None:
        option(M_ARENA_MAX, ARENAS)


def give_back_free_memory() -> None:
    """Have the C library return what it keeps of freed memory; where it cannot, nothing happens."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)


def _try_threads(who: str) -> None:
    """Start as many as will be needed, and end them."""
    over, begun = threading.Event(), list[threading.Thread]()
    try:
        for _ in range(LEAST_THREADS):
            thread = threading.Thread(target=over.wait, daemon=True)
            thread.start()
            begun.append(thread)
    except RuntimeError as error:
        raise CapabilityError(
            f"{who} needs {LEAST_THREADS} threads, this process may start {len(begun)}: raise ulimit -u, or what "
            "limits its container."
        ) from error
    finally:
        over.set()
        for thread in begun:
            thread.join()

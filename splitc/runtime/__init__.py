"""What runs on the edge and in the cloud: sources, the two halves, answers. No compiler is imported here."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from splitc.errors import CapabilityError
from splitc.runtime.array_files import array_headers
from splitc.runtime.batches import rows_stay_apart
from splitc.runtime.drawings import Drawings, FileNames
from splitc.runtime.engines import check_engine, engine_folder, find_order, finish_engine, open_engine, with_options
from splitc.runtime.pair import RUNNER, CloudHalf, EdgeHalf, InferenceResult, read_contract, run_pair
from splitc.runtime.pictures import is_picture, read_picture
from splitc.runtime.pixels import PixelFormat, pixel_format
from splitc.runtime.process_limits import require_process_limits, use_few_arenas
from splitc.runtime.samples import Samples, clip_lengths, pick
from splitc.runtime.sources import PACKAGE, Reader, Sample, files_sha256, find_files, is_array, natural_key
from splitc.runtime.tasks import bound_task, truth_of
from splitc.runtime.triton import Exported, ModelCheck
from splitc.runtime.triton import check_repository as check_triton
from splitc.runtime.triton import export as export_triton
from splitc.runtime.triton import repository as triton_repository
from splitc.runtime.video import is_live, is_video

if TYPE_CHECKING:
    from splitc.runtime.client import ClientOptions, Counters, EdgeClient, Remote
    from splitc.runtime.security import TlsFiles, read_tokens
    from splitc.runtime.server import CloudServer, ServerOptions

_NETWORKED = {
    "ClientOptions": "client",
    "CloudServer": "server",
    "Counters": "client",
    "EdgeClient": "client",
    "Remote": "client",
    "ServerOptions": "server",
    "TlsFiles": "security",
    "read_tokens": "security",
}

__all__ = [
    "PACKAGE",
    "RUNNER",
    "ClientOptions",
    "CloudHalf",
    "CloudServer",
    "Counters",
    "Drawings",
    "EdgeClient",
    "EdgeHalf",
    "Exported",
    "FileNames",
    "InferenceResult",
    "ModelCheck",
    "PixelFormat",
    "Reader",
    "Remote",
    "Sample",
    "Samples",
    "ServerOptions",
    "TlsFiles",
    "array_headers",
    "bound_task",
    "check_engine",
    "check_triton",
    "clip_lengths",
    "engine_folder",
    "export_triton",
    "files_sha256",
    "find_files",
    "find_order",
    "finish_engine",
    "is_array",
    "is_live",
    "is_picture",
    "is_video",
    "natural_key",
    "open_engine",
    "pick",
    "pixel_format",
    "read_contract",
    "read_picture",
    "read_tokens",
    "rows_stay_apart",
    "run_pair",
    "triton_repository",
    "truth_of",
    "use_few_arenas",
    "with_options",
]


def __getattr__(name: str) -> object:
    """Import the networking modules when they are first used: a pair in one process needs none of them."""
    if name not in _NETWORKED:
        raise AttributeError(f"module 'splitc.runtime' has no attribute {name!r}")
    _require_limits()
    try:
        return getattr(import_module(f"splitc.runtime.{_NETWORKED[name]}"), name)
    except ModuleNotFoundError as error:
        raise CapabilityError(f"a pair over a network needs {error.name!r}: install splitc[serve].") from error


@cache
def _require_limits() -> None:
    """Once for all names, since it starts threads; a refusal is not kept."""
    require_process_limits("a pair over a network")

"""What runs on the edge and in the cloud: sources, the two halves, answers. No compiler is imported here."""

from __future__ import annotations

from splitc.runtime.answer import describe
from splitc.runtime.engines import check_engine, find_order, finish_engine, with_options
from splitc.runtime.labels import Labels, read_classes, read_labels
from splitc.runtime.pair import RUNNER, Answer, CloudHalf, EdgeHalf, read_contract, run_pair
from splitc.runtime.sources import Reader, Sample, files_sha256, find_files, is_picture, natural_key, read_picture

__all__ = [
    "RUNNER",
    "Answer",
    "CloudHalf",
    "EdgeHalf",
    "Labels",
    "Reader",
    "Sample",
    "check_engine",
    "describe",
    "files_sha256",
    "find_files",
    "find_order",
    "finish_engine",
    "is_picture",
    "natural_key",
    "read_classes",
    "read_contract",
    "read_labels",
    "read_picture",
    "run_pair",
    "with_options",
]

"""Measure a model on the device it runs on: times, memory, watts, clocks. Needs no compiler, so it runs on the edge.

here      measure ─► Record                 ssh       copy the half, measure there, bring the Record back
sysfs     rails, clocks, mode, heat         trtexec   its JSON files to a Record, and back
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from splitc.profiler.board import Board, read_board
    from splitc.profiler.inputs import MOST_FEEDS, bundle_feeds, model_feeds, model_sha256, precision_of
    from splitc.profiler.power import Power, read_power
    from splitc.profiler.remote import SshDestination, measure_remote
    from splitc.profiler.tegrastats import Tegrastats, TegrastatsLog, parse_line, read_tegrastats, summarize_log
    from splitc.profiler.timing import Inside, Opened, ProfiledModel, Runs, TimedRecord, engine_half, measure
    from splitc.profiler.trtexec import Exports, export_files, record_from_trtexec

_HOMES = {
    "board": ("Board", "read_board"),
    "inputs": ("MOST_FEEDS", "bundle_feeds", "model_feeds", "model_sha256", "precision_of"),
    "timing": ("ProfiledModel", "Inside", "TimedRecord", "Opened", "Runs", "engine_half", "measure"),
    "power": ("Power", "read_power"),
    "remote": ("SshDestination", "measure_remote"),
    "tegrastats": ("Tegrastats", "TegrastatsLog", "parse_line", "read_tegrastats", "summarize_log"),
    "trtexec": ("Exports", "export_files", "record_from_trtexec"),
}
"""Module -> its names. Loaded when first used: what answers on the device does so in a tenth of the time."""

__all__ = [
    "MOST_FEEDS",
    "Board",
    "Exports",
    "Inside",
    "Opened",
    "Power",
    "ProfiledModel",
    "Runs",
    "SshDestination",
    "Tegrastats",
    "TegrastatsLog",
    "TimedRecord",
    "bundle_feeds",
    "engine_half",
    "export_files",
    "measure",
    "measure_remote",
    "model_feeds",
    "model_sha256",
    "parse_line",
    "precision_of",
    "read_board",
    "read_power",
    "read_tegrastats",
    "record_from_trtexec",
    "summarize_log",
]


def __getattr__(name: str) -> object:
    """Import a name's module when the name is first used."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"splitc.profiler.{module}"), name)
    raise AttributeError(f"module 'splitc.profiler' has no attribute {name!r}")

"""The one table of what a recipe may say and this version cannot do yet.

A room that gets built deletes its line. A key listed here is refused unless its value is one of ``works``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from splitc.recipe.locate import KeyPath
from splitc.recipe.values import shown


class Unbuilt(NamedTuple):
    """One key, the values of it that work, and what to do instead, as a sentence without its dot."""

    key: str
    works: tuple[object, ...]
    instead: str


UNBUILT = (
    Unbuilt("model.url", (), "download the file and name it in model.source"),
    Unbuilt("recovery.schedule", (), "leave it out: recovery.bottleneck trains without pruning"),
    Unbuilt("recovery.losses", (), "leave it out: recovery.bottleneck trains on the task's own divergence"),
    Unbuilt("video", (), "leave the table out and give pictures in data.calibration"),
)

PLANNED = {
    "transform": (),
    "quantizer": (),
    "temporal predictor": (),
    "entropy coder": ("rans", "range", "mix", "nrle", "huffman", "cohen", "zstd", "hevc", "h264", "av1"),
    "backend": ("onnxruntime", "tensorrt", "tensorrt_rtx", "null"),
    "device": (),
    "task": (),
}
"""Names that the design promises; one that the caller does not know is refused as not built, not as misspelt."""


def unbuilt_keys(table: dict[str, Any]) -> list[tuple[KeyPath, str]]:
    """Path and refusal of every key in a parsed recipe that this version cannot honour."""
    refusals = []
    for entry in UNBUILT:
        for path in _paths(entry.key):
            value = _get(table, path)
            if value is not None and value not in entry.works:
                refusals.append((path, not_built(value, entry.instead)))
    return refusals


def not_built(value: object, instead: str) -> str:
    """The refusal: what is missing and what works."""
    subject = "this table" if isinstance(value, dict) else shown(value)
    return f"{subject} is not built in this version of splitc; {instead}."


def _paths(key: str) -> list[KeyPath]:
    """The key itself, and for weights each side's."""
    parts = tuple(key.split("."))
    if parts[0] != "weights":
        return [parts]
    return [parts, ("weights", "edge", *parts[1:]), ("weights", "cloud", *parts[1:])]


def _get(table: Any, path: KeyPath) -> Any:
    for key in path:
        if not isinstance(table, dict):
            return None
        table = table.get(key)
    return table

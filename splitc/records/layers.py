"""Layers of a model as toolkits time them, each traced back to the value that it computes.

ONNX Runtime's profile     JSON of Chrome's trace format, one event a kernel: {"cat": "Node", "name", "dur", ...}
TensorRT's                 one time a layer and run, under the nodes' names joined by " + " or " || "
"""

from __future__ import annotations

import json
import re
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from splitc.records.record import LayerTiming

_KERNEL = "_kernel_time"
_FUSED = re.compile(r" \+ | \|\| ")
_POINTWISE = re.compile(r"PWN\(|, |\)")
_COPY = "Reformatting CopyNode"
_OPAQUE = re.compile(rf"ForeignNode|^__my|[Mm]yelin|\(Unnamed Layer|^{_COPY}|^ONNXTRT_|^\[")


def layers_from_trace(trace: Path, made: Mapping[str, str], warmup: int, samples: int) -> tuple[LayerTiming, ...]:
    """What ONNX Runtime wrote while ``warmup + samples`` inferences ran, in the order of execution.

    Args:
        trace: Its profile.
        made: Every name that a node may have in it -> the value that the node makes.
        warmup, samples: Untimed and timed inferences.
    """
    events: list[dict[str, Any]] = json.loads(trace.read_text("utf-8"))
    durations: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_KERNEL):
            key = event["name"].removesuffix(_KERNEL), event.get("args", {}).get("op_name", "")
            durations[key].append(event["dur"] / 1e3)
    return tuple(
        timed_layer(name or "?", kind, _sums(times, warmup, samples), _optimized(name, made))
        for (name, kind), times in durations.items()
    )


def timed_layer(name: str, operator: str, times_ms: Sequence[float], values: tuple[str, ...]) -> LayerTiming:
    """A layer from its time in each run; at least one."""
    median_ms, mean_ms = statistics.median(times_ms), statistics.fmean(times_ms)
    return LayerTiming(name=name, operator=operator, median_ms=median_ms, mean_ms=mean_ms, values=values)


def joined_values(name: str, made: Mapping[str, str]) -> tuple[str, ...]:
    """Values behind a layer of TensorRT by its name alone: it joins the names of the nodes that it fused.

    Nodes that are computed point by point are ``PWN(first, second)``, which may be nested.
    """
    parts = _FUSED.split(name)
    nodes = (node for part in parts for node in ([part] if part in made else _POINTWISE.split(part)))
    return tuple(dict.fromkeys(made[node] for node in nodes if node in made))


def is_opaque(name: str) -> bool:
    """Whether TensorRT made up the name of a layer, so that it tells nothing of the nodes behind it."""
    return bool(_OPAQUE.search(name))


def is_copy(name: str) -> bool:
    """Whether a layer of TensorRT only brings a tensor into another layout, as engines of every model have some."""
    return name.startswith(_COPY)


def _sums(times: Sequence[float], warmup: int, samples: int) -> list[float]:
    """Of each run after the warm-up: a node without a name shares its key with others, and their sum counts."""
    each = max(1, len(times) // (warmup + samples))
    sums = [sum(times[start : start + each]) for start in range(0, len(times), each)]
    return sums[warmup:] or sums


def _optimized(name: str, made: Mapping[str, str]) -> tuple[str, ...]:
    """The value behind a layer of ONNX Runtime, which keeps a node's name or its output's.

    It adds behind them ("_nchwc", "/MatMulAddFusion/") and, for fused activations, "fused " before.
    """
    name = name.removeprefix("fused ")
    for end in range(len(name), 0, -1):
        if name[:end] in made:
            return (made[name[:end]],)
    return ()

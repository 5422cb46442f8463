"""trtexec's JSON files to a record, and a measurement to files that trtexec's readers understand.

    --exportTimes      [{"startEnqMs": ..., "computeMs": 1.2, "latencyMs": 1.4, ...}, ...]   one object a query
    --exportProfile    [{"count": N}, {"name": ..., "timeMs": ..., "averageMs": ..., "medianMs": ..., ...}]
    --exportLayerInfo  {"Layers": [...], "Bindings" | "I/O Tensors": [...]}

The formats are those of 8.6 to 11.1. Names are written without escaping, so that a quote in a layer's name breaks the
file, and a percentage can be ``nan``: such files are read entry by entry, in time that grows with their size alone.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from splitc import files
from splitc.backends import node_outputs
from splitc.errors import UsageError
from splitc.profiler.texts import decoded
from splitc.profiler.timing import ProfiledModel, TimedRecord
from splitc.records import LayerTiming, Milliseconds, Percentiles, Record, joined_values

MAX_FILE_BYTES = 64 << 20
_NUMBER = r"-?(?:\d{1,40}(?:\.\d{0,40})?(?:[eE][-+]?\d{1,4})?|nan|inf)"
_NAME = re.compile(r'"name"\s*:\s*"(.*)"\s*,\s*', re.DOTALL)
_TIMES = re.compile(
    rf'\s*:\s*{_NUMBER}\s*,\s*"averageMs"\s*:\s*(?P<averageMs>{_NUMBER})'
    rf'(?:\s*,\s*"medianMs"\s*:\s*(?P<medianMs>{_NUMBER}))?'
)
_TOTAL = "Total"
"""Name of a row that sums the others."""
_UNNAMED = "node_of_"
"""TensorRT's parser puts it before the first output of a node without a name."""
_COUNT = re.compile(r'"count"\s*:\s*(\d{1,12})')
_LAYER_NAME = re.compile(r'"Name"\s*:\s*"(.*)"\s*,\s*', re.DOTALL)
_LAYER_TYPE = re.compile(r'\s*:\s*"([^"]*)"')


@dataclass(frozen=True)
class Exports:
    """trtexec's files.

    Attributes:
        times: ``--exportTimes``.
        profile: ``--exportProfile``.
        layers: ``--exportLayerInfo``.
        version: TensorRT's version.
        device: Name of the device profile.
        flags: What trtexec was called with: default numbers of 10 and 11 cannot be compared.
    """

    times: Path
    profile: Path | None
    layers: Path | None
    version: str
    device: str
    flags: str = ""


def record_from_trtexec(half: ProfiledModel, exports: Exports) -> Record:
    """The record of what trtexec measured.

    Raises:
        UsageError: A file is absent, too large, or not what trtexec writes.
    """
    try:
        return _record(half, exports)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{exports.times}: gives no record: {where}: {first['msg']}; measure again.") from error


def _record(half: ProfiledModel, exports: Exports) -> Record:
    queries = _read_times(exports.times)
    if not any(query.latencyMs for query in queries):
        raise UsageError(f"{exports.times}: every inference took 0 ms, so nothing was measured; run trtexec again.")
    layers, count = _read_profile(exports.profile) if exports.profile else ([], None)
    kinds = _read_layer_info(exports.layers) if exports.layers else {}
    made = _called_by_parser(node_outputs(half.path))
    if exports.layers and exports.profile:
        _require_same_engine(exports.layers, kinds, exports.profile, [name for name, *_ in layers])
        _require_same_model(exports.layers, kinds, made)
    environment = {"tensorrt": exports.version, "trtexec_flags": exports.flags} | (
        {"layer_runs": str(count)} if count is not None else {}
    )
    return Record(
        device=exports.device,
        backend="tensorrt",
        backend_version=exports.version,
        model_sha256=half.model_sha256,
        side=half.side,
        precision=half.precision,
        warmup=0,
        samples=len(queries),
        latency_ms=Percentiles.of([query.latencyMs for query in queries]),
        device_ms=Percentiles.of([query.computeMs for query in queries]),
        layers=tuple(
            LayerTiming(
                name=name,
                operator=kinds.get(name, _Info("", "")).kind,
                median_ms=median_ms,
                mean_ms=mean_ms,
                values=_values(name, kinds, made),
            )
            for name, median_ms, mean_ms in layers
        ),
        environment={name: text for name, text in environment.items() if text},
    )


def export_files(measured: TimedRecord, folder: Path) -> tuple[Path, Path]:
    """``times.json`` and ``profile.json`` as trtexec would write them, with names escaped.

    Raises:
        UsageError: The folder cannot be written.
    """
    start, times = 0.0, []
    for ms in measured.times_ms:
        times.append(_query(start, ms))
        start += ms
    total = sum(layer.median_ms for layer in measured.record.layers) or 1.0
    count = measured.record.samples
    rows = [
        {
            "name": layer.name,
            "timeMs": (layer.mean_ms or layer.median_ms) * count,
            "averageMs": layer.mean_ms or layer.median_ms,
            "medianMs": layer.median_ms,
            "percentage": 100 * layer.median_ms / total,
        }
        for layer in measured.record.layers
    ]
    written = folder / "times.json", folder / "profile.json"
    texts = (json.dumps(document, indent=1) + "\n" for document in (times, [{"count": count}, *rows]))
    with files.as_refusals(folder, UsageError):
        folder.mkdir(parents=True, exist_ok=True)
    with files.locked_together(written):
        files.write_together(dict(zip(written, texts, strict=True)))
    return written


def _query(start: float, ms: float) -> dict[str, float]:
    """A query without transfers: enqueued, computed, done."""
    end = start + ms
    marks = {"startEnqMs": start, "endEnqMs": start, "startH2dMs": start, "endH2dMs": start}
    marks |= {"startComputeMs": start, "endComputeMs": end, "startD2hMs": end, "endD2hMs": end}
    return marks | {"h2dMs": 0.0, "computeMs": ms, "d2hMs": 0.0, "latencyMs": ms}


@dataclass(frozen=True)
class _Info:
    """What the engine inspector says of one layer."""

    kind: str
    metadata: str


class _Query(BaseModel):
    """What is used of one query; transfers and marks are not."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    latencyMs: Milliseconds  # noqa: N815  trtexec's name
    computeMs: Milliseconds  # noqa: N815


_QUERIES = TypeAdapter(Annotated[list[_Query], Field(min_length=1)])


def _read_times(path: Path) -> list[_Query]:
    try:
        return _QUERIES.validate_json(_text(path))
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            raise UsageError(f"{path}: is not JSON ({first['msg']}); give a file that trtexec wrote.") from error
        where = ".".join(map(str, first["loc"])) or "document"
        raise UsageError(
            f"{path}: is not what trtexec --exportTimes writes, a list with latencyMs and computeMs: "
            f"{where}: {first['msg']}."
        ) from error


def _read_profile(path: Path) -> tuple[list[tuple[str, float, float]], int | None]:
    """Name, median and mean milliseconds of each layer, and the number of runs; broken quoting is read around."""
    text = _text(path)
    layers = [entry for entry in _profile_entries(text) if entry[0] != _TOTAL]
    if not layers:
        raise UsageError(
            f"{path}: is not what trtexec --exportProfile writes: no layer with timeMs and averageMs, finite "
            "and from 0 on."
        )
    count = _COUNT.search(text)
    return layers, int(count[1]) if count else None


def _profile_entries(text: str) -> Iterator[tuple[str, float, float]]:
    """A name ends where ``timeMs`` begins, whatever quotes are in it; entries without a finite time are left out."""
    before, *rest = text.split('"timeMs"')
    for after in rest:
        name, times = _NAME.fullmatch(before[before.find('"name"') :]), _TIMES.match(after)
        before = after
        if name is None or times is None:
            continue
        mean_ms = float(times["averageMs"])
        median_ms = float(times["medianMs"] or mean_ms)
        if 0 <= mean_ms < math.inf and 0 <= median_ms < math.inf:
            yield _unescaped(name[1]), median_ms, mean_ms


def _unescaped(name: str) -> str:
    """A name as it was meant: escapes of a well-formed file are undone, bare quotes stay."""
    try:
        return str(json.loads(f'"{name}"'))
    except ValueError:
        return name


def _read_layer_info(path: Path) -> dict[str, _Info]:
    text = _text(path)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        found = dict(_broken_layers(text))
        if not found:
            raise UsageError(f"{path}: is not what trtexec --exportLayerInfo writes: no layer in it.") from None
        return found
    layers = document.get("Layers") if isinstance(document, dict) else None
    if not isinstance(layers, list):
        raise UsageError(f"{path}: is not what trtexec --exportLayerInfo writes: no Layers in it.")
    strange = next((layer for layer in layers if not isinstance(layer, str | dict)), None)
    if strange is not None or None in layers:
        raise UsageError(f"{path}: is not what trtexec --exportLayerInfo writes: Layers holds {strange!r}.")
    return dict(_info(layer) for layer in layers)


def _broken_layers(text: str) -> Iterator[tuple[str, _Info]]:
    """A layer's name ends where its type begins."""
    before, *rest = text.split('"LayerType"')
    for after in rest:
        name, kind = _LAYER_NAME.fullmatch(before[before.rfind('"Name"') :]), _LAYER_TYPE.match(after)
        before = after
        if name and kind:
            yield name[1], _Info(kind[1], "")


def _info(layer: Any) -> tuple[str, _Info]:
    """A layer is an object, or its bare name where the engine was not built with detailed verbosity."""
    if isinstance(layer, str):
        return layer, _Info("", "")
    return str(layer.get("Name", "")), _Info(str(layer.get("LayerType", "")), str(layer.get("Metadata", "")))


def _called_by_parser(made: Mapping[str, str]) -> dict[str, str]:
    """Also the names that TensorRT's parser gives to nodes without one."""
    return {**made, **{_UNNAMED + value: value for value in made.values() if _UNNAMED + value not in made}}


def _require_same_engine(layers: Path, kinds: Mapping[str, _Info], profile: Path, timed: Sequence[str]) -> None:
    """Raises: UsageError: none of the layers was timed."""
    if not kinds.keys() & set(timed):
        found = f"none of its layers, such as {next(iter(kinds))!r}," if kinds else "no layer"
        raise UsageError(
            f"{layers}: {found} is in {profile}, which has {timed[0]!r}; export both from one engine in one run."
        )


def _require_same_model(layers: Path, kinds: Mapping[str, _Info], made: Mapping[str, str]) -> None:
    """Raises: UsageError: the metadata names nodes, and none of them is the model's."""
    nodes = [node for info in kinds.values() for node in _nodes(info)]
    if nodes and not any(node in made for node in nodes):
        raise UsageError(
            f"{layers}: belongs to another model: its layers compute nodes such as {nodes[0]!r}, and this one has "
            f"{next(iter(made), 'none')!r}; profile an engine of this model."
        )


def _nodes(info: _Info) -> list[str]:
    """Names of the nodes that a layer computes, by the inspector's metadata."""
    named = (part.partition("]")[0] for part in info.metadata.split("[ONNX Layer: ")[1:])
    return [name for name in named if name]


def _values(name: str, kinds: Mapping[str, _Info], made: Mapping[str, str]) -> tuple[str, ...]:
    """Values of the model behind a layer: by the inspector's metadata, else by the names that TensorRT joins."""
    nodes = _nodes(kinds[name]) if name in kinds else []
    return tuple(dict.fromkeys(made[node] for node in nodes if node in made)) if nodes else joined_values(name, made)


def _text(path: Path) -> str:
    return decoded(files.read_bounded(path, MAX_FILE_BYTES, "a file that trtexec wrote"))

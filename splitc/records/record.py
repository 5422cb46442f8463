"""One measurement as a JSON file: device, model, times of the whole and of each layer.

    {"schema_version": 1, "device": "jetson-orin-nano", "backend": "tensorrt", "backend_version": "10.3.0", ...
     "layers": [{"name": "Conv_0 + Relu_1", "operator": "Conv", "median_ms": 0.12, "values": ["relu_1"]}, ...]}

A layer is what the backend executes; ``values`` ties it to the model: the first outputs of the model's nodes that it
computes. Backends fuse, so a layer may compute several, and one that the backend made up (a reordering of memory)
computes none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

import numpy as np
from pydantic import ConfigDict, Field, ValidationError, model_validator

from splitc import files
from splitc.bundle import canonical_json, parse_json
from splitc.errors import BundleError, UsageError
from splitc.types import F64, Frozen

MAX_RECORD_BYTES = 64 << 20
"""Largest file that is read: 100,000 layers with long names."""
MAX_LAYERS = 200_000

LEAST_TRACED = 0.5
"""Least share of a profile's time that its layers must trace to the model's values, to price parts of it by layer."""

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=4096)]
Milliseconds: TypeAlias = Annotated[float, Field(ge=0, le=1e9)]
Precision: TypeAlias = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Sha256: TypeAlias = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Strict(Frozen):
    """Unknown fields, numbers as text and numbers that are not finite are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Percentiles(Strict):
    """Milliseconds of one inference over the samples of a run."""

    mean: Milliseconds
    min: Milliseconds
    p50: Milliseconds
    p90: Milliseconds
    p95: Milliseconds
    p99: Milliseconds

    @model_validator(mode="after")
    def _rise(self) -> Percentiles:
        if not self.min <= self.p50 <= self.p90 <= self.p95 <= self.p99:
            raise ValueError("percentiles must rise: min <= p50 <= p90 <= p95 <= p99")
        return self

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> Percentiles:
        """Of at least one time."""
        times: F64 = np.asarray(times_ms, np.float64)
        p50, p90, p95, p99 = (float(one) for one in np.percentile(times, [50, 90, 95, 99]))
        return cls(mean=float(times.mean()), min=float(times.min()), p50=p50, p90=p90, p95=p95, p99=p99)


class LayerTiming(Strict):
    """One unit that the backend executes."""

    name: Name
    operator: str = Field(max_length=256, description="the backend's name of the kind of layer")
    median_ms: Milliseconds
    mean_ms: Milliseconds | None = Field(default=None, description="None where only the median is known")
    values: tuple[Name, ...] = Field(default=(), description="values of the model that it computes")


class Record(Strict):
    """One model, or one half, measured on one device."""

    schema_version: Literal[1] = 1
    device: Name = Field(description="name of a device profile")
    backend: Name
    backend_version: str = Field(max_length=256)
    model_sha256: Sha256 = Field(description="of the model file that ran")
    side: Literal["whole", "edge", "cloud"] = Field(description="which half of a pair the model is; whole: no half")
    precision: Precision = "fp32"
    threads: int | None = Field(default=None, ge=1, description="CPU threads; None on other processors")
    warmup: int = Field(ge=0)
    samples: int = Field(ge=1, description="inferences behind latency_ms")
    latency_ms: Percentiles
    layers: Annotated[tuple[LayerTiming, ...], Field(max_length=MAX_LAYERS)] = ()
    device_ms: Percentiles | None = Field(default=None, description="on the accelerator alone; None: not told apart")
    peak_memory_mb: float | None = Field(default=None, ge=0, description="of the process, MiB")
    power_w: float | None = Field(default=None, ge=0, description="mean of the module while samples ran")
    energy_mj: float | None = Field(default=None, ge=0, description="of one inference")
    environment: dict[str, str] = Field(default={}, description="power mode, clocks, temperature, versions")


def layer_ms(record: Record) -> Mapping[str, float]:
    """Milliseconds by value of the model, scaled so that all layers together take the run's median latency.

    Timing layers costs time, and time between layers belongs to none: both are spread over the layers in
    proportion. A layer that computes several values counts for the first; one that computes none, for all.
    """
    placed = {layer.values[0]: 0.0 for layer in record.layers if layer.values}
    for layer in record.layers:
        if layer.values:
            placed[layer.values[0]] += layer.median_ms
    total = sum(placed.values())
    scale = record.latency_ms.p50 / total if total else 0.0
    return {value: scale * ms for value, ms in placed.items()}


def traced_share(record: Record) -> float:
    """Share of the layers' time that belongs to values of the model; 0 without layers, or where all take no time.

    TensorRT names a region that another compiler took over ``{ForeignNode[first...last]}``: it belongs to no value.
    """
    total = sum(layer.median_ms for layer in record.layers)
    traced = sum(layer.median_ms for layer in record.layers if layer.values)
    return traced / total if total else 0.0


def read_record(path: Path | str) -> Record:
    """Read and check a record.

    Raises:
        UsageError: Absent, too large, not JSON, of another schema version, or with a wrong field, which is named.
    """
    path = Path(path)
    data = files.read_bounded(path, MAX_RECORD_BYTES, "a profile that splitc wrote")
    try:
        document = parse_json(data, str(path))
    except BundleError as error:
        raise UsageError(str(error)) from error
    try:
        return Record.model_validate_json(canonical_json(document))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "profile"
        raise UsageError(f"{path}: {where}: {first['msg']}; profile the device again.") from error


def write_record(record: Record, path: Path | str) -> Path:
    """Write a record, whole or not at all.

    Raises:
        UsageError: The folder is absent or cannot be written.
    """
    files.write_file(Path(path), canonical_json(record.model_dump(mode="json")))
    return Path(path)

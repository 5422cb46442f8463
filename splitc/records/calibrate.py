"""Fit a device to records: one linear model per kind of layer, and a share of the peaks for all other kinds."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from splitc.device import ELEMENT_BYTES, Device, Precision, Rate, roofline_ms
from splitc.errors import UsageError
from splitc.graph import Model, Work, work_of
from splitc.records.record import Record, layer_ms
from splitc.types import F64

COLUMNS = 4
MIN_LAYERS = 2
"""Fewer measured layers of a kind say nothing about others of it."""


class Measured(NamedTuple):
    """A model beside its record."""

    model: Model
    record: Record


class Timed(NamedTuple):
    """One group of nodes with its work and its measured time."""

    work: Work
    ms: float


def fit_device(device: Device, measured: Sequence[Measured]) -> Device:
    """``device`` with rates fitted to records, one for each kind of layer that they hold.

    Kinds without measured layers keep the roofline of the published peaks, at the share of them that the measured
    layers reach in the median.

    Raises:
        UsageError: No record, records of several precisions, or a record without layers or of another model.
    """
    precision = _common_precision(measured)
    groups: dict[str, list[Timed]] = defaultdict(list)
    for one in measured:
        for timed in timed_groups(one):
            groups[timed.work.kind].append(timed)
    rates = tuple(_fit(kind, groups[kind], precision) for kind in sorted(groups) if len(groups[kind]) >= MIN_LAYERS)
    source = (
        f"fitted to {len(measured)} profiles of {sum(map(len, groups.values()))} layers, {measured[0].record.backend}"
    )
    changes: dict[str, object] = {"rates": rates, "sources": device.sources | {"rates": source}}
    reached = _reached(device, [one for kind in groups.values() for one in kind], precision)
    if reached is not None:
        changes |= {"efficiency": reached, "sources": device.sources | dict.fromkeys(("rates", "efficiency"), source)}
    return Device.model_validate({**device.model_dump(), **changes})


def timed_groups(one: Measured) -> list[Timed]:
    """Groups of nodes that took measurable time.

    Raises:
        UsageError: The record has no layers, or belongs to another model.
    """
    times, work = layer_ms(one.record), work_of(one.model)
    if not times:
        raise UsageError(f"the profile of {one.record.device} has no layers to fit; profile with layers.")
    sums: dict[int, float] = defaultdict(float)
    for node in work:
        sums[node.leader] += times.get(node.value, 0.0)
    if sum(sums.values()) < 0.5 * sum(times.values()):
        raise UsageError("the profile's layers are not this model's; give the record of the same model.")
    return [Timed(work[leader], ms) for leader, ms in sums.items() if ms > 0]


def _common_precision(measured: Sequence[Measured]) -> Precision:
    found = {one.record.precision for one in measured}
    if len(found) != 1:
        raise UsageError(f"profiles of one precision are needed to fit a device, got {sorted(found) or 'none'}.")
    return found.pop()


def _fit(kind: str, timed: Sequence[Timed], precision: Precision) -> Rate:
    """Least squares with no negative coefficient, each layer weighted so that small ones count too."""
    columns = np.array([_columns(one.work, precision) for one in timed])
    times = np.array([one.ms for one in timed])
    weights = 1 / np.sqrt(times)
    launch, flops, weight, moved = _non_negative(columns * weights[:, None], times * weights)
    return Rate(
        kind=kind,
        precision=precision,
        launch_ms=launch,
        ms_per_gflop=flops,
        ms_per_weight_mb=weight,
        ms_per_moved_mb=moved,
    )


def _columns(work: Work, precision: Precision) -> tuple[float, float, float, float]:
    size = ELEMENT_BYTES[precision]
    return 1.0, work.flops / 1e9, size * work.weights / 1e6, size * work.moved / 1e6


def _non_negative(columns: F64, times: F64) -> tuple[float, float, float, float]:
    """The best of the least-squares solutions on every subset of columns that has no negative coefficient."""
    best, least = np.zeros(COLUMNS), float(times @ times)
    for subset in _subsets():
        some, *_ = np.linalg.lstsq(columns[:, subset], times, rcond=None)
        error = float(np.sum((columns[:, subset] @ some - times) ** 2))
        if (some >= 0).all() and error < least:
            best, least = np.zeros(COLUMNS), error
            best[list(subset)] = some
    launch, flops, weight, moved = (float(one) for one in best)
    return launch, flops, weight, moved


def _subsets() -> Iterable[tuple[int, ...]]:
    for size in range(1, COLUMNS + 1):
        yield from combinations(range(COLUMNS), size)


def _reached(device: Device, timed: Sequence[Timed], precision: Precision) -> float | None:
    """Median share of the roofline that the measured layers reach; None where the device has no published peak."""
    if device.bandwidth_gb_s is None or getattr(device.peak_tflops, precision) is None:
        return None
    size = ELEMENT_BYTES[precision]
    shares = [
        roofline_ms(device, one.work.flops, size * (one.work.weights + one.work.moved), precision) / one.ms
        for one in timed
    ]
    return min(1.0, statistics.median(shares)) or None

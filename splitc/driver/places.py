"""Where the halves run: devices, link, and profiles measured of this very model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from splitc import graph, plan, records
from splitc.device import Device, Link, load_device
from splitc.errors import UsageError
from splitc.recipe import Recipe, TargetSection

THIS_MACHINE = "cpu"
"""Device profile of a side for which the recipe names none."""


def find_places(recipe: Recipe) -> plan.Places:
    """Devices and link that the recipe names.

    Raises:
        UsageError: An unknown device, or a device file that is wrong.
    """
    link = recipe.link.model_dump(exclude={"trace"})
    edge, cloud = device_of(recipe, recipe.target.edge), device_of(recipe, recipe.target.cloud)
    return plan.Places(edge, cloud, Link.model_validate(link))


def with_layers(places: plan.Places, recipe: Recipe, source: graph.Model, model: graph.Model) -> plan.Places:
    """The same places with the measured layers of the profiles that the recipe names.

    Args:
        places: Devices and link.
        recipe: Names the profiles.
        source: The model that was measured.
        model: The same model prepared for the cut.

    Raises:
        UsageError: A profile that cannot be read, or that belongs to another model or device.
    """
    edge = _record(recipe, recipe.target.edge, places.edge, source)
    cloud = _record(recipe, recipe.target.cloud, places.cloud, source)
    return replace(
        places,
        edge=places.edge if edge is None else _with_power(places.edge, edge),
        edge_layers=_layers(edge, source, model),
        cloud_layers=_layers(cloud, source, model),
        edge_whole_ms=_whole_ms(edge),
        cloud_whole_ms=_whole_ms(cloud),
    )


def _layers(record: records.Record | None, source: graph.Model, model: graph.Model) -> plan.Layers:
    """Of the one element type that was measured, where most of its time is known layer by layer."""
    if record is None or records.traced_share(record) < records.LEAST_TRACED:
        return {}
    return {record.precision: _carried(records.layer_ms(record), source, model)}


def _whole_ms(record: records.Record | None) -> dict[records.Precision, float]:
    """The model's time where that of its layers is not known."""
    if record is None or records.traced_share(record) >= records.LEAST_TRACED:
        return {}
    return {record.precision: record.latency_ms.p50}


def _record(recipe: Recipe, target: TargetSection, device: Device, source: graph.Model) -> records.Record | None:
    if target.profile is None:
        return None
    path = recipe.resolve(target.profile)
    record = records.read_record(path)
    refuse_another_model(path, record, source)
    if record.device != device.name:
        raise UsageError(
            f"{path}: was measured on {record.device!r}, the recipe's device is {device.name!r}; name that device, or "
            "profile this one."
        )
    if not record.layers:
        raise UsageError(f"{path}: has no layers, so it cannot price a part of the model; profile with layers.")
    return record


def _with_power(device: Device, record: records.Record) -> Device:
    """The device with the mean power that was measured, where the profile has the energy of an inference."""
    if not record.energy_mj:
        return device
    sources = device.sources | {"power_w": "measured: energy of an inference over its time, in the profile"}
    power_w = record.energy_mj / record.latency_ms.mean
    return Device.model_validate({**device.model_dump(), "power_w": power_w, "sources": sources})


def refuse_another_model(path: Path, record: records.Record, model: graph.Model) -> None:
    """Raises: UsageError: the profile was not measured on this model."""
    if record.model_sha256 != model.sha256:
        raise UsageError(
            f"{path}: is the profile of another model (sha256 {record.model_sha256[:12]}...); profile this one."
        )


def _carried(layers: Mapping[str, float], source: graph.Model, model: graph.Model) -> Mapping[str, float]:
    """Times of the source's nodes at the prepared model's; a node that preparation removed adds to the next one."""
    kept = {node.outputs[0].name for node in model.flow.nodes}
    carried: dict[str, float] = {}
    pending = 0.0
    for node in source.flow.nodes:
        name = node.outputs[0].name or ""
        pending += layers.get(name, 0.0)
        if name in kept:
            carried[name], pending = pending, 0.0
    if pending and carried:
        carried[next(reversed(carried))] += pending
    return carried


def device_of(recipe: Recipe, target: TargetSection) -> Device:
    """The device profile that a target names; a name that ends in .toml is a file of the user's own.

    Raises:
        UsageError: An unknown device, or a file that is wrong.
    """
    name = target.device or THIS_MACHINE
    return load_device(str(recipe.resolve(name)) if name.endswith(".toml") else name)

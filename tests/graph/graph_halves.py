"""Run graphs and compare halves with the whole, bit for bit, on ONNX Runtime with optimizations off."""

from __future__ import annotations

import glob
import os
import random
from collections.abc import Sequence, Set
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime as ort
import pytest

from splitc import graph
from splitc.errors import CutError
from splitc.graph import Halves, Model
from splitc.types import Array, Feeds

DATA = Path(os.environ.get("SPLITC_DATA", Path(__file__).parents[3] / "shared" / "data"))
LIGHT = sorted(glob.glob(str(Path(onnx.__file__).parent / "backend/test/data/light/*.onnx")))
PATIENCE = 1000
"""Random cuts in a row that are all known before a model is taken to have no more."""
MAX_BOUNDARIES = 5000


def parse(text: str) -> Model:
    """A model from ONNX text; header and inputs as the ONNX parser wants them."""
    return graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text)))


def model_file(name: str) -> Path:
    """A real model, or a skip that says where it was looked for."""
    path = DATA / "models" / name
    if not path.is_file():
        pytest.skip(f"real model {name} is not in {DATA} (set SPLITC_DATA)")
    return path


def session(model: ir.Model) -> ort.InferenceSession:
    """One thread, no optimizations: the same operator gives the same bits."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(graph.to_bytes(model), options, providers=["CPUExecutionProvider"])


def random_feeds(model: Model, seed: int = 0, batch: int = 2) -> dict[str, Array]:
    """Normal numbers for floats, zeros and ones for the rest; dynamic dimensions get ``batch``."""
    rng = np.random.default_rng(seed)
    feeds: dict[str, Array] = {}
    for spec in model.inputs:
        shape = [batch if isinstance(dim, str) else dim for dim in spec.shape]
        is_float = spec.dtype.startswith("float")
        feeds[spec.name] = (rng.standard_normal(shape) if is_float else rng.integers(0, 2, shape)).astype(spec.dtype)
    return feeds


def run(model: ir.Model, feeds: Feeds) -> dict[str, Array]:
    """Outputs by name."""
    one = session(model)
    names = [value.name for value in one.get_outputs()]
    return dict(zip(names, one.run(names, dict(feeds)), strict=True))


def assert_same_bits(one: Feeds, other: Feeds, label: object) -> None:
    """Same names in the same order, same types, shapes and bytes."""
    assert list(one) == list(other), label
    for name, array in one.items():
        assert array.dtype == other[name].dtype, (label, name)
        assert array.shape == other[name].shape, (label, name)
        assert array.tobytes() == other[name].tobytes(), (label, name)


def assert_cut_holds(
    model: Model, names: Sequence[str], feeds: Feeds, expected: Feeds, merge_too: bool = True
) -> Halves:
    """Split at ``names``; ``tail(head(x))`` and the merged graph must equal ``expected`` bit for bit."""
    halves = graph.split(model, names)
    assert tuple(spec.name for spec in halves.cut) == tuple(names)
    feature = run(halves.head, feeds)
    assert list(feature) == list(names)
    tail = session(halves.tail)
    assert [value.name for value in tail.get_inputs()] == list(names)
    outputs = [value.name for value in tail.get_outputs()]
    assert_same_bits(dict(zip(outputs, tail.run(outputs, feature), strict=True)), expected, names)
    if merge_too:
        assert_same_bits(run(graph.merge(halves.head, halves.tail), feeds), expected, names)
    return halves


def random_prefix_cut(model: Model, rng: random.Random) -> tuple[str, ...] | None:
    """Values that cross a random boundary, without those no tail needs.

    None when the boundary has only inputs before it or only outputs after it.
    """
    names = _crossing(model, rng.choice((_random_ancestors, _random_start))(model, rng))
    while names:
        try:
            return graph.check_cut(model, names).names
        except CutError as error:
            unneeded = next((name for name in names if f"value {name!r} is not needed" in str(error)), None)
            if unneeded is None:
                if "would be empty" in str(error):
                    return None
                raise
            names.remove(unneeded)
    return None


def wide_cuts(model: Model, count: int, seed: int = 1) -> list[tuple[str, ...]]:
    """``count`` distinct random cuts of two or more tensors; fewer when ``PATIENCE`` draws in a row give no new one."""
    rng, found, idle = random.Random(seed), dict[tuple[str, ...], None](), 0
    while len(found) < count and idle < PATIENCE:
        names = random_prefix_cut(model, rng)
        is_new = names is not None and len(names) > 1 and names not in found
        idle = 0 if is_new else idle + 1
        if names is not None and is_new:
            found[names] = None
    return list(found)


def every_wide_cut(model: Model) -> set[tuple[str, ...]]:
    """All cuts of two or more tensors, by growing every boundary a node at a time; for graphs with few boundaries."""
    needs = _needs(model)
    seen, pending, found = {frozenset[int]()}, [frozenset[int]()], set()
    while pending:
        prefix = pending.pop()
        names = tuple(_crossing(model, prefix)) if prefix else ()
        if len(names) > 1:
            found.add(graph.check_cut(model, names).names)
        grown = {prefix | {index} for index in needs.keys() - prefix if needs[index] <= prefix} - seen
        assert len(seen) < MAX_BOUNDARIES, "too many boundaries to list"
        seen |= grown
        pending += grown
    return found


def _random_ancestors(model: Model, rng: random.Random) -> set[int]:
    """Positions of a few random nodes and of all that they depend on: boundaries with many branches half done."""
    needs = _needs(model)
    prefix: set[int] = set()
    for index in rng.sample(sorted(needs), k=min(len(needs), rng.randint(1, 6))):
        pending = [index]
        while pending:
            at = pending.pop()
            if at not in prefix:
                prefix.add(at)
                pending += needs[at]
    return prefix


def _random_start(model: Model, rng: random.Random) -> set[int]:
    """Positions of the first nodes of a random topological order: boundaries with branches at random depths."""
    needs = _needs(model)
    readers: dict[int, list[int]] = {index: [] for index in needs}
    for index, before in needs.items():
        for at in before:
            readers[at].append(index)
    missing = {index: len(before) for index, before in needs.items()}
    ready = [index for index, count in missing.items() if not count]
    prefix: set[int] = set()
    for _ in range(rng.randint(1, len(needs))):
        index = ready.pop(rng.randrange(len(ready)))
        prefix.add(index)
        for reader in readers[index]:
            missing[reader] -= 1
            if not missing[reader]:
                ready.append(reader)
    return prefix


def _needs(model: Model) -> dict[int, set[int]]:
    """Position of each node that reads data -> those of the nodes it reads such data from."""
    flow = model.flow
    wanted = {index for index, node in enumerate(flow.nodes) if any(value in flow.varying for value in node.outputs)}
    producers = {index: (value.producer() for value in flow.reads[index]) for index in sorted(wanted)}
    return {
        index: {flow.position[node] for node in nodes if node is not None} & wanted
        for index, nodes in producers.items()
    }


def _crossing(model: Model, prefix: Set[int]) -> list[str]:
    flow = model.flow
    made = {value for index in prefix for value in flow.nodes[index].outputs} | set(flow.inputs)
    later = {value for index, read in enumerate(flow.reads) if index not in prefix for value in read}
    used = [value for value in made & flow.varying if value in later or value in flow.outputs]
    order = {name: index for index, name in enumerate(flow.values)}
    return sorted((value.name or "" for value in used), key=order.__getitem__)

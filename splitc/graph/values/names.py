"""Fresh names: the only place that makes up a name for a value or a node of somebody's graph."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir


class FreshNames:
    """Names that no value and no node of some models has yet, bodies included.

    Args:
        *models: All graphs that the names go into.
    """

    def __init__(self, *models: ir.Model) -> None:
        graphs = [graph for model in models for graph in model.graphs()]
        self._taken = {value.name for graph in graphs for value in (*values_of(graph), *graph.outputs)}
        self._taken |= {node.name for graph in graphs for node in graph}

    def __call__(self, wanted: str) -> str:
        """``wanted`` itself where it is free, else with a number behind it."""
        name, count = wanted, 1
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        return name


def values_of(graph: ir.Graph) -> Iterator[ir.Value]:
    """Inputs, initializers and node outputs of one graph."""
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield from node.outputs


def free_name(model: ir.Model, name: str, names: FreshNames) -> None:
    """Let ``name`` be free for a new value: an inner value that has it gets another; ports of the graph keep theirs.

    Args:
        model: Is changed in place.
        name: To be given to a new value by the caller.
        names: Of ``model``.
    """
    ports = {*model.graph.inputs, *model.graph.outputs}
    for graph in model.graphs():
        for value in list(values_of(graph)):
            if value.name == name and value not in ports:
                value.name = names(name)

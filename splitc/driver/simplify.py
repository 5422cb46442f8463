"""A model with its constants and shape arithmetic computed ahead, proven to answer the same bits."""

from __future__ import annotations

from splitc import graph, passes
from splitc.backends import fold_constants
from splitc.errors import GraphError, OwnFault
from splitc.evaluate import distance, random_answers, run_each, run_file
from splitc.files import temporary_folder

MAX_WEIGHT_BYTES = 1_900_000_000
"""Folding reads all weights; larger models are worked on as they are."""


def simplified(model: graph.Model) -> graph.Model:
    """The same answers from fewer nodes: 6,261 nodes of an exported Swin-T become about 600.

    Raises:
        GraphError: The weights are too large.
        BackendError: ONNX Runtime refuses the model.
        OwnFault: The answers to random inputs changed.
    """
    size = graph.weight_bytes(model.ir_model)
    if size > MAX_WEIGHT_BYTES:
        raise GraphError(f"the model holds {size / 1e9:.1f} GB of weights, too much to simplify; leave out --simplify.")
    with temporary_folder("simplify") as folder:
        source, folded, out = (folder / name for name in ("source.onnx", "folded.onnx", "model.onnx"))
        graph.save(model.ir_model, source, external=False)
        fold_constants(source, folded)
        result = passes.apply(passes.Simplify(), graph.load(folded).ir_model).model
        graph.save(result, out, external=False)
        (feeds, *_), (before, *_) = random_answers(source, model.inputs, run_each)
        after = run_file(out, feeds)
        if any(distance(before[name], after.get(name)) for name in before):
            raise OwnFault(
                "simplifying changed the answers to random inputs: leave out --simplify. " + passes.WHOSE_FAULT
            )
        return graph.Model(graph.load(out).ir_model)

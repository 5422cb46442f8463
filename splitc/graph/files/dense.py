"""Sparse tensors of an ONNX file as dense ones: what comes after knows no others, and no engine is faster by them.

A sparse initializer is named by its values. Indices count elements, row by row, or are coordinates, one row an element.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from splitc.graph.files.soundness import graphs_of_proto
from splitc.types import Array

MOST_ELEMENTS = 1 << 28
"""Of one dense tensor: what a file may ask us to allocate."""


def without_sparse(model: onnx.ModelProto) -> onnx.ModelProto:
    """``model``, changed in place: sparse initializers and Constants become dense; nothing without them.

    Raises:
        ValueError: Indices that do not fit the shape, or a shape of more than :data:`MOST_ELEMENTS`.
    """
    for graph in graphs_of_proto(model.graph):
        for sparse in graph.sparse_initializer:
            graph.initializer.append(_dense(sparse, sparse.values.name))
        del graph.sparse_initializer[:]
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.SPARSE_TENSOR and node.op_type == "Constant":
                    value = _dense(attribute.sparse_tensor, node.output[0] if node.output else "")
                    attribute.CopyFrom(onnx.helper.make_attribute("value", value))
    return model


def _dense(sparse: onnx.SparseTensorProto, name: str) -> onnx.TensorProto:
    shape = tuple(sparse.dims)
    size = int(np.prod([int(dim) for dim in shape], dtype=object))
    if min(shape, default=0) < 0 or size > MOST_ELEMENTS:
        raise ValueError(f"sparse tensor {name!r} has the shape {list(shape)}, more than {MOST_ELEMENTS} elements")
    values, indices = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    dense = np.zeros(size, values.dtype)
    dense[_places(indices, shape, size, name)] = values.reshape(-1)
    return numpy_helper.from_array(dense.reshape(shape), name)


def _places(indices: Array, shape: tuple[int, ...], size: int, name: str) -> Array:
    """Elements, counted row by row."""
    try:
        places = np.ravel_multi_index(tuple(indices.T), shape) if indices.ndim == 2 else indices.reshape(-1)
    except ValueError as error:
        raise ValueError(f"sparse tensor {name!r} has indices outside its shape {list(shape)}") from error
    if places.size and not 0 <= places.min() <= places.max() < size:
        raise ValueError(f"sparse tensor {name!r} has indices outside its shape {list(shape)}")
    return np.asarray(places)

"""Operators that work element by element, matrix products and reductions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F

from splitc.train.operators.call import NodeCall, Operator, Tensor

TYPES: Mapping[int, torch.dtype] = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float32,
    11: torch.float32,
    16: torch.float32,
}
"""ONNX's element types; every float computes in float32."""


def _unary(function: Callable[[Tensor], Any]) -> Operator:
    return lambda call: function(call.tensor(0))


def _binary(function: Callable[[Tensor, Tensor], Any]) -> Operator:
    return lambda call: function(call.tensor(0), call.tensor(1))


def _variadic(function: Callable[[Tensor, Tensor], Any]) -> Operator:
    def all_of(call: NodeCall) -> Tensor:
        found = call.tensor(0)
        for index in range(1, len(call.inputs)):
            found = function(found, call.tensor(index))
        return found

    return all_of


def divide(call: NodeCall) -> Tensor:
    """Integers are divided toward zero."""
    a, b = call.tensor(0), call.tensor(1)
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def clip(call: NodeCall) -> Tensor:
    """Bounds are inputs, before opset 11 attributes; one that is left out does not bound."""
    low, high = (
        call.optional(index) if call.optional(index) is not None else call.attributes.get(name)
        for index, name in ((1, "min"), (2, "max"))
    )
    x = call.tensor(0)
    if low is None and high is None:
        return x
    as_tensors = [one if one is None or isinstance(one, torch.Tensor) else x.new_tensor(one) for one in (low, high)]
    return torch.clamp(x, *as_tensors)


def cast(call: NodeCall) -> Tensor:
    return call.tensor(0).to(TYPES[call.integer("to", 1)])


def softmax(call: NodeCall) -> Tensor:
    """Along one axis; before opset 13 along all axes from ``axis`` on together."""
    x, function = call.tensor(0), F.log_softmax if call.kind == "LogSoftmax" else F.softmax
    if call.opset >= 13:
        return function(x, dim=call.integer("axis", -1))
    axis = call.integer("axis", 1) % x.dim()
    return function(x.flatten(axis), dim=axis).reshape(x.shape)


def gemm(call: NodeCall) -> Tensor:
    a, b, c = call.tensor(0), call.tensor(1), call.optional(2)
    a = a.T if call.integer("transA", 0) else a
    b = b.T if call.integer("transB", 0) else b
    product = call.number("alpha", 1.0) * (a @ b)
    return product if c is None else product + call.number("beta", 1.0) * c


def reduce(call: NodeCall) -> Tensor:
    """ReduceMean, ReduceSum, ReduceMax and ReduceMin; axes are attributes, or an input in newer opsets."""
    x, axes, keep = call.tensor(0), call.integers(1, "axes"), bool(call.integer("keepdims", 1))
    if not axes:
        if call.integer("noop_with_empty_axes", 0):
            return x
        axes = list(range(x.dim()))
    functions = {"ReduceMean": torch.mean, "ReduceSum": torch.sum, "ReduceMax": torch.amax, "ReduceMin": torch.amin}
    return functions[call.kind](x, axes, keepdim=keep)


def prelu(call: NodeCall) -> Tensor:
    x, slope = call.tensor(0), call.tensor(1)
    return torch.where(x < 0, x * slope, x)


def hard_sigmoid(call: NodeCall) -> Tensor:
    return torch.clamp(call.number("alpha", 0.2) * call.tensor(0) + call.number("beta", 0.5), 0.0, 1.0)


ARITHMETIC: Mapping[str, Operator] = {
    "Abs": _unary(torch.abs),
    "Add": _binary(torch.add),
    "And": _binary(torch.logical_and),
    "Cast": cast,
    "Ceil": _unary(torch.ceil),
    "Clip": clip,
    "Cos": _unary(torch.cos),
    "Div": divide,
    "Elu": lambda call: F.elu(call.tensor(0), call.number("alpha", 1.0)),
    "Equal": _binary(torch.eq),
    "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp),
    "Floor": _unary(torch.floor),
    "Gelu": lambda call: F.gelu(call.tensor(0), approximate=call.text("approximate", "none")),
    "Gemm": gemm,
    "Greater": _binary(torch.gt),
    "HardSigmoid": hard_sigmoid,
    "HardSwish": _unary(F.hardswish),
    "LeakyRelu": lambda call: F.leaky_relu(call.tensor(0), call.number("alpha", 0.01)),
    "Less": _binary(torch.lt),
    "Log": _unary(torch.log),
    "LogSoftmax": softmax,
    "MatMul": _binary(torch.matmul),
    "Max": _variadic(torch.maximum),
    "Min": _variadic(torch.minimum),
    "Mish": _unary(F.mish),
    "Mul": _binary(torch.mul),
    "Neg": _unary(torch.neg),
    "Not": _unary(torch.logical_not),
    "PRelu": prelu,
    "Pow": _binary(torch.pow),
    "Reciprocal": _unary(torch.reciprocal),
    "ReduceMax": reduce,
    "ReduceMean": reduce,
    "ReduceMin": reduce,
    "ReduceSum": reduce,
    "Relu": _unary(F.relu),
    "Sigmoid": _unary(torch.sigmoid),
    "Sin": _unary(torch.sin),
    "Softmax": softmax,
    "Softplus": _unary(F.softplus),
    "Sqrt": _unary(torch.sqrt),
    "Sub": _binary(torch.sub),
    "Sum": _variadic(torch.add),
    "Tanh": _unary(torch.tanh),
    "Where": lambda call: torch.where(call.tensor(0), call.tensor(1), call.tensor(2)),
}

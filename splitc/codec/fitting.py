"""Learn a codec from calibration features: quantizers first, then entropy tables on the symbols that streams hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from splitc.codec.fitted import FittedTensor
from splitc.codec.planes import as_planes
from splitc.codec.spec import CodecSpec
from splitc.errors import CodecError
from splitc.types import F32, Symbols, TensorSpec


def fit_tensor(spec: CodecSpec, tensor: TensorSpec, values: F32, sequence_lengths: Sequence[int]) -> FittedTensor:
    """One cut tensor.

    Args:
        spec: What to fit.
        tensor: Name, type and shape, a batch dimension first.
        values: Its calibration features, float32 ``[n, C, ...]``.
        sequence_lengths: How many samples in a row are consecutive frames; their sum is n.

    Raises:
        CodecError: Features that cannot be fitted, or a channel axis of unknown size.
    """
    if len(tensor.shape) > 1 and not isinstance(tensor.shape[1], int):
        raise CodecError(f"cut value {tensor.name!r}: axis 1 has no fixed size; fix it in model.shapes.")
    quantizer, coder = spec.make_quantizer(), spec.make_entropy()
    params = quantizer.fit(values)
    fitted = FittedTensor(tensor, quantizer, params, tables=b"")
    symbols = fitted.quantize(values)
    fitted = replace(fitted, tables=coder.fit_tensor(symbols, params.bits))
    if spec.make_temporal().period == 1 or not coder.is_trained:
        return fitted
    pairs = [(as_planes(one), as_planes(two)) for one, two in _residuals(spec, fitted, values, sequence_lengths)]
    if not pairs:
        raise CodecError(f"temporal {spec.temporal!r} is fitted on consecutive frames, and no two samples are.")
    before, residuals = zip(*pairs, strict=True)
    return replace(fitted, predicted_tables=coder.fit_predicted(residuals, before, params.bits))


def check_features(tensors: Sequence[TensorSpec], features: Sequence[F32] | F32) -> None:
    """One float32 array a tensor, of its sizes but for axis 0.

    Raises:
        CodecError: Another number, type or size; the message names the tensor.
    """
    if isinstance(features, np.ndarray) or not tensors or len(features) != len(tensors):
        count = "one array" if isinstance(features, np.ndarray) else f"{len(features)} arrays"
        raise CodecError(f"the features are {count}; give a list of {len(tensors) or 'at least 1'}, one a cut tensor.")
    for tensor, x in zip(tensors, features, strict=True):
        if not isinstance(x, np.ndarray) or x.dtype != np.float32:
            kind = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
            raise CodecError(f"features of {tensor.name!r} are {kind}, must be a float32 array.")
        sizes = zip(tensor.shape[1:], x.shape[1:], strict=False)
        if x.ndim != len(tensor.shape) or any(isinstance(want, int) and want != got for want, got in sizes):
            want = ["n", *tensor.shape[1:]]
            raise CodecError(f"features of {tensor.name!r} have shape {list(x.shape)}, must be {want}.")


def _residuals(
    spec: CodecSpec, fitted: FittedTensor, values: F32, sequence_lengths: Sequence[int]
) -> Iterator[tuple[Symbols, Symbols]]:
    """Residual symbols ``[1, C, ...]`` of every predicted frame, after those of the frame before it.

    Keyframes are where a stream would have them; their residual symbols are zeros.
    """
    temporal, start = spec.make_temporal(), 0
    for length in sequence_lengths:
        for index in range(length):
            x = values[start + index : start + index + 1]
            if index % temporal.period == 0:
                previous = fitted.quantize(x)
                before = np.zeros_like(previous)
                continue
            symbols = temporal.choose(x, previous, fitted)
            residual = temporal.residual(symbols, previous, fitted.count)
            yield before, residual
            previous, before = symbols, residual
        start += length

"""Learn a codec from calibration features: quantizers first, then entropy tables on the symbols that streams hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np

from splitc.codec.fitted import FittedTensor
from splitc.codec.planes import as_planes
from splitc.codec.quantizers import MeanError, QuantParams
from splitc.codec.spec import CodecSpec
from splitc.errors import CodecError
from splitc.types import F32, USUAL_LAYOUT, Layout, Symbols, TensorSpec


def fit_tensor(
    spec: CodecSpec, tensor: TensorSpec, layout: Layout, samples: Sequence[F32], sequence_lengths: Sequence[int]
) -> FittedTensor:
    """One cut tensor.

    Args:
        spec: What to fit.
        tensor: Name, type and shape at the cut.
        layout: Which of its axes are samples and channels.
        samples: Its calibration features, one float32 array a sample, of the cut's axes; dynamic sizes may differ.
        sequence_lengths: How many samples in a row are consecutive frames; their sum is the number of samples.

    Raises:
        CodecError: Features that cannot be fitted, or a layout that is not one of this tensor.
    """
    if fault := layout.fault(tensor.shape):
        raise CodecError(
            f"cut value {tensor.name!r}: {fault}; fix it in model.shapes, or choose another axis in split.channel_axis."
        )
    quantizer, coder = spec.make_quantizer(), spec.make_entropy()
    wires = [layout.to_wire(x) for x in samples]
    params = quantizer.fit(wires)
    fitted = FittedTensor(tensor, quantizer, params, tables=b"", layout=layout)
    fitted = replace(fitted, tables=coder.fit_tensor([fitted.quantize(wire) for wire in wires], params.bits))
    if spec.make_temporal().period == 1 or not (coder.is_trained or quantizer.rule.has_gain):
        return fitted
    return _with_prediction(spec, fitted, wires, sequence_lengths)


def _with_prediction(
    spec: CodecSpec, fitted: FittedTensor, wires: Sequence[F32], sequence_lengths: Sequence[int]
) -> FittedTensor:
    """``fitted`` with tables and mean errors of predicted frames."""
    frames = list(_predicted_frames(spec, fitted, wires, sequence_lengths))
    if not frames:
        raise CodecError(f"temporal {spec.temporal!r} is fitted on consecutive frames, and no two samples are.")
    before, residuals = ([as_planes(one) for one in each] for each in zip(*((f[0], f[1]) for f in frames), strict=True))
    tables = spec.make_entropy().fit_predicted(residuals, before, fitted.params.bits)
    return replace(fitted, predicted_tables=tables, predicted_params=_predicted_params(spec, fitted, frames))


def _predicted_params(spec: CodecSpec, fitted: FittedTensor, frames: Sequence[PredictedFrame]) -> QuantParams | None:
    """Levels without the mean error of predicted frames, whose symbols a closed loop chooses otherwise."""
    if spec.make_temporal().is_open_loop or not fitted.quantizer.rule.has_gain:
        return None
    error = MeanError(len(fitted.params.bias))
    for frame in frames:
        error.add(frame.x, fitted.dequantize(frame.symbols, fitted.quantizer.side(frame.x)))
    return fitted.params.with_gain(error.corrected(fitted.params.bias))


def check_samples(
    tensors: Sequence[TensorSpec], features: Sequence[F32 | Sequence[F32]], layouts: Sequence[Layout]
) -> list[Sequence[F32]]:
    """Calibration features of each tensor, one array a sample.

    Raises:
        CodecError: No sample, or one that is not of its tensor's type and sizes.
    """
    if all(isinstance(values, np.ndarray) for values in features):
        check_features(tensors, cast("Sequence[F32]", features), layouts)
    if len(layouts) != len(tensors) or len(features) != len(tensors):
        raise CodecError(f"{len(features)} features and {len(layouts)} layouts; give one of each a cut tensor.")
    samples = [samples_of(values, layout) for values, layout in zip(features, layouts, strict=True)]
    for tensor, layout, arrays in zip(tensors, layouts, samples, strict=True):
        for array in arrays:
            check_features([tensor], [array], [layout])
    return samples


def check_lengths(sequence_lengths: Sequence[int] | None, counts: Sequence[int]) -> list[int]:
    """Lengths of the clips that the samples are.

    Args:
        sequence_lengths: As given; None: one clip.
        counts: Samples of each tensor.

    Raises:
        CodecError: They are not the lengths of clips of so many samples.
    """
    lengths = [counts[0]] if sequence_lengths is None else list(sequence_lengths)
    is_short = sequence_lengths is not None and min(lengths, default=0) < 1
    if is_short or any(sum(lengths) != count for count in counts):
        raise CodecError(f"sequence_lengths {lengths} are no lengths of clips: the features are {counts[0]} samples.")
    return lengths


def samples_of(values: F32 | Sequence[F32], layout: Layout) -> Sequence[F32]:
    """One array a sample: ``values`` itself, or an array of samples of one size taken apart along the batch axis."""
    if not isinstance(values, np.ndarray):
        return values
    axis = layout.batch_axis
    if axis is None:
        return [values]
    return np.split(values, values.shape[axis], axis) if values.size else []


def check_features(
    tensors: Sequence[TensorSpec], features: Sequence[F32] | F32, layouts: Sequence[Layout] | None = None
) -> None:
    """One float32 array a tensor, of its sizes but for the batch axis and dynamic ones.

    Args:
        tensors: The cut.
        features: Of one inference.
        layouts: Of each tensor; None: the usual one.

    Raises:
        CodecError: Another number, type or size; the message names the tensor.
    """
    if isinstance(features, np.ndarray) or not tensors or len(features) != len(tensors):
        count = "one array" if isinstance(features, np.ndarray) else f"{len(features)} arrays"
        raise CodecError(f"the features are {count}; give a list of {len(tensors) or 'at least 1'}, one a cut tensor.")
    for tensor, x, layout in zip(tensors, features, layouts or [USUAL_LAYOUT] * len(tensors), strict=True):
        if not isinstance(x, np.ndarray) or x.dtype != np.float32:
            kind = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
            raise CodecError(f"features of {tensor.name!r} are {kind}, must be a float32 array.")
        want = ["n" if axis == layout.batch_axis else size for axis, size in enumerate(tensor.shape)]
        sizes = zip(want, x.shape, strict=False)
        if x.ndim != len(want) or any(isinstance(size, int) and size != got for size, got in sizes):
            raise CodecError(f"features of {tensor.name!r} have shape {list(x.shape)}, must be {want}.")


class PredictedFrame(NamedTuple):
    """A predicted frame as a stream would code it, symbols ``[n, C, ...]`` of its wire ``x``."""

    before: Symbols
    residual: Symbols
    symbols: Symbols
    x: F32


def _predicted_frames(
    spec: CodecSpec, fitted: FittedTensor, wires: Sequence[F32], sequence_lengths: Sequence[int]
) -> Iterator[PredictedFrame]:
    """Every predicted frame with its residual symbols, and those of the frame before it.

    Keyframes are where a stream would have them, and where sizes change; their residual symbols are zeros.
    """
    temporal, start = spec.make_temporal(), 0
    previous: Symbols = np.empty(0, np.uint8)
    before, since_keyframe = previous, 0
    for length in sequence_lengths:
        for index in range(length):
            x = wires[start + index]
            if index == 0 or since_keyframe == temporal.period or x.shape != previous.shape:
                previous, since_keyframe = fitted.quantize(x), 1
                before = np.zeros_like(previous)
                continue
            since_keyframe += 1
            symbols = temporal.choose(x, previous, fitted)
            residual = temporal.residual(symbols, previous, fitted.count)
            yield PredictedFrame(before, residual, symbols, x)
            previous, before = symbols, residual
        start += length

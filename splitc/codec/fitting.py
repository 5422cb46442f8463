"""Learn a codec from calibration features: quantizers first, then entropy tables on the symbols that streams hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np

from splitc.codec.calibration import Calibration
from splitc.codec.description import MAX_TENSORS
from splitc.codec.fitted import FittedTensor
from splitc.codec.planes import as_planes
from splitc.codec.quantizers import MeanError, QuantParams
from splitc.codec.quantizers.step import Step
from splitc.codec.sensitivity import WeighedPlanes, planes_of, steps_of
from splitc.codec.spec import CodecSpec
from splitc.codec.temporal import Temporal
from splitc.codec.temporal.fields import FIELD_BITS, field_shape
from splitc.errors import CodecError
from splitc.types import F32, USUAL_LAYOUT, Layout, Symbols, TensorSpec


def fit_tensors(spec: CodecSpec, subject: Calibration) -> tuple[FittedTensor, ...]:
    """Every cut tensor.

    Args:
        spec: What to fit; its transform is no choice.
        subject: What to fit it on.

    Raises:
        CodecError: Features that cannot be fitted, a layout that is not one of its tensor, or no judge where one is
            needed.
    """
    for tensor, layout in zip(subject.tensors, subject.layouts, strict=True):
        _check_fits(spec, tensor, layout)
    if spec.make_temporal().has_field and 2 * len(subject.tensors) > MAX_TENSORS:
        most = MAX_TENSORS // 2
        raise CodecError(f'{len(subject.tensors)} tensors cross, motion takes at most {most}; use temporal = "dpcm".')
    transform, quantizer = spec.make_transform(), spec.make_quantizer()
    if not isinstance(quantizer, Step) or (transform.is_identity and quantizer.steps != "sensitivity"):
        return tuple(_plain(spec, subject, index) for index in range(len(subject.tensors)))
    return with_planes(spec, subject, planes_of(transform, quantizer, subject))


def with_planes(spec: CodecSpec, subject: Calibration, planes: Sequence[WeighedPlanes]) -> tuple[FittedTensor, ...]:
    """Every cut tensor on planes that are known, with the steps that ``spec`` gives them."""
    quantizer = spec.make_quantizer()
    assert isinstance(quantizer, Step), "only steps are given to planes"
    fitted = []
    for index, (one, steps) in enumerate(zip(planes, steps_of(quantizer, planes), strict=True)):
        params = quantizer.fit_steps(one.rows, steps, holds_zero=one.transform.is_identity)
        tensor = FittedTensor(subject.tensors[index], quantizer, params, b"", layout=subject.layouts[index])
        fitted.append(with_tables(spec, subject, index, replace(tensor, transform=one.transform, basis=one.basis)))
    return tuple(fitted)


def _plain(spec: CodecSpec, subject: Calibration, index: int) -> FittedTensor:
    """One cut tensor whose channels are quantized as they are."""
    quantizer = spec.make_quantizer()
    try:
        params = quantizer.fit(subject.wires(index))
    except CodecError as error:
        raise CodecError(f"value {subject.tensors[index].name!r}: {error}") from error
    tensor = FittedTensor(subject.tensors[index], quantizer, params, tables=b"", layout=subject.layouts[index])
    return with_tables(spec, subject, index, tensor)


def _check_fits(spec: CodecSpec, tensor: TensorSpec, layout: Layout) -> None:
    """Raises: CodecError: no layout of the tensor, or a shape that the transform does not take."""
    if fault := layout.fault(tensor.shape):
        raise CodecError(
            f"cut value {tensor.name!r}: {fault}; fix it in model.shapes, or choose another axis in split.channel_axis."
        )
    if fault := spec.make_transform().refusal(layout.wire_shape(tensor.shape)):
        raise CodecError(f'cut value {tensor.name!r} {fault}; use transform = "none".')
    if fault := spec.make_temporal().refusal(spec.make_transform().wire_shape(layout.wire_shape(tensor.shape))):
        raise CodecError(f'cut value {tensor.name!r} {fault}; use temporal = "dpcm".')


def with_tables(spec: CodecSpec, subject: Calibration, index: int, fitted: FittedTensor) -> FittedTensor:
    """``fitted`` with the tables of the entropy coder, and what predicted frames have of their own."""
    coder = spec.make_entropy()
    wires = [fitted.to_wire(x) for x in subject.samples[index]]
    fitted = replace(fitted, tables=coder.fit_tensor([fitted.quantize(wire) for wire in wires], fitted.params.bits))
    if spec.make_temporal().period == 1 or not (coder.is_trained or fitted.quantizer.rule.has_gain):
        return fitted
    return _with_prediction(spec, fitted, wires, subject.lengths)


def _with_prediction(
    spec: CodecSpec, fitted: FittedTensor, wires: Sequence[F32], sequence_lengths: Sequence[int]
) -> FittedTensor:
    """``fitted`` with tables and mean errors of predicted frames."""
    frames = list(_predicted_frames(spec, fitted, wires, sequence_lengths))
    if not frames:
        raise CodecError(f"temporal {spec.temporal!r} is fitted on consecutive frames, and no two samples are.")
    coder = spec.make_entropy()
    before, residuals = ([as_planes(getattr(f, name)) for f in frames] for name in ("before", "residual"))
    tables = coder.fit_predicted(residuals, before, fitted.params.bits)
    fitted = replace(fitted, predicted_params=_predicted_params(spec, fitted, frames), predicted_tables=tables)
    if not spec.make_temporal().has_field:
        return fitted
    before, fields = ([as_planes(getattr(f, name)) for f in frames] for name in ("field_before", "field"))
    return replace(fitted, field_tables=coder.fit_predicted(fields, before, FIELD_BITS))


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
    """A predicted frame as a stream would code it, symbols ``[n, C, ...]`` of its wire ``x``.

    ``before`` and ``field_before`` are residual symbols and motion field of the frame before; zeros of a keyframe.
    """

    before: Symbols
    residual: Symbols
    symbols: Symbols
    x: F32
    field_before: Symbols
    field: Symbols


NO_FIELD: Symbols = np.empty(0, np.uint8)


def _predicted_frames(
    spec: CodecSpec, fitted: FittedTensor, wires: Sequence[F32], sequence_lengths: Sequence[int]
) -> Iterator[PredictedFrame]:
    """Every predicted frame with its residual symbols, and those of the frame before it.

    Keyframes are where a stream would have them, and where sizes change; their residual symbols are zeros.
    """
    temporal, start = spec.make_temporal(), 0
    last: PredictedFrame | None = None
    since_keyframe = 0
    for length in sequence_lengths:
        for index in range(length):
            x = wires[start + index]
            if last is None or index == 0 or since_keyframe == temporal.period or x.shape != last.symbols.shape:
                last, since_keyframe = _first_frame(temporal, fitted, x), 1
                continue
            since_keyframe += 1
            last = _next_frame(temporal, fitted, x, last)
            yield last
        start += length


def _first_frame(temporal: Temporal, fitted: FittedTensor, x: F32) -> PredictedFrame:
    """A keyframe, as the frame after it sees it."""
    symbols = fitted.quantize(x)
    still = np.zeros(field_shape(symbols.shape), np.uint8) if temporal.has_field else NO_FIELD
    nothing = np.zeros_like(symbols)
    return PredictedFrame(nothing, nothing, symbols, x, still, still)


def _next_frame(temporal: Temporal, fitted: FittedTensor, x: F32, last: PredictedFrame) -> PredictedFrame:
    """The frame behind ``last``, predicted from it."""
    predicted, field = last.symbols, NO_FIELD
    if temporal.has_field:
        field = temporal.search(x, last.symbols, last.field, fitted)
        predicted = temporal.predict(last.symbols, field, fitted)
    symbols = temporal.choose(x, predicted, fitted)
    residual = temporal.residual(symbols, predicted, fitted.count)
    return PredictedFrame(last.residual, residual, symbols, x, last.field, field)

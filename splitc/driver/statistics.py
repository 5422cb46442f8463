"""The numbers of the features at every cut, on sample inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from splitc import evaluate, graph, zoo
from splitc.errors import UsageError
from splitc.runtime import Reader, find_files, pixel_format
from splitc.types import Array, Preprocess, TensorSpec


def cut_stats(
    source: str, model: graph.Model, names: Sequence[str], patterns: Sequence[str]
) -> list[evaluate.FeatureStats]:
    """Run the model on samples and describe the tensors ``names``.

    Pictures are prepared as the zoo network ``source`` wants them; for a model from a file they are resized to its
    input and scaled to [0, 1]. Arrays are taken as they are.

    Raises:
        UsageError: No names, no samples, or one that does not fit the inputs.
        BackendError: ONNX Runtime cannot run the model.
    """
    if not names:
        raise UsageError(f"{source}: has no cut, so no tensor to describe; --cuts says why each value is none.")
    files = find_files(patterns, Path())
    reader = Reader(model.inputs, zoo.preprocess(source) if zoo.is_zoo(source) else _fitting(model.inputs))
    return evaluate.feature_stats(_features(model, names, reader, files))


def _features(
    model: graph.Model, names: Sequence[str], reader: Reader, files: Sequence[Path]
) -> Iterator[dict[str, Array]]:
    runner = evaluate.open_graph(graph.with_outputs(model.ir_model, names))
    for sample in reader.samples(files):
        answers = runner.run(sample.feeds)
        yield {name: answers[name] for name in names}


def _fitting(inputs: Sequence[TensorSpec]) -> Preprocess:
    spec = inputs[0]
    if len(spec.shape) != 4:
        return Preprocess()
    plain = Preprocess(channels="grey" if 1 in (spec.shape[1], spec.shape[3]) else "rgb")
    height, width = spec.shape[1:3] if pixel_format(spec, plain).is_nhwc else spec.shape[2:]
    if isinstance(height, int) and isinstance(width, int):
        return plain.model_copy(update={"resize": (height, width)})
    raise UsageError(f"input {spec.name!r} is {list(spec.shape)}: fix its height and width with --shape.")

"""What a tail reads in use: features as a codec, fitted on them, gives them back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splitc import graph
from splitc.codec import Codec, CodecSpec
from splitc.runtime import Sample, clip_lengths
from splitc.trials.features import settle
from splitc.types import F32, Feeds, TensorSpec


def recoded(
    spec: CodecSpec,
    halves: graph.Halves,
    layouts: Sequence[graph.CutLayout],
    samples: Sequence[Sample],
    made: Sequence[Feeds],
) -> list[Feeds]:
    """Feeds of the tail whose features went through packets of a codec that was fitted on them.

    Args:
        spec: What is fitted, but for what asks the tail: steps are even.
        halves: The cut.
        layouts: Of the cut tensors.
        samples: What the features are of.
        made: What the tail takes of the samples.

    Raises:
        CodecError: The features are none that the codec takes.
    """
    rows = [[one[tensor.name].astype(np.float32) for one in made] for tensor in halves.cut]
    codec = Codec.fit(spec.without_tail(), halves.cut, rows, clip_lengths(samples), settle(halves, layouts, rows))
    encoder, decoder = codec.encoder(), codec.decoder()
    decoded = [decoder.decode(encoder.encode(one)) for one in zip(*rows, strict=True)]
    return [{**feeds, **named(halves.cut, arrays)} for feeds, arrays in zip(made, decoded, strict=True)]


def named(cut: Sequence[TensorSpec], arrays: Sequence[F32]) -> Feeds:
    """Features by name, in the element types of the cut."""
    return {spec.name: x.astype(spec.dtype) for spec, x in zip(cut, arrays, strict=True)}

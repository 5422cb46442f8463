"""How large the packets of a stream are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splitc.codec.codec import Codec
from splitc.codec.fitting import samples_of
from splitc.types import F32


def mean_packet_bytes(codec: Codec, samples: Sequence[F32 | Sequence[F32]]) -> float:
    """Mean size of real packets of one stream, header included.

    Args:
        codec: A fitted codec.
        samples: Features of each cut tensor, as :meth:`Codec.fit` takes them, that the codec was not fitted on;
            consecutive frames where the codec predicts.
    """
    stream = codec.encoder()
    apart = [samples_of(x, tensor.layout) for x, tensor in zip(samples, codec.tensors, strict=True)]
    return float(np.mean([len(stream.encode(one)) for one in zip(*apart, strict=True)]))

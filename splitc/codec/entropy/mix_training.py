"""Learn the mixing coder's tables from calibration symbols (FORMAT.md, "mix tables").

    symbols ──► values ──► references ─────────► weights ──────────► logits
                (centre,    (greedily, by what    (least squares)     (additive logistic regression,
                 scale)      each adds)                                two passes)

Deterministic: no random starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from splitc.codec.entropy.mix_expectation import channels_of
from splitc.codec.entropy.mix_tables import MixTables
from splitc.native import _core
from splitc.types import Symbols

_MOST_LEARNT = 1 << 22  # symbols that logits are learnt from
_RATES = (0.1, 0.06)  # of the passes


def train(samples: Sequence[Symbols], bits: int, previous: Sequence[Symbols] | None, references: int) -> MixTables:
    """Tables for ``bits``-bit symbols.

    Args:
        samples: ``[C, H, W]``, all of one C.
        bits: Bits per symbol, 1..16.
        previous: The frame before each sample: all are residual symbols; None: they are not.
        references: Most references of a channel.
    """
    channels = channels_of(samples, previous, references)
    tables = MixTables(bits, previous is not None, references, tuple(channels))
    return replace(tables, logits=_logits(tables, samples, previous))


def _logits(tables: MixTables, samples: Sequence[Symbols], previous: Sequence[Symbols] | None) -> npt.NDArray[np.int16]:
    """Of every row; from evenly spread samples where there are many symbols."""
    model = _core.MixModel(tables.to_bytes())
    learner = _core.MixLearner(tables.rows)
    stride = -(-sum(sample.size for sample in samples) // _MOST_LEARNT)
    for rate in _RATES:
        learner.set_rate(rate)
        for index in range(0, len(samples), stride):
            learner.learn(model, samples[index], None if previous is None else previous[index])
    return learner.result()

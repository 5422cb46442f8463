"""The pair that is trained: encoder, quantizer and decoder between head and tail, in units of the feature's spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from splitc.train.basis import BlockBasis
from splitc.train.bottleneck import Bottleneck
from splitc.train.operators import Tensor
from splitc.types import F32


@dataclass(frozen=True)
class PairShape:
    """What a pair is built for.

    Attributes:
        stride: Side of the blocks.
        height, width: Of the feature.
        is_rectified: The feature is never negative.
        spread: Standard deviation of the feature, in whose units the pair computes.
        hidden: Channels inside the residual block.
    """

    stride: int
    height: int
    width: int
    is_rectified: bool
    spread: float
    hidden: int


class CodePair(nn.Module):  # type: ignore[misc]  # torch is not typed here
    """Starts exactly at the transform ``basis``: the residual block's last layer is zero.

    Args:
        basis: Of features in units of their spread; its components are scaled so that the code's spread is 1.
        shape: Geometry and units.
        code_spread: Standard deviation of the basis' components.
        seed: Of the residual block's first layer.
    """

    def __init__(self, basis: BlockBasis, shape: PairShape, code_spread: float, seed: int) -> None:
        super().__init__()
        self.shape = shape
        channels = len(basis.mean)
        analysis, synthesis, mean = (torch.from_numpy(one) for one in (basis.analysis, basis.synthesis, basis.mean))
        self.encoder = nn.Parameter(analysis / code_spread)
        self.encoder_bias = nn.Parameter(-(analysis.sum((2, 3)) @ mean) / code_spread)
        self.decoder = nn.Parameter(synthesis * code_spread)
        self.decoder_bias = nn.Parameter(mean.clone())
        generator = torch.Generator().manual_seed(seed)
        scale = (2 / (9 * channels)) ** 0.5
        self.first = nn.Parameter(scale * torch.randn((shape.hidden, channels, 3, 3), generator=generator))
        self.first_bias = nn.Parameter(torch.zeros(shape.hidden))
        self.second = nn.Parameter(torch.zeros(channels, shape.hidden, 3, 3))
        self.second_bias = nn.Parameter(torch.zeros(channels))

    def encode(self, x: Tensor) -> Tensor:
        """Features ``[n, C, H, W]`` to their code, both in units of their spread."""
        s = self.shape.stride
        more = (0, -self.shape.width % s, 0, -self.shape.height % s)
        return F.conv2d(F.pad(x, more, mode="replicate"), self.encoder, self.encoder_bias, stride=s)

    def decode(self, code: Tensor) -> Tensor:
        """A code to features; the residual block may run in a narrower type under autocast."""
        wide = F.conv_transpose2d(code, self.decoder, self.decoder_bias, stride=self.shape.stride)
        x = wide[..., : self.shape.height, : self.shape.width].float()
        inner = F.relu(F.conv2d(x, self.first, self.first_bias, padding=1))
        found = x + F.conv2d(inner, self.second, self.second_bias, padding=1).float()
        return F.relu(found) if self.shape.is_rectified else found

    def learned(self) -> Bottleneck:
        """Both ends in the feature's own units; the code stays in units of its spread."""
        spread, shape = self.shape.spread, self.shape
        return Bottleneck(
            stride=shape.stride,
            height=shape.height,
            width=shape.width,
            is_rectified=shape.is_rectified,
            encoder=_array(self.encoder / spread),
            encoder_bias=_array(self.encoder_bias),
            decoder=_array(self.decoder * spread),
            decoder_bias=_array(self.decoder_bias * spread),
            first=_array(self.first / spread),
            first_bias=_array(self.first_bias),
            second=_array(self.second * spread),
            second_bias=_array(self.second_bias * spread),
        )


def rounded(code: Tensor, step: float) -> Tensor:
    """Whole multiples of ``step``, with the gradient of the code itself (straight through)."""
    return code + (torch.round(code / step) * step - code).detach()


def code_spread(basis: BlockBasis, blocks: Sequence[F32]) -> float:
    """Standard deviation of all components together.

    Args:
        basis: Of the blocks.
        blocks: Rows ``[n, C s s]``.
    """
    matrix = basis.analysis.reshape(len(basis.analysis), -1)
    each = np.repeat(basis.mean, matrix.shape[1] // len(basis.mean))
    squares = [np.square((rows - each) @ matrix.T, dtype=np.float64).mean() for rows in blocks]
    return float(np.sqrt(np.mean(squares)))


def _array(parameter: Tensor) -> F32:
    found: F32 = parameter.detach().numpy().copy()
    return found

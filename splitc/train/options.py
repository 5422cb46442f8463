"""Options of a learned bottleneck."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from splitc.types import Frozen


class BottleneckOptions(Frozen):
    """How a bottleneck is made.

    Attributes:
        channels: Of the code; None: several are tried.
        stride: Side of the blocks that become one place of the code.
        encoder: "kept": the calibrated transform, so the edge half is final before any training; "trained": with the
            rate of the coder's tables as part of the loss.
        tail_rate: Learning rate of the tail's weights; 0: they stay.
    """

    channels: int | None = Field(None, ge=1, le=4096)
    stride: Literal[1, 2] = 2
    hidden: int = Field(64, ge=1, le=1024)
    encoder: Literal["kept", "trained"] = "kept"
    iterations: int = Field(1000, ge=1, le=1_000_000)
    batch: int = Field(32, ge=1, le=4096)
    learning_rate: float = Field(1e-3, gt=0, le=1)
    tail_rate: float = Field(0.0, ge=0, le=1)
    seed: int = Field(0, ge=0, le=2**31 - 1)

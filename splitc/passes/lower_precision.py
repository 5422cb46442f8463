"""Let a half compute in INT8 or FP16: types are explicit in the graph, so that all engines agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from splitc.passes.base import Pass
from splitc.passes.float16 import ToFloat16
from splitc.passes.quantize_static import QuantizeStatic
from splitc.types import Feeds


def _nothing() -> None:
    """Ignores a step."""


def _int8(feeds: Sequence[Feeds], step: Callable[[], None] = _nothing) -> QuantizeStatic:
    return QuantizeStatic(feeds, step=step)


def _fp16(feeds: Sequence[Feeds], step: Callable[[], None] = _nothing) -> ToFloat16:
    return ToFloat16(feeds)


LOWER: dict[str, Callable[..., Pass]] = {"int8": _int8, "fp16": _fp16}
"""Precision -> the pass, given samples of what the half takes, and what to call at every step."""

"""A bundle behind the server: one model by its name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from splitc.bundle import Bundle
from splitc.codec import Decoder, Quantized
from splitc.errors import SplitcError
from splitc.runtime.pair import CloudHalf
from splitc.runtime.server.batcher import Batcher
from splitc.types import Array, Feeds, TensorSpec

ROUNDING = 1e-2
"""Of the largest answer: half precision through some layers; a mixed batch is off by far more."""

HOP_MS = 0.3
"""Sending work to another thread and waiting for it costs about this much: packets that decode faster stay here."""
LATEST = 0.1
"""Share of the latest packet in the mean decoding time."""


@dataclass(frozen=True)
class Answered:
    """One packet's outputs, milliseconds by stage, and how many packets ran with it."""

    outputs: dict[str, Array]
    ms: Mapping[str, float]
    batch: int


class ServedModel:
    """The cloud half of a bundle, for many streams at once.

    Args:
        bundle: Where the half is.
        codecs: Decodes packets.
        engines: Runs the tail.
        max_batch, max_delay_s: As of :class:`Batcher`; a network whose answers depend on their company runs alone.
        threads: For one run of the tail.
    """

    def __init__(
        self, bundle: Bundle, codecs: Executor, engines: Executor, max_batch: int, max_delay_s: float, threads: int
    ) -> None:
        self.name, self.pair_id = bundle.name, bundle.pair_id
        self._half = CloudHalf(bundle, threads=threads)
        self.contract = self._half.contract
        self._codecs = codecs
        self._decode_ms = 10 * HOP_MS
        self.max_batch = max_batch if max_batch > 1 and self._rows_stay_apart() else 1
        self._batcher = Batcher(self._run, engines, self.max_batch, max_delay_s if self.max_batch > 1 else 0.0)

    @property
    def outputs(self) -> list[TensorSpec]:
        """What answers hold."""
        return self.contract.outputs

    def decoder(self) -> Decoder:
        """The receiving end of one stream."""
        return self._half.codec.decoder()

    async def decode(self, decoder: Decoder, packet: bytes) -> tuple[Feeds, float]:
        """The stream's next packet to the tail's inputs, and the milliseconds it took.

        Slow packets are decoded in a thread beside, quick ones at once.

        Raises:
            BitstreamError: Damaged, another pair's, or predicted from a packet that did not arrive.
        """
        begun = time.perf_counter()
        if self._decode_ms <= HOP_MS:
            feeds = self._feeds(decoder, packet)
        else:
            feeds = await asyncio.get_running_loop().run_in_executor(self._codecs, self._feeds, decoder, packet)
        return feeds, (time.perf_counter() - begun) * 1e3

    async def answer(self, feeds: Feeds, decode_ms: float) -> Answered:
        """Run the tail, with other requests where they wait too."""
        ran = await self._batcher.submit(feeds)
        ms = {"decode": decode_ms, "queue": ran.queue_ms, "cloud": ran.cloud_ms}
        return Answered({spec.name: ran.outputs[spec.name] for spec in self.outputs}, ms, ran.batch)

    async def close(self) -> None:
        """Stop batching."""
        await self._batcher.close()

    def warm_up(self) -> None:
        """Run once on zeros, so that the first client does not wait for it."""
        self._run(self._filled(0))

    def _rows_stay_apart(self) -> bool:
        """Whether two samples that run together get the answers of each alone.

        A dynamic axis 0 does not tell: it may count detections, or the network may mix its batch. So it is tried.
        """
        if not all(spec.shape and isinstance(spec.shape[0], str) for spec in (*self.contract.wire, *self.outputs)):
            return False
        apart = [self._run(self._filled(value)) for value in (0, 1)]
        feeds = {name: np.concatenate([array, self._filled(1)[name]]) for name, array in self._filled(0).items()}
        try:
            together = self._run(feeds)
        except SplitcError:
            return False
        return all(_is_stacked(together[spec.name], [one[spec.name] for one in apart]) for spec in self.outputs)

    def _filled(self, value: int) -> dict[str, Array]:
        """One sample of the tail's inputs, the same number everywhere."""
        shapes = {spec.name: tuple(d if isinstance(d, int) else 1 for d in spec.shape) for spec in self.contract.wire}
        return {spec.name: np.full(shapes[spec.name], value, spec.dtype) for spec in self.contract.wire}

    def _feeds(self, decoder: Decoder, packet: bytes) -> Feeds:
        begun = time.perf_counter()
        symbols: Quantized = decoder.decode_symbols(packet)
        feeds = self._half.feeds(symbols)
        self._decode_ms += ((time.perf_counter() - begun) * 1e3 - self._decode_ms) * LATEST
        return feeds

    def _run(self, feeds: Feeds) -> dict[str, Array]:
        return self._half.runner.run(feeds)


def _is_stacked(together: Array, apart: Sequence[Array]) -> bool:
    """Whether rows are those of each alone, but for the rounding of sums in another order."""
    if any(len(one) != 1 for one in apart) or together.shape != (len(apart), *apart[0].shape[1:]):
        return False
    want = np.concatenate(apart)
    if together.dtype.kind != "f":
        return bool(np.array_equal(together, want))
    return bool(np.allclose(together, want, rtol=ROUNDING, atol=ROUNDING * float(np.abs(want).max()), equal_nan=True))

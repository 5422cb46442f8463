"""A bundle behind the server: one model by its name."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from splitc.bundle import Bundle
from splitc.codec import Decoder, Quantized
from splitc.errors import SplitcError
from splitc.runtime.batches import one_sample, rows_stay_apart
from splitc.runtime.pair import CloudHalf
from splitc.runtime.server.batcher import Batcher
from splitc.types import Array, Feeds, TensorSpec

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
        self.max_batch = max_batch if max_batch > 1 and rows_stay_apart(self._half) else 1
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
        """Run once on zeros, so that the first client does not wait for it.

        A tail may take no dynamic size of 1; then its first client waits.
        """
        with contextlib.suppress(SplitcError):
            self._run(one_sample(self.contract, 0))

    def _feeds(self, decoder: Decoder, packet: bytes) -> Feeds:
        begun = time.perf_counter()
        symbols: Quantized = decoder.decode_symbols(packet)
        feeds = self._half.feeds(symbols)
        self._decode_ms += ((time.perf_counter() - begun) * 1e3 - self._decode_ms) * LATEST
        return feeds

    def _run(self, feeds: Feeds) -> dict[str, Array]:
        return self._half.runner.run(feeds)

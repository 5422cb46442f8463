"""A bundle behind the server: one model by its name."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from splitc.bundle import Bundle
from splitc.codec import Decoder, Quantized
from splitc.errors import SplitcError, UsageError
from splitc.runtime.batches import one_sample, rows_stay_apart
from splitc.runtime.pair import CloudHalf
from splitc.runtime.server.batcher import Batcher
from splitc.runtime.server.turns import FairSlots, TurnOwner
from splitc.types import Array, Feeds, TensorSpec

HOP_MS = 0.3
"""Sending work to another thread and waiting for it costs about this much: packets that decode faster stay here."""
LATEST = 0.1
"""Share of the latest packet in the mean decoding time."""
COPIES = 3
"""Of a packet's tensors at once: alone, in a batch, and as bytes."""
HEADER_BYTES = 64 << 10
"""Beside the symbols: a packet's header, side values, and the request around it."""
OPEN_SIZES_BYTES = 4 << 20
"""A message's limit where the contract leaves other sizes open than the number of samples."""


@dataclass(frozen=True)
class Answered:
    """One packet's outputs, milliseconds by stage, and how many packets ran with it."""

    outputs: dict[str, Array]
    ms: Mapping[str, float]
    batch: int


@dataclass(frozen=True)
class Workers:
    """What all models of a server share: threads that decode, threads that run tails, and turns at decoding."""

    codecs: Executor
    engines: Executor
    decoding: FairSlots


class ServedModel:
    """The cloud half of a bundle, for many streams at once.

    Args:
        bundle: Where the half is.
        workers: Who decodes and runs.
        max_batch, max_delay_s: As of :class:`Batcher`; a network whose answers depend on their company runs alone. No
            packet may hold more samples than ``max_batch``, or than the contract fixes.
        threads: For one run of the tail.
    """

    def __init__(self, bundle: Bundle, workers: Workers, max_batch: int, max_delay_s: float, threads: int) -> None:
        self.name, self.pair_id = bundle.name, bundle.pair_id
        self._half = CloudHalf(bundle, threads=threads)
        self.contract = self._half.contract
        self._workers = workers
        self._decode_ms = 10 * HOP_MS
        self._most_rows = max_batch
        self.max_batch = max_batch if max_batch > 1 and rows_stay_apart(self._half) else 1
        delay_s = max_delay_s if self.max_batch > 1 else 0.0
        self._batcher = Batcher(self._run, workers.engines, self.max_batch, delay_s)
        self._row_bytes = sum(_bytes_of(spec) for spec in (*self.contract.wire, *self.contract.outputs))

    @property
    def outputs(self) -> list[TensorSpec]:
        """What answers hold."""
        return self.contract.tail_outputs

    @property
    def given(self) -> list[TensorSpec]:
        """Inputs beside the packet."""
        return self.contract.given

    @property
    def max_packet_bytes(self) -> int:
        """Of the largest packet that a sound edge sends: no coder makes more of a feature than its float32 values."""
        shapes = [tensor.wire_shape for tensor in self._half.codec.tensors]
        if any(isinstance(size, str) for shape in shapes for size in shape[1:]):
            return OPEN_SIZES_BYTES
        rows = [shape[0] if isinstance(shape[0], int) else self._most_rows for shape in shapes]
        elements = [count * math.prod(map(int, shape[1:])) for count, shape in zip(rows, shapes, strict=True)]
        return 4 * sum(elements) + HEADER_BYTES

    @property
    def max_request_bytes(self) -> int:
        """Of the largest request: a packet, and what the tail is given beside it."""
        if any(isinstance(size, str) for spec in self.given for size in spec.shape):
            return max(self.max_packet_bytes, OPEN_SIZES_BYTES)
        return self.max_packet_bytes + sum(_bytes_of(spec) + HEADER_BYTES for spec in self.given)

    @property
    def stream_bytes(self) -> int:
        """What a stream's decoder remembers: the last packet, its symbols and their residual, two bytes each."""
        return 2 * self.max_packet_bytes if self._half.codec.temporal.period > 1 else 0

    def decoder(self) -> Decoder:
        """The receiving end of one stream."""
        return self._half.codec.decoder()

    def work_bytes(self, packet: bytes) -> int:
        """What answering a packet takes at most, from its header: nothing is decoded yet.

        Raises:
            BitstreamError: No packet of this pair.
            UsageError: More samples than a packet may hold.
        """
        shapes = self._half.codec.packet_shapes(packet)
        for shape, tensor in zip(shapes, self._half.codec.tensors, strict=True):
            if shape[0] > self._most_rows and not isinstance(tensor.wire_shape[0], int):
                raise UsageError(
                    f"the packet holds {shape[0]} samples; {self.name} takes up to {self._most_rows} in one packet "
                    "(--max-batch)."
                )
        elements = sum(math.prod(shape) for shape in shapes)
        rows = max(shape[0] for shape in shapes)
        return len(packet) + COPIES * (8 * elements + rows * self._row_bytes)

    async def decode(self, decoder: Decoder, packet: bytes, owner: TurnOwner) -> tuple[Feeds, float]:
        """The stream's next packet to the tail's inputs, and the milliseconds it took.

        Slow packets are decoded in a thread beside, quick ones at once; clients take turns.

        Raises:
            BitstreamError: Damaged, another pair's, or predicted from a packet that did not arrive.
        """
        begun = time.perf_counter()
        async with self._workers.decoding.held(owner):
            if self._decode_ms <= HOP_MS:
                feeds = self._feeds(decoder, packet)
            else:
                loop = asyncio.get_running_loop()
                feeds = await loop.run_in_executor(self._workers.codecs, self._feeds, decoder, packet)
        return feeds, (time.perf_counter() - begun) * 1e3

    async def answer(self, feeds: Feeds, decode_ms: float, owner: TurnOwner) -> Answered:
        """Run the tail, with other requests where they wait too."""
        ran = await self._batcher.submit(feeds, owner)
        ms = {"decode": decode_ms, "queue": ran.queue_ms, "cloud": ran.cloud_ms}
        return Answered({spec.name: ran.outputs[spec.name] for spec in self.outputs}, ms, ran.batch)

    async def close(self) -> None:
        """Stop batching."""
        await self._batcher.close()

    def warm_up(self) -> None:
        """Run on zeros, one sample and a full batch: the first client does not wait, and memory has its later size.

        A tail may take no dynamic size of 1; then its first client waits.
        """
        with contextlib.suppress(SplitcError):
            one = one_sample(self.contract, 0)
            self._run(one)
            if self.max_batch > 1:
                self._run({name: np.repeat(array, self.max_batch, axis=0) for name, array in one.items()})

    def _feeds(self, decoder: Decoder, packet: bytes) -> Feeds:
        begun = time.perf_counter()
        symbols: Quantized = decoder.decode_symbols(packet)
        feeds = self._half.feeds(symbols)
        self._decode_ms += ((time.perf_counter() - begun) * 1e3 - self._decode_ms) * LATEST
        return feeds

    def _run(self, feeds: Feeds) -> dict[str, Array]:
        outputs: dict[str, Array] = self._half.runner.run(feeds)
        rows = len(next(iter(feeds.values())))
        self._row_bytes = max(
            self._row_bytes, sum(array.nbytes for array in (*outputs.values(), *feeds.values())) // rows
        )
        return outputs


def _bytes_of(spec: TensorSpec) -> int:
    """Of one sample, sizes that are open taken as 1."""
    return _elements(spec.shape[1:]) * np.dtype(spec.dtype).itemsize


def _elements(shape: Sequence[int | str]) -> int:
    return math.prod(size if isinstance(size, int) else 1 for size in shape)

"""One bundle's edge half on the wire: from the head's outputs to a request."""

from __future__ import annotations

import threading
from typing import Any

from splitc.backends import Runner
from splitc.bundle import Bundle, Contract
from splitc.runtime import protocol
from splitc.runtime.client.outbox import PendingFrame, Talk, now
from splitc.runtime.pair import CloudHalf, EdgeHalf
from splitc.runtime.sources import Sample
from splitc.types import Array


class Sender:
    """Head, and the encoder of one stream. One thread runs the head, one encodes.

    Args:
        bundle: Its edge half runs here.
        threads: For one run of the head.
        engine: Runs the head in place of ONNX Runtime.

    Attributes:
        must_start_anew: Set by whoever learns that the other end lost a packet; the next one is a keyframe.
        starts_sequence: Set by whoever learns that the other end has no such sequence; the next packet begins it.
    """

    def __init__(self, bundle: Bundle, threads: int, engine: Runner | None = None) -> None:
        self._bundle, self._threads = bundle, threads
        self._edge = EdgeHalf(bundle, threads=threads, engine=engine)
        self._is_stream = self._edge.codec.temporal.period > 1
        self._talk: Talk | None = None
        self._last: Any = None
        self._local: CloudHalf | None = None
        self.must_start_anew = self.starts_sequence = False
        self._lock = threading.Lock()  # the thread of a talk that was hung up may still be encoding

    def hold_rate(self, target_bytes: float) -> None:
        """As :meth:`EdgeHalf.hold_rate`."""
        self._edge.hold_rate(target_bytes)

    @property
    def name(self) -> str:
        """Of the bundle."""
        return self._bundle.name

    @property
    def pair_id(self) -> str:
        """64 hexadecimal digits."""
        return self._bundle.pair_id

    @property
    def contract(self) -> Contract:
        """What both halves agreed on."""
        return self._edge.contract

    def head(self, sample: Sample, *, starts_clip: bool, rung: int) -> PendingFrame:
        """Run the head on a sample: the frame that it becomes."""
        begun = now()
        wires = self._edge.head(sample.feeds)
        marks = {"read": begun, "head": now()}
        frame = PendingFrame(sample.origin, wires, starts_clip, marks, rung)
        frame.answers, frame.given = self._edge.answers, self._edge.given(sample.feeds)
        return frame

    def request(self, frame: PendingFrame, talk: Talk) -> Any:
        """The frame's packet as a request; a keyframe where a clip or a talk begins, or one was lost.

        None if the connection's turn is over, since it would not be sent.

        Raises:
            SplitcError: The head's outputs cannot be coded.
        """
        with self._lock:
            return None if talk.is_over else self._request(frame, talk)

    def end_of_sequence(self, talk: Talk) -> Any:
        """A request without a packet that ends the talk's sequence where the server keeps one; None where it does not.

        The tail is given what it was given last, since a request has all inputs.
        """
        with self._lock:
            if self._last is None or talk is not self._talk or not talk.keeps_sequences(self.name):
                return None
            request = protocol.packet_request(talk.model(self.name), self.pair_id, "", b"", self._last)
            self._last = None
            return protocol.in_sequence(request, talk.number, is_last=True)

    def settle(self, seconds: float) -> None:
        """Wait for the packet that is being encoded, if any; those of ended connections are no longer started."""
        if self._lock.acquire(timeout=seconds):
            self._lock.release()

    def _request(self, frame: PendingFrame, talk: Talk) -> Any:
        frame.marks["encode"] = now()
        if talk is not self._talk:
            self._talk, self.starts_sequence, self.must_start_anew = talk, True, True
        is_first, self.starts_sequence = self.starts_sequence, False
        if frame.starts_clip or self.must_start_anew or is_first:
            self.must_start_anew = False
            self._edge.force_keyframe()
        packet = self._edge.encode(self._edge.quantize(frame.wires))
        frame.packet_bytes = len(packet) + sum(array.nbytes for array in frame.given.values())
        frame.marks["sent"] = now()
        request = protocol.packet_request(talk.model(self.name), self.pair_id, str(frame.index), packet, frame.given)
        if not self._is_stream:
            return request
        self._last = frame.given
        return protocol.in_sequence(request, talk.number, is_first=is_first)

    def answer_here(self, frame: PendingFrame) -> dict[str, Array]:
        """Quantize and run the tail on this machine, as the server would."""
        if self._local is None:
            self._local = CloudHalf(self._bundle, threads=self._threads)
        outputs = self._local.answer(self._edge.quantize_alone(frame.wires), frame.given)
        return {spec.name: outputs[spec.name] for spec in self.contract.tail_outputs} | dict(frame.answers)

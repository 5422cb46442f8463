"""The edge half as a client: head, encode and send beside each other, answers in order.

    samples ─► head ─► Outbox ─► encode ─► send ═══► server ═══► answers
    (thread 1)         bounded   (thread 2, grpc's)             (the caller)

A frame stays in the outbox until it is answered. After a loss the stream begins anew with a keyframe, and what was not
answered is encoded and sent again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import Field

from splitc.bundle import Bundle
from splitc.errors import RemoteError, SplitcError
from splitc.runtime import protocol
from splitc.runtime.client.channel import Channel, LostConnectionError, Remote
from splitc.runtime.client.outbox import Frame, Outbox, Talk, now
from splitc.runtime.pair import Answer, EdgeHalf
from splitc.runtime.sources import Sample
from splitc.types import Frozen

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
MAX_TRIES = 8


class ClientOptions(Frozen):
    """Bounds of a client.

    ``window`` frames are under way at once and ``depth`` wait for their turn. A server that stays away longer than
    ``patience_s`` ends the run.
    """

    window: int = Field(8, ge=1, le=1024)
    depth: int = Field(4, ge=1, le=1024)
    patience_s: float = Field(60.0, ge=0)
    drops_late: bool = False


@dataclass
class Counters:
    """What happened on the way."""

    answered: int = 0
    sent_bytes: int = 0
    sent_again: int = 0
    keyframes_asked: int = 0
    reconnected: int = 0
    dropped_late: int = 0

    def as_dict(self) -> dict[str, int]:
        """For ``--json``."""
        return asdict(self)


class EdgeClient:
    """Runs samples through the head here and the tail there.

    Args:
        bundle: Its edge half runs here.
        remote: Where its cloud half is served.
        options: Bounds.
        threads: For one run of the head.

    Raises:
        BundleError: The half cannot be run.
        RemoteError: The server cannot be reached, refuses, or has the half of another pair.
    """

    def __init__(self, bundle: Bundle, remote: Remote, options: ClientOptions | None = None, threads: int = 1) -> None:
        self._edge = EdgeHalf(bundle, threads=threads)
        self._model, self._pair_id = bundle.name, bundle.pair_id
        self._remote, self._options = remote, options or ClientOptions()
        self.counters = Counters()
        self.contract = self._edge.contract

    def run(self, samples: Iterable[Sample]) -> Iterator[Answer]:
        """Answers in the order of the samples, each as soon as it and those before it are there.

        Raises:
            RemoteError: The server refuses, or stays away for longer than the options allow.
            SplitcError: Whatever reading a sample or running the head raises.
        """
        box = Outbox(self._options.window, self._options.depth, drops_late=self._options.drops_late)
        head = _Head(self._edge, box, samples)
        head.start()
        try:
            yield from _in_order(self._answers(box), box)
        finally:
            box.close()
            self.counters.dropped_late = box.dropped
        head.join()
        if head.error is not None:
            raise head.error

    def _answers(self, box: Outbox) -> Iterator[tuple[int, Answer]]:
        """Answers of all connections, with the numbers of their frames."""
        patience = _Patience(self._options.patience_s)
        while not box.is_done:
            talk, channel = Talk(), self._remote.open()
            try:
                channel.shake_hands(self._model, self._pair_id)
                for found in self._talk(box, talk, channel):
                    patience.renew()
                    yield found
                if not box.is_done and talk.error is None:
                    raise LostConnectionError("the server ended the stream")
            except LostConnectionError as lost:
                patience.wait(self._remote.address, str(lost))
                self.counters.reconnected += 1
            finally:
                box.hang_up(talk)
                channel.close()
            if talk.error is not None:
                raise talk.error

    def _talk(self, box: Outbox, talk: Talk, channel: Channel) -> Iterator[tuple[int, Answer]]:
        for reply in channel.stream(self._requests(box, talk)):
            arrived = now()
            index = _number(reply.infer_response.id)
            frame = box.find(index)
            if frame is None:
                continue  # an answer to a try that was given up
            if reply.error_message:
                self._mend(box, frame, reply)
                continue
            answer = self._answer(frame, reply.infer_response, arrived)
            box.answered(frame)
            self.counters.answered += 1
            yield index, answer

    def _requests(self, box: Outbox, talk: Talk) -> Iterator[Any]:
        """Encode frame by frame; grpc takes them in a thread of its own."""
        while (frame := box.next_to_send(talk)) is not None:
            try:
                packet = self._packet(frame)
            except SplitcError as error:  # raised again where the answers are awaited
                talk.error = error
                return
            frame.packet_bytes = len(packet)
            self.counters.sent_bytes += len(packet)
            self.counters.sent_again += int(frame.tries > 1)
            request = protocol.packet_request(self._model, self._pair_id, str(frame.index), packet)
            if self._edge.codec.temporal.period > 1:
                request = protocol.in_sequence(request, talk.number, is_first=talk.sent == 0)
            talk.sent += 1
            yield request

    def _packet(self, frame: Frame) -> bytes:
        frame.marks["encode"] = now()
        if frame.starts_anew:
            self._edge.force_keyframe()
        packet = self._edge.encode(self._edge.quantize(frame.wires))
        frame.marks["sent"] = now()
        return packet

    def _mend(self, box: Outbox, frame: Frame, reply: Any) -> None:
        """After a refusal of one packet: send it anew, or give up."""
        fault = protocol.fault_of(reply)
        if fault == protocol.REFUSED or frame.tries >= MAX_TRIES:
            raise RemoteError(f"{self._remote.address}: {frame.name}: {reply.error_message}")
        if fault == protocol.BUSY:
            time.sleep(FIRST_PAUSE_S)
        else:
            self.counters.keyframes_asked += 1
        box.send_again(frame, as_keyframe=fault == protocol.DAMAGED)

    def _answer(self, frame: Frame, reply: Any, arrived: float) -> Answer:
        at, cloud = frame.marks, protocol.stage_ms(reply)
        ms = {
            "edge": (at["head"] - at["read"]) * 1e3,
            "wait": (at["encode"] - at["head"]) * 1e3,
            "encode": (at["sent"] - at["encode"]) * 1e3,
            "wire": (arrived - at["sent"]) * 1e3 - sum(cloud.values()),
            **cloud,
            "total": (arrived - at["read"]) * 1e3,
        }
        return Answer(frame.name, protocol.outputs_of(reply, self.contract.outputs), frame.packet_bytes, ms)


class _Head(threading.Thread):
    """Reads samples and runs the head, ahead of the wire by as much as the outbox holds."""

    def __init__(self, edge: EdgeHalf, box: Outbox, samples: Iterable[Sample]) -> None:
        super().__init__(name="head", daemon=True)
        self._edge, self._box, self._samples = edge, box, samples
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            clip = None
            for sample in self._samples:
                begun = now()
                wires = self._edge.head(sample.feeds)
                frame = Frame(sample.name, wires, sample.clip != clip, {"read": begun, "head": now()})
                clip = sample.clip
                if not self._box.put(frame):
                    return
        except Exception as error:  # raised again where the answers are awaited
            self.error = error
        finally:
            self._box.end()


class _Patience:
    """Waits longer after each loss, and not for ever."""

    def __init__(self, patience_s: float, clock: Callable[[], float] = now) -> None:
        self._patience_s, self._clock = patience_s, clock
        self.renew()

    def renew(self) -> None:
        """The server answers."""
        self._pause_s, self._since = FIRST_PAUSE_S, self._clock()

    def wait(self, address: str, reason: str) -> None:
        """Raises: RemoteError: it has been silent for too long."""
        silent = self._clock() - self._since
        if silent + self._pause_s > self._patience_s:
            raise RemoteError(f"{address}: no answer for {silent:.1f} s ({reason}); is splitc serve running there?")
        time.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)


def _in_order(answers: Iterator[tuple[int, Answer]], box: Outbox) -> Iterator[Answer]:
    """Answers by number; what is dropped late leaves no gap to wait for."""
    early: dict[int, Answer] = {}
    for index, answer in answers:
        early[index] = answer
        yield from _ready(early, box)
    yield from (early[index] for index in sorted(early))


def _ready(early: dict[int, Answer], box: Outbox) -> Iterator[Answer]:
    oldest = box.oldest()
    for index in sorted(early):
        if oldest is not None and index > oldest:
            return
        yield early.pop(index)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else -1

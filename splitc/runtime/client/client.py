"""The edge half as a client: head, encoding and sending run concurrently; answers come in order.

    samples ─► head ─► Outbox ─► encode ─► send ═══► server ═══► answers
    (thread 1)         bounded   (thread 2, grpc's)             (the caller)

A frame stays in the outbox until it is answered. After a loss the stream begins anew with a keyframe, and what was not
answered is encoded and sent again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import Field

from splitc.backends import Runner
from splitc.bundle import Bundle
from splitc.errors import RemoteError, SplitcError, UsageError
from splitc.runtime import protocol
from splitc.runtime.client.channel import HANDSHAKE_S, Channel, ForeignPairError, LostConnectionError, Remote
from splitc.runtime.client.ladder import Ladder
from splitc.runtime.client.outbox import Outbox, PendingFrame, Talk, now
from splitc.runtime.client.patience import FIRST_PAUSE_S, LEAST_GREETING_S, SEARCH_PAUSE_S, Patience, Watchdog
from splitc.runtime.client.sender import Sender
from splitc.runtime.names import model_of_pair
from splitc.runtime.pair import InferenceResult
from splitc.runtime.sources import Sample
from splitc.types import Array, Frozen

MAX_TRIES = 8
FALLING_BACK_S = 2.0
"""For shaking hands where frames wait that could be answered here."""
LEAVE_S = 15.0
"""For the sample being read (a camera gives up sooner), the head's last run and the last packet."""
MOST_DIGITS = 18
"""Of a frame's number."""
LAY_HERE_S = 5e-3
"""An answer that is taken faster may have waited for the caller: a long time on the wire is then no slow link."""


class ClientOptions(Frozen):
    """Bounds of a client.

    ``window`` frames are in flight at once and ``depth`` wait. A server that stays unreachable longer than
    ``patience_s`` ends the run, unless the client ``falls_back`` to running the tail itself until the server is there.
    One that takes frames and answers none of them for that time counts as unreachable.
    With ``drops_late`` a frame that arrives while the queue is full replaces the oldest one in it.
    ``bytes_a_frame`` holds each bundle's stream to that rate.
    """

    window: int = Field(8, ge=1, le=1024)
    depth: int = Field(4, ge=1, le=1024)
    patience_s: float = Field(60.0, ge=0)
    drops_late: bool = False
    falls_back: bool = False
    bytes_a_frame: float | None = Field(None, gt=0)


@dataclass
class Counters:
    """Events of a run, counted."""

    answered: int = 0
    answered_here: int = 0
    sent_bytes: int = 0
    sent_again: int = 0
    keyframes_asked: int = 0
    reconnected: int = 0
    dropped_late: int = 0
    switched: int = 0

    def as_dict(self) -> dict[str, int]:
        """For ``--json``."""
        return asdict(self)


class EdgeClient:
    """Runs samples through the head here and the tail there.

    Args:
        bundles: Their edge halves run here. Of several, all of one network, the one is used whose packets the link can
            carry; name them from the largest packets to the smallest.
        remote: Where their cloud halves are served.
        options: Bounds.
        threads: For one run of the head.
        open_engine: What runs a bundle's head; None for ONNX Runtime.

    Raises:
        UsageError: Bundles of different networks.
        BundleError: A half cannot be run.
        RemoteError: The server cannot be reached, refuses, or has the half of another pair.
    """

    def __init__(
        self,
        bundles: Bundle | Sequence[Bundle],
        remote: Remote,
        options: ClientOptions | None = None,
        threads: int = 1,
        open_engine: Callable[[Bundle], Runner | None] = lambda bundle: None,
    ) -> None:
        every = [bundles] if isinstance(bundles, Bundle) else list(bundles)
        self._senders = [Sender(bundle, threads, open_engine(bundle)) for bundle in every]
        self._remote, self._options = remote, options or ClientOptions()
        if target := self._options.bytes_a_frame:
            for sender in self._senders:
                sender.hold_rate(target)
        self._ladder = Ladder(len(self._senders))
        self._largest = [protocol.MAX_MESSAGE_BYTES] * len(self._senders)
        self.counters = Counters()
        self.contract = self._senders[0].contract
        for other in self._senders[1:]:
            if (other.contract.inputs, other.contract.outputs) != (self.contract.inputs, self.contract.outputs):
                raise UsageError(f"{other.name}: is for a different network than {self._senders[0].name}.")

    def run(self, samples: Iterable[Sample]) -> Generator[InferenceResult, None, None]:
        """Answers in the order of the samples, each as soon as it and all before it have arrived.

        Raises:
            RemoteError: The server refuses, or stays unreachable for longer than the options allow.
            SplitcError: Whatever reading a sample or running the head raises.
        """
        box = Outbox(self._options.window, self._options.depth, drops_late=self._options.drops_late)
        head = _Head(self._senders, self._ladder, box, samples)
        head.start()
        try:
            yield from _in_order(self._answers(box), box)
        finally:
            box.close()
            self._leave(head)
            self.counters.dropped_late, self.counters.switched = box.dropped, self._ladder.switched
        if head.error is not None:
            raise head.error

    def _leave(self, head: _Head) -> None:
        """Wait for the threads that run native code: an interpreter that exits while they run aborts the process."""
        head.join(LEAVE_S)
        for sender in self._senders:
            sender.settle(LEAVE_S)

    def _answers(self, box: Outbox) -> Iterator[tuple[int, InferenceResult]]:
        """Answers of all connections, with the numbers of their frames."""
        patience = Patience(self._options.patience_s)
        while not box.is_done:
            talk, channel, silent_s, begun = Talk(), self._remote.open(), 0.0, now()
            try:
                for sender in self._senders:
                    greeting = channel.check_pair(sender.name, sender.pair_id, self._handshake_s(patience))
                    talk.greetings[sender.name] = greeting
                self._largest = [talk.greetings[sender.name].largest for sender in self._senders]
                if patience.skips_a_turn:
                    channel.skip_a_turn(self._handshake_s(patience))
                talk.is_greeted = True
                Watchdog(box, talk, self._options.patience_s, channel.close).start()
                for found in self._talk(box, talk, channel):
                    patience.renew()
                    yield found
                if not box.is_done and talk.error is None:
                    raise LostConnectionError("the server ended the stream")
            except LostConnectionError as lost:
                silent_s = box.silent_s(talk) if talk.is_greeted else now() - begun
                if talk.is_greeted and box.oldest() is None:
                    patience.owed_nothing()
                box.hang_up(talk)
                self.counters.reconnected += 1
                pause_s = self._pause_s(patience, talk, lost, silent_s)
                if self._options.falls_back:
                    yield from self._answers_here(box, pause_s)
                else:
                    time.sleep(pause_s)
            finally:
                box.hang_up(talk)
                if any(greeting.keeps_sequences for greeting in talk.greetings.values()):
                    channel.leave()
                channel.close()
            if talk.error is not None:
                raise talk.error

    def _pause_s(self, patience: Patience, talk: Talk, lost: LostConnectionError, silent_s: float) -> float:
        """Until the next try, if there is one."""
        is_foreign = isinstance(lost, ForeignPairError)
        if is_foreign:
            patience.met_another(silent_s)
        if is_foreign and not patience.was_answered:
            if not patience.searches_on:
                raise RemoteError(f"{self._remote.address}: {lost}") from lost
            return SEARCH_PAUSE_S
        reason = "it takes frames and answers none" if talk.is_unanswered else str(lost)
        endless = self._options.falls_back
        pause_s = patience.next_pause(self._remote.address, reason, is_endless=endless, silent_s=silent_s)
        return min(pause_s, FIRST_PAUSE_S) if is_foreign else pause_s

    def _handshake_s(self, patience: Patience) -> float:
        if self._options.falls_back:
            return FALLING_BACK_S
        return min(HANDSHAKE_S, max(patience.left_s, LEAST_GREETING_S))

    def _talk(self, box: Outbox, talk: Talk, channel: Channel) -> Iterator[tuple[int, InferenceResult]]:
        for reply in talk.listening(channel.stream(self._requests(box, talk))):
            arrived = now()
            frame = box.find(_number(reply.infer_response.id))
            if frame is None or "sent" not in frame.marks:
                talk.is_answer = False  # to a try that was given up, or to nothing
                continue
            if reply.error_message:
                self._mend(box, frame, reply)
                continue
            answer = self._answer(frame, reply.infer_response, arrived)
            self._note(frame, answer.ms, talk.waited_s)
            box.answered(frame)
            self.counters.answered += 1
            yield frame.index, answer

    def _requests(self, box: Outbox, talk: Talk) -> Iterator[Any]:
        """Frame by frame, and what ends them; grpc consumes them in its own thread."""
        yield from self._packets(box, talk)
        for sender in self._senders:
            if (last := sender.end_of_sequence(talk)) is not None:
                yield last

    def _packets(self, box: Outbox, talk: Talk) -> Iterator[Any]:
        while (frame := box.next_to_send(talk)) is not None:
            try:
                request = self._senders[frame.rung].request(frame, talk)
                self._check_size(frame, request)
            except SplitcError as error:  # raised again where the answers are awaited
                talk.error = error
                return
            if request is None:
                return
            self.counters.sent_bytes += frame.packet_bytes
            self.counters.sent_again += int(frame.tries > 1)
            yield request

    def _check_size(self, frame: PendingFrame, request: Any) -> None:
        """Refuse what the server would refuse: sent again, it would be no smaller."""
        most, size = self._largest[frame.rung], request.ByteSize() if request is not None else 0
        if size > most:
            raise RemoteError(
                f"{self._remote.address}: {frame.name}: its message has {size} bytes, the server takes {most}; raise "
                "its --max-message-bytes, or send fewer samples at once."
            )

    def _mend(self, box: Outbox, frame: PendingFrame, reply: Any) -> None:
        """After a refusal of one packet: send it again, connect anew, or give up."""
        fault = protocol.fault_of(reply)
        if fault in (protocol.ENDING, protocol.FOREIGN):
            lost = ForeignPairError if fault == protocol.FOREIGN else LostConnectionError
            raise lost(protocol.shown(reply.error_message))
        if fault == protocol.REFUSED or frame.tries >= MAX_TRIES:
            raise RemoteError(f"{self._remote.address}: {frame.name}: {protocol.shown(reply.error_message)}")
        if fault == protocol.BUSY:
            time.sleep(FIRST_PAUSE_S)
        else:
            self.counters.keyframes_asked += 1
            sender = self._senders[frame.rung]
            sender.must_start_anew = True
            sender.starts_sequence |= fault == protocol.UNKNOWN_SEQUENCE
        box.send_again(frame)

    def _answer(self, frame: PendingFrame, reply: Any, arrived: float) -> InferenceResult:
        at = frame.marks
        cloud = protocol.stage_ms(reply, at_most=(arrived - at["sent"]) * 1e3)
        ms = {
            "edge": (at["head"] - at["read"]) * 1e3,
            "wait": (at["encode"] - at["head"]) * 1e3,
            "encode": (at["sent"] - at["encode"]) * 1e3,
            "wire": (arrived - at["sent"]) * 1e3 - sum(cloud.values()),
            **cloud,
            "total": (arrived - at["read"]) * 1e3,
        }
        outputs = self._outputs(frame, reply)
        return InferenceResult(frame.sample, outputs, frame.packet_bytes, ms)

    def _outputs(self, frame: PendingFrame, reply: Any) -> dict[str, Array]:
        """Checked: as many samples as were sent, where the contract says that both are the same number."""
        sender = self._senders[frame.rung]
        if reply.model_name not in ("", sender.name, model_of_pair(sender.name, sender.pair_id)):
            raise RemoteError(
                f"{self._remote.address}: {frame.name}: an answer of {protocol.shown(reply.model_name)!r}."
            )
        first = sender.contract.wire[0].shape[:1]
        sizes = {str(size): len(frame.wires[0]) for size in first if isinstance(size, str)}
        try:
            return protocol.outputs_of(reply, self.contract.tail_outputs, sizes) | dict(frame.answers)
        except RemoteError as error:
            raise RemoteError(f"{self._remote.address}: {frame.name}: {error}") from error

    def _note(self, frame: PendingFrame, ms: Mapping[str, float], waited_s: float) -> None:
        computing_ms = sum(ms[stage] for stage in ("edge", "encode", *protocol.STAGES))
        if waited_s > LAY_HERE_S or ms["wire"] <= computing_ms:
            self._ladder.note(frame.rung, ms["wire"], computing_ms)

    def _answers_here(self, box: Outbox, seconds: float) -> Iterator[tuple[int, InferenceResult]]:
        """Run the tail on this machine for a while."""
        until = now() + seconds
        talk = Talk()
        while (left := until - now()) > 0 and (frame := box.next_to_send(talk, left)) is not None:
            begun = now()
            outputs = self._senders[frame.rung].answer_here(frame)
            at, done = frame.marks, now()
            ms = {"edge": (at["head"] - at["read"] + done - begun) * 1e3, "wait": (begun - at["head"]) * 1e3}
            ms |= dict.fromkeys(("encode", "wire", *protocol.STAGES), 0.0)
            box.answered(frame)
            self.counters.answered_here += 1
            yield frame.index, InferenceResult(frame.sample, outputs, 0, ms | {"total": (done - at["read"]) * 1e3})


class _Head(threading.Thread):
    """Reads samples and runs the head, ahead of the wire by as much as the outbox holds."""

    def __init__(self, senders: Sequence[Sender], ladder: Ladder, box: Outbox, samples: Iterable[Sample]) -> None:
        super().__init__(name="head", daemon=True)
        self._senders, self._ladder = senders, ladder
        self._box, self._samples = box, samples
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            clip = None
            for sample in self._samples:
                rung = self._ladder.rung
                frame = self._senders[rung].head(sample, starts_clip=sample.clip != clip, rung=rung)
                clip = sample.clip
                if not self._box.put(frame):
                    return
        except Exception as error:  # raised again where the answers are awaited
            self.error = error
        finally:
            self._box.end()


def _in_order(answers: Iterator[tuple[int, InferenceResult]], box: Outbox) -> Iterator[InferenceResult]:
    """Answers by number; a frame that was dropped late leaves no gap to wait for."""
    early: dict[int, InferenceResult] = {}
    for index, answer in answers:
        early[index] = answer
        yield from _ready(early, box)
    yield from (early[index] for index in sorted(early))


def _ready(early: dict[int, InferenceResult], box: Outbox) -> Iterator[InferenceResult]:
    oldest = box.oldest()
    for index in sorted(early):
        if oldest is not None and index > oldest:
            return
        yield early.pop(index)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else -1

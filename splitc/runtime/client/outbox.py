"""Frames between the head and the wire: bounded, in order, kept until they are answered."""

from __future__ import annotations

import bisect
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from splitc.runtime.sources import Sample
from splitc.types import Array, Feeds

_Reply = TypeVar("_Reply")


@dataclass(eq=False)
class PendingFrame:
    """One sample on its way.

    Attributes:
        sample: Without its feeds.
        wires: What the head gave that crosses.
        starts_clip: It must not be predicted from the previous frame.
        marks: ``time.perf_counter()`` at: read, head done, encoding begun, encoding done; the last two of the last try.
        rung: Which of the client's pairs it is of.
        packet_bytes: Of the last try.
        tries: How often it was sent.
        sent_s: ``now()`` of the last try.
        answers: Outputs of the network that the head gave.
        given: Inputs that go to the cloud as they are.
    """

    sample: Sample
    wires: list[Array]
    starts_clip: bool
    marks: dict[str, float]
    rung: int = 0
    packet_bytes: int = 0
    tries: int = 0
    sent_s: float = 0.0
    index: int = -1
    answers: Feeds = field(default_factory=dict)
    given: Feeds = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the sample."""
        return self.sample.name


class Outbox:
    """A queue whose front stays until it is answered.

    ``[ under way ][ waiting ]``: ``window`` and ``depth`` bound the two parts. One thread puts, one takes.

    Args:
        window: Frames that may be under way at once.
        depth: Frames that may wait.
        drops_late: A full queue drops its oldest waiting frame, as a camera's should, instead of holding up the head.
    """

    def __init__(self, window: int, depth: int, *, drops_late: bool = False) -> None:
        self._window, self._depth, self._drops_late = window, depth, drops_late
        self._under_way: dict[int, PendingFrame] = {}
        self._waiting: list[PendingFrame] = []  # by index
        lock = threading.Lock()
        # Two conditions, since each wake of a thread that finds nothing to do costs as much as sending a frame.
        self._room, self._ready = threading.Condition(lock), threading.Condition(lock)
        self._is_ended = False
        self._is_closed = False
        self._count = 0
        self.dropped = 0

    def put(self, frame: PendingFrame) -> bool:
        """Add a frame, waiting for room; False if frames are no longer taken."""
        with self._room:
            if self._drops_late:
                self._drop_oldest()
            self._room.wait_for(lambda: self._is_closed or len(self._waiting) < self._depth)
            if self._is_closed:
                return False
            frame.index, self._count = self._count, self._count + 1
            self._waiting.append(frame)
            self._notify_taker()
            return True

    def end(self) -> None:
        """No more frames will be put."""
        with self._ready:
            self._is_ended = True
            self._notify_taker()

    def close(self) -> None:
        """Frames are no longer taken: releases a waiting :meth:`put`."""
        with self._room:
            self._is_closed = True
            self._room.notify_all()

    def next_to_send(self, talk: Talk, timeout_s: float | None = None) -> PendingFrame | None:
        """The oldest frame that waits, once there is one and the window has room; None when this talk is over.

        A talk is over when it was hung up, when all frames of an ended queue are answered, or after ``timeout_s``.
        """
        with self._ready:
            self._ready.wait_for(lambda: talk.is_over or self._is_done() or self._can_send(), timeout_s)
            if talk.is_over or not self._can_send():
                return None
            frame = self._waiting.pop(0)
            frame.tries, frame.sent_s = frame.tries + 1, now()
            self._under_way[frame.index] = frame
            self._room.notify()
            return frame

    def hang_up(self, talk: Talk) -> None:
        """End a talk; what it had sent without an answer is to be sent again."""
        with self._ready:
            talk.over.set()
            self._waiting = sorted([*self._under_way.values(), *self._waiting], key=_index)
            self._under_way.clear()
            self._ready.notify_all()

    def find(self, index: int) -> PendingFrame | None:
        """A frame that is sent and not answered."""
        with self._ready:
            return self._under_way.get(index)

    def answered(self, frame: PendingFrame) -> None:
        """Forget a frame whose answer has arrived."""
        with self._ready:
            del self._under_way[frame.index]
            self._notify_taker()

    def send_again(self, frame: PendingFrame) -> None:
        """Queue a frame again that the other end could not use."""
        with self._ready:
            bisect.insort(self._waiting, self._under_way.pop(frame.index), key=_index)
            self._notify_taker()

    def silent_s(self, talk: Talk) -> float:
        """How long a reply has been awaited while frames are in flight; 0 if none is."""
        with self._ready:
            first = min((frame.sent_s for frame in self._under_way.values()), default=float("inf"))
        return max(0.0, now() - max(first, talk.waits_since))

    def oldest(self) -> int | None:
        """Number of the first frame that is not answered."""
        with self._ready:
            return min([*self._under_way, *(frame.index for frame in self._waiting[:1])], default=None)

    @property
    def is_done(self) -> bool:
        """Whether all frames are answered and no more will come."""
        with self._ready:
            return self._is_done()

    def _is_done(self) -> bool:
        return self._is_ended and not self._waiting and not self._under_way

    def _can_send(self) -> bool:
        return bool(self._waiting) and len(self._under_way) < self._window

    def _notify_taker(self) -> None:
        if self._can_send() or self._is_done():
            self._ready.notify_all()

    def _drop_oldest(self) -> None:
        while len(self._waiting) >= self._depth:
            late = next((one for one in self._waiting if one.tries == 0), None)
            if late is None:
                return  # only frames that are to be sent again: these are not lost
            self._waiting.remove(late)
            self.dropped += 1


def _index(frame: PendingFrame) -> int:
    return frame.index


@dataclass(frozen=True)
class Greeting:
    """What a server said of a bundle's cloud half.

    Attributes:
        model: What it is called there.
        keeps_sequences: Whether a stream's state outlives the stream until its sequence is ended, as in Triton.
        largest: Bytes of the largest message that the server takes.
    """

    model: str
    keeps_sequences: bool
    largest: int


@dataclass
class Talk:
    """One connection's turn at an outbox.

    Attributes:
        over: Set when it was hung up.
        waits_since: ``now()`` when waiting for the next reply began; infinite while none is waited for.
        waited_s: For the last reply. Short where it lay here already: then nobody knows when it came.
        is_answer: The last reply was one to a frame; whoever takes it may say that it was not.
        is_greeted: The pair ids were compared.
        is_unanswered: Hung up because no answer came.
        error: Why encoding ended early.
        number: Tells its packets from those of other talks and clients.
        greetings: What the server said of each bundle, by the bundle's name.
    """

    over: threading.Event = field(default_factory=threading.Event)
    waits_since: float = float("inf")
    waited_s: float = 0.0
    is_answer: bool = True
    is_greeted: bool = False
    is_unanswered: bool = False
    error: Exception | None = None
    number: int = field(default_factory=lambda: secrets.randbits(62) + 1)
    greetings: dict[str, Greeting] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether it was hung up."""
        return self.over.is_set()

    def model(self, name: str) -> str:
        """What the server calls a bundle's cloud half."""
        return self.greetings[name].model if name in self.greetings else name

    def keeps_sequences(self, name: str) -> bool:
        """Whether the server keeps a stream's state until its sequence is ended."""
        return name in self.greetings and self.greetings[name].keeps_sequences

    def listening(self, replies: Iterable[_Reply]) -> Iterator[_Reply]:
        """The replies; records since when the next one is awaited. One that is no answer ends no wait."""
        self.waits_since = since = now()
        for reply in replies:
            self.waited_s, self.waits_since = now() - since, float("inf")
            self.is_answer = True
            yield reply
            since = now() if self.is_answer else since
            self.waits_since = since


def now() -> float:
    """Seconds of a monotonic clock."""
    return time.perf_counter()

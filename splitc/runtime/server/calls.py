"""Calls from their first header on: who is let in, with how many others, and for how long a message may take.

gRPC reads the message of a one-message call before anyone can refuse it. Here every method is a stream to gRPC, so
that nothing is read before the caller is known and there is room for what he may send.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc

from splitc.runtime.server.access import Admission, Caller, NotAdmittedError
from splitc.runtime.server.connection import Connection
from splitc.runtime.server.metrics import Metrics
from splitc.runtime.server.room import Room
from splitc.runtime.server.turns import TurnOwner

STREAM = "ModelStreamInfer"


@dataclass(frozen=True)
class CallLimits:
    """Bounds of calls.

    Attributes:
        streams, single: Open at once.
        reading_bytes: Of messages that are being received, in all.
        stream_bytes: Of one stream: a message, and what its decoder remembers.
        single_bytes: Of one single call: a message.
        message_s: For a single call's message to arrive, and for its answer to be taken.
    """

    streams: int
    single: int
    reading_bytes: int
    stream_bytes: int
    single_bytes: int
    message_s: float


class Call:
    """A call that was let in.

    Attributes:
        context: gRPC's.
        owner: Whose work it is.
        connection: The connection that it came on.
        leaving: Closed when the call is over.
    """

    def __init__(self, context: Any, owner: TurnOwner, connection: Connection, message_s: float) -> None:
        self.context, self.owner, self.connection, self._message_s = context, owner, connection, message_s
        self.leaving = contextlib.ExitStack()

    async def abort(self, code: grpc.StatusCode, why: str) -> None:
        """End with a status. Does not return."""
        await self.context.abort(code, why)

    async def read(self) -> bytes | None:
        """The next message; None after the last."""
        message: Any = await self.context.read()
        return message if isinstance(message, bytes) else None  # EOF is an object of its own

    async def read_in_time(self) -> bytes | None:
        """The next message, or the end of the call with ``DEADLINE_EXCEEDED`` where it takes too long."""
        message: bytes | None = await self._in_time(self.read(), "the message did not arrive in time.")
        return message

    async def write(self, message: bytes) -> None:
        """Send, once the client's window has room."""
        await self.context.write(message)

    async def write_in_time(self, message: bytes) -> None:
        """The same, or the end of the call where the client does not read."""
        await self._in_time(self.write(message), "the answer was not read in time.")

    async def _in_time(self, work: Any, why: str) -> Any:
        """As ``asyncio.wait_for``, which makes a task of each call and each answer."""
        task, expired = asyncio.current_task(), asyncio.Event()
        assert task is not None

        def expire() -> None:
            expired.set()
            task.cancel()

        timer = asyncio.get_running_loop().call_later(self._message_s, expire)
        try:
            return await work
        except asyncio.CancelledError:
            if not expired.is_set():
                raise
            if hasattr(task, "uncancel"):  # Python 3.11 counts what was cancelled
                task.uncancel()
        finally:
            timer.cancel()
        await self.abort(grpc.StatusCode.DEADLINE_EXCEEDED, why)
        return None


class Door:
    """Lets calls in.

    Args:
        admission: Who may call.
        limits: Bounds.
        metrics: Counts refusals.

    Attributes:
        is_closed: The server is ending: nothing but health is asked any more.
    """

    def __init__(self, admission: Admission, limits: CallLimits, metrics: Metrics) -> None:
        self._admission, self._limits, self._metrics = admission, limits, metrics
        self._places = {True: Room(limits.streams), False: Room(limits.single)}
        self._reading = Room(limits.reading_bytes)
        self._numbers = itertools.count(1)
        self.is_closed = False

    @contextlib.asynccontextmanager
    async def entered(self, context: Any, method: str) -> AsyncIterator[Call]:
        """The call, if it is let in, while it lasts; else it ends with a status, and nothing of it was read."""
        try:
            caller = self._admission.caller(context, method)
            place = self._place(caller, method)
        except NotAdmittedError as refused:
            await context.abort(refused.code, str(refused))
            raise
        caller.connection.call_began(caller.client)
        call = Call(context, TurnOwner(caller.client, next(self._numbers)), caller.connection, self._limits.message_s)
        try:
            yield call
        finally:
            call.leaving.close()
            caller.connection.call_ended()
            self._leave(caller, method == STREAM, place)

    async def asked_for_health(self, context: Any, method: str) -> Call:
        """A call that anyone may make: it is answered unread, and takes no place."""
        try:
            caller = self._admission.caller(context, method)
        except NotAdmittedError as refused:
            await context.abort(refused.code, str(refused))
            raise
        caller.connection.checked_health()
        return Call(context, TurnOwner(caller.client), caller.connection, self._limits.message_s)

    def _place(self, caller: Caller, method: str) -> int:
        """Take a place and bytes to read with.

        Returns:
            The bytes.

        Raises:
            NotAdmittedError: There is no room now.
        """
        is_stream = method == STREAM
        room, size = self._places[is_stream], self._limits.stream_bytes if is_stream else self._limits.single_bytes
        what = "streams" if is_stream else "calls"
        if self.is_closed:
            self._metrics.refused("ending")
            raise NotAdmittedError(grpc.StatusCode.UNAVAILABLE, "this server is ending; try another, or later.")
        if not room.try_take(caller.client):
            raise self._no_room(what, f"{room.taken} {what} are open, as many as it takes")
        if not self._reading.try_take(caller.client, size):
            room.give(caller.client)
            raise self._no_room("memory", f"{self._reading.taken >> 20} MB are set aside for messages")
        return size

    def _no_room(self, what: str, why: str) -> NotAdmittedError:
        self._metrics.refused(what)
        return NotAdmittedError(
            grpc.StatusCode.RESOURCE_EXHAUSTED, f"this server has no room: {why}, in all or for one client; try later."
        )

    def _leave(self, caller: Caller, is_stream: bool, size: int) -> None:
        self._places[is_stream].give(caller.client)
        self._reading.give(caller.client, size)

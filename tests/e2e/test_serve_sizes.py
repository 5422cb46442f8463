"""Messages larger than the other end takes are refused at once, by their size and the flag that helps."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
from e2e_setting import SIDE

pytest.importorskip("grpc", reason="needs splitc[serve]")

from serving import serving

from splitc.bundle import open_bundle
from splitc.cli.serve import LimitOptions
from splitc.errors import RemoteError, UsageError
from splitc.runtime import Sample, ServerOptions, protocol
from splitc.runtime.client import ClientOptions, EdgeClient, Remote

PATIENCE_S = 60.0
ROWS = 64


def sample(rows: int) -> Sample:
    images = np.random.default_rng(0).standard_normal((rows, 3, SIDE, SIDE)).astype(np.float32)
    return Sample("many", {"image": images})


def refused(bundle: Path, address: str) -> str:
    """Words of the refusal, which comes long before patience is over and without another try."""
    client, begun = (
        EdgeClient(open_bundle(bundle), Remote(address), ClientOptions(patience_s=PATIENCE_S)),
        time.monotonic(),
    )
    with pytest.raises(RemoteError) as caught:
        list(client.run([sample(1), sample(ROWS)]))
    assert time.monotonic() - begun < PATIENCE_S / 3
    assert client.counters.reconnected == 0
    return str(caught.value)


def test_a_packet_larger_than_the_server_says_is_not_sent(bundle: Path) -> None:
    with serving([bundle], max_batch=ROWS, max_message_bytes=2048) as (address, server):
        words = refused(bundle, address)
        assert "many: its message has" in words
        assert "the server takes 2048; raise its --max-message-bytes" in words
        assert "answers unknown refused" not in server.metrics.totals()


def test_a_server_that_did_not_say_so_is_not_asked_twice(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "largest_of", lambda config: protocol.MAX_MESSAGE_BYTES)
    with serving([bundle], max_batch=ROWS, max_message_bytes=2048) as (address, _):
        assert "--max-message-bytes" in refused(bundle, address)


def test_an_answer_larger_than_this_client_takes(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splitc.runtime.client.channel.memory_budget", lambda: 2048)
    with serving([bundle], max_batch=ROWS) as (address, _):
        assert "this client 2048 bytes (splitc --max-memory)" in refused(bundle, address)


def test_messages_of_more_than_64_mib_are_answered(bundle: Path) -> None:
    """As large as both ends were told to take: the packet is small, the request around it is not."""
    with serving([bundle], max_message_bytes=128 << 20) as (address, _):
        opened, channel = open_bundle(bundle), Remote(address).open()
        assert channel.check_pair(opened.name, opened.pair_id).largest == 128 << 20
        request = protocol.packet_request(opened.name, opened.pair_id, "1", bytes(65 << 20))
        (reply,) = channel.stream([request])
        channel.close()
        assert protocol.fault_of(reply) == protocol.DAMAGED


def test_memory_that_holds_no_message_is_refused_before_anyone_asks(bundle: Path) -> None:
    """Each call would be refused for want of room; the size that is named will do."""
    too_large = {"max_memory_mb": 16, "max_message_bytes": 7 << 20}
    with pytest.raises(UsageError, match=r"--max-memory-mb 16: has no room .* 7340032 bytes; give (\d+)") as caught:
        serving([bundle], **too_large).__enter__()
    named = re.search(r"give (\d+)", str(caught.value))
    assert named is not None
    with serving([bundle], **{**too_large, "max_memory_mb": int(named[1])}) as (address, _):
        assert len(list(EdgeClient(open_bundle(bundle), Remote(address)).run([sample(1)]))) == 1


def test_options_of_the_command_have_the_bounds_of_the_server() -> None:
    """Else a number beyond them is a traceback."""
    fields = ServerOptions.model_fields
    for name, hint in get_type_hints(LimitOptions, include_extras=True).items():
        option = next(one for one in hint.__metadata__ if hasattr(one, "max"))
        most = [one.le for one in fields[name].metadata if hasattr(one, "le")]
        assert [option.max] == most, name
        assert math.isfinite(option.max)
        assert option.min >= min(getattr(one, "ge", getattr(one, "gt", math.inf)) for one in fields[name].metadata)

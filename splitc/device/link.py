"""The network between edge and cloud."""

from __future__ import annotations

from pydantic import Field

from splitc.types import Frozen


class Link(Frozen):
    """A link with a fixed rate and delay.

    Attributes:
        uplink_mbps: Rate from edge to cloud, 10**6 bit/s of payload.
        rtt_ms: Round trip of a packet too small for its size to matter.
    """

    uplink_mbps: float = Field(gt=0)
    rtt_ms: float = Field(default=0.0, ge=0)

    def wire_ms(self, payload_bytes: float) -> float:
        """From the edge's first bit sent to the answer's arrival, without the cloud's work.

        ``rtt / 2`` up, ``8 * payload_bytes / uplink`` to push the payload into the link once, and ``rtt / 2`` for the
        answer, whose own size counts as nothing. No loss, no queue, no slow start: a lower bound on a real network.

        Args:
            payload_bytes: Bytes that go up; at least 0.

        Returns:
            Milliseconds.
        """
        serialization_ms = 8 * payload_bytes / (self.uplink_mbps * 1e3)
        return self.rtt_ms + serialization_ms

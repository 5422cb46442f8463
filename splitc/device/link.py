"""The network between edge and cloud."""

from __future__ import annotations

from pydantic import Field

from splitc.types import Frozen


class Link(Frozen):
    """A link with a fixed rate and delay.

    Attributes:
        uplink_mbps: Rate from edge to cloud, 10**6 bit/s of payload.
        rtt_ms: Round trip of a packet too small for its size to matter.
        jitter_ms: Extra delay to plan for, such as the 95th percentile of the round trip less its median.
        radio_w: Power of the edge's radio or network card while it sends; None: not known, and not counted.
    """

    uplink_mbps: float = Field(gt=0)
    rtt_ms: float = Field(default=0.0, ge=0)
    jitter_ms: float = Field(default=0.0, ge=0)
    radio_w: float | None = Field(default=None, ge=0)

    def wire_ms(self, payload_bytes: float) -> float:
        """From the edge's first bit sent to the answer's arrival, without the cloud's work.

        ``rtt / 2`` up, ``8 * payload_bytes / uplink`` to push the payload into the link once, ``rtt / 2`` for the
        answer, whose own size counts as nothing, and ``jitter`` once. No loss, no queue, no slow start: a lower
        bound on a real network.

        Args:
            payload_bytes: Bytes that go up; at least 0.

        Returns:
            Milliseconds.
        """
        return self.rtt_ms + self.jitter_ms + self.push_ms(payload_bytes)

    def push_ms(self, payload_bytes: float) -> float:
        """How long the payload occupies the link, in milliseconds: ``8 * payload_bytes / uplink``."""
        return 8 * payload_bytes / (self.uplink_mbps * 1e3)

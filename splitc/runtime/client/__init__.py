"""The edge half as a client."""

from __future__ import annotations

from splitc.runtime.client.channel import Remote
from splitc.runtime.client.client import ClientOptions, Counters, EdgeClient

__all__ = ["ClientOptions", "Counters", "EdgeClient", "Remote"]

"""The cloud half as a server."""

from __future__ import annotations

from splitc.runtime.server.server import CloudServer, ServerOptions

__all__ = ["CloudServer", "ServerOptions"]

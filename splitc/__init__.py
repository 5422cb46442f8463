"""splitc: cut one neural network in two and ship both halves."""

from __future__ import annotations

__version__ = "0.1.0"

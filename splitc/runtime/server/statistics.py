"""What the protocol's statistics extension tells of a model: how often, and how long."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tritonclient.grpc import service_pb2 as oip

_FIELDS = {"decode": "compute_input", "queue": "queue", "cloud": "compute_infer"}
"""Stages of an answer, and the fields that stand for them."""
NS_PER_MS = 1_000_000


@dataclass
class ModelStatistics:
    """Counters of one model since the server began."""

    answered: int = 0
    failed: int = 0
    runs: float = 0.0
    last_ms: int = 0
    total_ms: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_FIELDS, 0.0))

    def note(self, ms: Mapping[str, float], batch: int) -> None:
        """One answer, which ran together with ``batch - 1`` others."""
        self.answered += 1
        self.runs += 1 / batch
        self.last_ms = int(time.time() * 1e3)
        for stage in _FIELDS:
            self.total_ms[stage] += ms[stage]

    def message(self, name: str) -> Any:
        """As the protocol has it."""
        said = oip.ModelStatistics(name=name, version="1", last_inference=self.last_ms)
        said.inference_count, said.execution_count = self.answered, round(self.runs)
        stats = said.inference_stats
        _set(stats.success, self.answered, sum(self.total_ms.values()))
        _set(stats.fail, self.failed, 0.0)
        for stage, name_there in _FIELDS.items():
            _set(getattr(stats, name_there), self.answered, self.total_ms[stage])
        _set(stats.compute_output, self.answered, 0.0)
        return said


def _set(duration: Any, count: int, ms: float) -> None:
    duration.count, duration.ns = count, round(ms * NS_PER_MS)

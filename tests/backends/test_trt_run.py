"""Running an engine through Polygraphy, against a recorded protocol of its documented API."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from backend_models import WIRE, WriteModel

from splitc.backends import read_interface
from splitc.backends.trt_run import EngineRunner
from splitc.errors import BackendError, CapabilityError


class TrtRunner:
    """Polygraphy's life of a runner; it reuses its output buffer as the real one does."""

    calls: list[str] = []  # noqa: RUF012
    fails: str = ""

    def __init__(self, engine: object) -> None:
        self.engine = engine
        self.buffer = np.zeros((1, 4), np.float32)

    def activate(self) -> None:
        self.calls.append(f"activate {self.engine}")
        if self.fails == "activate":
            raise RuntimeError("Could not deserialize\n  engine")

    def infer(self, feed_dict: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self.fails == "infer":
            raise RuntimeError("CUDA error")
        assert all(array.flags.c_contiguous for array in feed_dict.values())
        self.buffer[:] = feed_dict["symbols"] * np.float32(0.5)
        return {"y": self.buffer}

    def deactivate(self) -> None:
        self.calls.append("deactivate")


@pytest.fixture
def polygraphy(monkeypatch: pytest.MonkeyPatch) -> type[TrtRunner]:
    modules: dict[str, Any] = {
        "polygraphy.backend.trt": {"TrtRunner": TrtRunner, "EngineFromBytes": lambda data: f"engine of {data}"},
        "polygraphy.backend.common": {"BytesFromPath": lambda path: f"bytes of {Path(path).name}"},
    }
    for name in ("polygraphy", "polygraphy.backend"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for name, members in modules.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(TrtRunner, "calls", [])
    return TrtRunner


def test_the_order_of_calls(polygraphy: type[TrtRunner], write_model: WriteModel) -> None:
    runner = EngineRunner(Path("model.engine"), read_interface(write_model(WIRE)))
    first = runner.run({"symbols": np.full((1, 4), 2, np.uint8)})["y"]
    second = runner.run({"symbols": np.full((1, 4), 4, np.uint8)})["y"]
    np.testing.assert_array_equal(first, np.ones((1, 4), np.float32))
    np.testing.assert_array_equal(second, 2 * np.ones((1, 4), np.float32))
    runner.close()
    runner.close()
    assert polygraphy.calls == ["activate engine of bytes of model.engine", "deactivate"]
    with pytest.raises(BackendError, match="this runner is closed"):
        runner.run({"symbols": np.zeros((1, 4), np.uint8)})


def test_what_fails_is_one_sentence(
    polygraphy: type[TrtRunner], write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    interface = read_interface(write_model(WIRE))
    runner = EngineRunner(Path("model.engine"), interface)
    with pytest.raises(BackendError, match="input 'symbols' is missing"):
        runner.run({})
    monkeypatch.setattr(TrtRunner, "fails", "infer")
    with pytest.raises(BackendError, match=r"model\.engine: failed while running: CUDA error\."):
        runner.run({"symbols": np.zeros((1, 4), np.uint8)})
    monkeypatch.setattr(TrtRunner, "fails", "activate")
    with pytest.raises(BackendError, match=r"model\.engine: does not load: Could not deserialize engine\."):
        EngineRunner(Path("model.engine"), interface)


def test_without_polygraphy(write_model: WriteModel, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("polygraphy", "polygraphy.backend.common", "polygraphy.backend.trt"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(CapabilityError, match=r"pip install 'splitc\[trt\]'"):
        EngineRunner(Path("model.engine"), read_interface(write_model(WIRE)))

"""Running an engine through Polygraphy, against a recorded protocol of its documented API."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from backend_models import WIRE, WriteModel

from splitc.backends import read_interface, trt_run
from splitc.backends.trt_run import EngineRunner
from splitc.errors import BackendError, CapabilityError


class Profiler:
    """TensorRT's IProfiler, which users derive from."""

    def __init__(self) -> None: ...


class Context:
    """TensorRT's execution context: with a profiler, every execution reports its layers."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls
        self.profiler: Any = None
        self.is_well = True

    def execute_async_v3(self, stream_handle: int) -> bool:
        self.calls.append(f"execute on {stream_handle}")
        for name, ms in (("product", 0.5), ("copy", 0.125), ("copy", 0.125)) if self.profiler else ():
            self.profiler.report_layer_time(name, ms)
        return self.is_well


class TrtRunner:
    """Polygraphy's life of a runner; it reuses its output buffer as the real one does."""

    calls: list[str] = []  # noqa: RUF012
    fails: str = ""

    def __init__(self, engine: object) -> None:
        self.engine = engine
        self.buffer = np.zeros((1, 4), np.float32)
        self.context = Context(self.calls)
        self.stream = SimpleNamespace(ptr=77, synchronize=lambda: self.calls.append("synchronize"))

    def activate(self) -> None:
        self.calls.append(f"activate {self.engine}")
        if self.fails == "activate":
            raise RuntimeError("Could not deserialize\n  engine")

    def infer(self, feed_dict: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self.fails == "infer":
            raise RuntimeError("CUDA error")
        assert all(array.flags.c_contiguous for array in feed_dict.values())
        self.context.execute_async_v3(self.stream.ptr)
        self.buffer[:] = feed_dict["symbols"] * np.float32(0.5)
        return {"y": self.buffer}

    def deactivate(self) -> None:
        self.calls.append("deactivate")


@pytest.fixture
def polygraphy(monkeypatch: pytest.MonkeyPatch) -> type[TrtRunner]:
    modules: dict[str, Any] = {
        "polygraphy.backend.trt": {"TrtRunner": TrtRunner, "EngineFromBytes": lambda data: f"engine of {data}"},
        "tensorrt": {"IProfiler": Profiler},
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
    execute = ["execute on 77"]
    assert polygraphy.calls == ["activate engine of bytes of model.engine", *execute, *execute, "deactivate"]
    with pytest.raises(BackendError, match="this runner is closed"):
        runner.run({"symbols": np.zeros((1, 4), np.uint8)})


def test_the_device_s_time_is_that_of_one_more_execution(
    polygraphy: type[TrtRunner], write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elapsed(stream: int, work: Callable[[], None]) -> float:
        polygraphy.calls.append("start")
        work()
        polygraphy.calls.append("end")
        return 0.25

    monkeypatch.setattr(trt_run, "elapsed_ms", elapsed)
    runner = EngineRunner(Path("model.engine"), read_interface(write_model(WIRE)))
    assert runner.device_ms({"symbols": np.zeros((1, 4), np.uint8)}) == 0.25
    assert polygraphy.calls[1:] == ["execute on 77", "start", "execute on 77", "end"]
    runner._runner.context.is_well = False
    with pytest.raises(BackendError, match="failed while running: TensorRT gave no reason"):
        runner.device_ms({"symbols": np.zeros((1, 4), np.uint8)})


def test_layers_are_those_of_one_run(polygraphy: type[TrtRunner], write_model: WriteModel) -> None:
    runner = EngineRunner(Path("model.engine"), read_interface(write_model(WIRE)))
    for _ in range(2):
        assert runner.layer_ms({"symbols": np.zeros((1, 4), np.uint8)}) == {"product": 0.5, "copy": 0.25}
    assert polygraphy.calls[-1] == "synchronize"


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


def test_the_names_are_polygraphy_s() -> None:
    """What the stand-in above has is what the library has; it loads without TensorRT."""
    trt = pytest.importorskip("polygraphy.backend.trt", reason="the extra trt is not installed")
    common = importlib.import_module("polygraphy.backend.common")
    assert callable(trt.EngineFromBytes)
    assert callable(common.BytesFromPath)
    for method in ("activate", "infer", "deactivate"):
        wanted = list(inspect.signature(getattr(TrtRunner, method)).parameters)
        assert list(inspect.signature(getattr(trt.TrtRunner, method)).parameters)[: len(wanted)] == wanted
    source = inspect.getsource(trt.TrtRunner)
    assert all(text in source for text in ("self.context", "self.stream", "execute_async_v3(self.stream.ptr)"))

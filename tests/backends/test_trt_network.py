"""The TensorRT layer against a recorded protocol of NVIDIA's documented API, one stand-in a version."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_tensorrt import VERSIONS, Fake

from splitc.backends.options import EngineOptions
from splitc.backends.trt_network import Request, build_plan, load_tensorrt
from splitc.errors import BackendError, CapabilityError
from splitc.types import TensorSpec

X, Y = TensorSpec(name="x", dtype="float32", shape=("N", 3)), TensorSpec(name="y", dtype="uint8", shape=("N", 3))
SHAPES = {"x": ((1, 3), (2, 3), (8, 3))}
EVERY = pytest.mark.parametrize("version", VERSIONS)


def fake(version: str) -> Fake:
    return Fake(version, {"x": "FLOAT"}, {"y": "UINT8"})


def request(**details: object) -> Request:
    known = {"model": Path("model.onnx"), "profile": SHAPES, "inputs": (X,), "outputs": (Y,)}
    return Request(**{**known, **details})


@EVERY
def test_the_order_of_calls(version: str) -> None:
    trt = fake(version)
    plan = build_plan(trt.module, request())
    assert plan.data == trt.plan
    assert plan.timing_cache == b"timings"
    flags = {"8.6.2": 1, "10.3.0": 2, "10.16.1": 2, "11.1.0": 0}[version]
    assert trt.calls[:5] == [
        ("create_network", flags),
        ("parse_from_file", "model.onnx"),
        ("config", "profiling_verbosity", "detailed"),
        ("set_shape", "x", (1, 3), (2, 3), (8, 3)),
        ("add_optimization_profile",),
    ]
    assert ("set_timing_cache", b"", False) in trt.calls, "TensorRT keeps no tactics without one"
    assert trt.calls[-1] == ("build_serialized_network",)


@EVERY
def test_precisions_are_flags_only_where_typing_is_weak(version: str) -> None:
    trt = fake(version)
    build_plan(trt.module, request(needs=frozenset({"float16", "int8"})))
    flags = [call[1] for call in trt.calls if call[0] == "set_flag"]
    assert flags == (["FP16", "INT8"] if version == "8.6.2" else [])


@EVERY
def test_progress_is_told_where_it_can_be(version: str) -> None:
    told: list[tuple[str, float | None]] = []
    build_plan(fake(version).module, request(), lambda phase, share: told.append((phase, share)))
    assert told[:2] == [("parse", None), ("build", None)]
    shares = [share for phase, share in told if phase == "Building Engine"]
    assert shares == ([] if version == "8.6.2" else [0.0, 0.25, 0.5, 0.75, 1.0, 1.0])
    assert "tactics" not in dict(told)


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_every_option(version: str, tmp_path: Path) -> None:
    cache = tmp_path / "timing.cache"
    cache.write_bytes(b"measured")
    options = EngineOptions(
        version_compatible=True,
        hardware_compatible=True,
        weight_streaming=True,
        strip_weights=True,
        sparse_weights=True,
        dla_core=1,
        workspace_mb=512,
        optimization_level=4,
        timing_cache=str(cache),
        timing_cache_sha256=hashlib.sha256(b"measured").hexdigest(),
    )
    trt = fake(version)
    build_plan(trt.module, request(options=options))
    flags = [call[1] for call in trt.calls if call[0] == "set_flag"]
    assert set(flags) == {
        *("VERSION_COMPATIBLE", "WEIGHT_STREAMING", "STRIP_PLAN", "REFIT_IDENTICAL", "SPARSE_WEIGHTS"),
        *("GPU_FALLBACK", "ERROR_ON_TIMING_CACHE_MISS"),
    }
    for call in (
        ("config", "hardware_compatibility_level", "ampere+"),
        ("config", "default_device_type", "dla"),
        ("config", "DLA_core", 1),
        ("config", "builder_optimization_level", 4),
        ("set_memory_pool_limit", "workspace", 512 << 20),
        ("set_timing_cache", b"measured", False),
    ):
        assert call in trt.calls


def test_the_flags_are_those_that_the_versions_have() -> None:
    """No option defaults to a flag, so a plain build sets none anywhere."""
    for version in VERSIONS:
        trt = fake(version)
        build_plan(trt.module, request())
        assert not [call for call in trt.calls if call[0] == "set_flag"]


@pytest.mark.parametrize(
    ("option", "flag"), [("weight_streaming", "WEIGHT_STREAMING"), ("strip_weights", "STRIP_PLAN")]
)
def test_an_option_that_the_version_lacks_is_refused(option: str, flag: str) -> None:
    with pytest.raises(CapabilityError, match=f"option {option}: the installed TensorRT has no {flag}"):
        build_plan(fake("8.6.2").module, request(options=EngineOptions(**{option: True})))


def test_a_timing_cache_must_be_the_pinned_one_of_this_gpu(tmp_path: Path) -> None:
    cache = tmp_path / "timing.cache"
    options = EngineOptions(timing_cache=str(cache), timing_cache_sha256="0" * 64)
    trt = fake("10.3.0")
    with pytest.raises(BackendError, match="is not the file"):
        build_plan(trt.module, request(options=options))
    cache.write_bytes(b"other")
    with pytest.raises(BackendError, match="is not the file that timing_cache_sha256 pins"):
        build_plan(trt.module, request(options=options))
    trt.knows_timings = False
    pinned = options.model_copy(update={"timing_cache_sha256": hashlib.sha256(b"other").hexdigest()})
    with pytest.raises(BackendError, match="was measured with another GPU or TensorRT"):
        build_plan(trt.module, request(options=pinned))
    assert ("build_serialized_network",) not in trt.calls


@EVERY
def test_a_refusal_names_the_node(version: str) -> None:
    trt = fake(version)
    trt.faults = [("conv1", "Conv", "no such\n kernel")]
    node = r"0 \(no operator\)" if version == "8.6.2" else r"'conv1' \(Conv\)"
    with pytest.raises(BackendError, match=rf"tensorrt {version} refuses model\.onnx: node {node}: no such kernel\."):
        build_plan(trt.module, request())
    trt.faults, trt.plan = [], None
    with pytest.raises(BackendError, match="layer conv1 has no implementation") as caught:
        build_plan(trt.module, request())
    assert "nobody minds" not in str(caught.value)


@EVERY
def test_a_changed_port_is_refused(version: str) -> None:
    trt = Fake(version, {"x": "FLOAT"}, {"y": "INT8"})
    with pytest.raises(BackendError, match=r"outputs would be \{'y': 'int8'\}, the model's are \{'y': 'uint8'\}"):
        build_plan(trt.module, request())


def test_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(CapabilityError, match=r"tensorrt cannot be loaded .* it comes with JetPack"):
        load_tensorrt()
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="8.5.2"))
    with pytest.raises(CapabilityError, match=r"TensorRT 8\.5\.2 is installed; splitc builds with 8\.6"):
        load_tensorrt()
    monkeypatch.setitem(sys.modules, "tensorrt", fake("10.16.1").module)
    assert load_tensorrt().__version__ == "10.16.1"

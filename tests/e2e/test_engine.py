"""``splitc engine``: what a bundle left to its device is built there, known again, and refused when it is stale."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from e2e_setting import build, cli, file_bytes, setting, write_setting

from splitc.backends import BACKENDS, trt_run
from splitc.backends import tensorrt as backend
from splitc.backends import tensorrt_rtx as rtx
from splitc.backends.gpu import Gpu
from splitc.bundle import open_bundle
from splitc.files import locked
from splitc.runtime import EdgeHalf, engine_folder, find_order

sys.path.append(str(Path(__file__).parents[1] / "backends"))
from fake_tensorrt import Base, Fake

ORIN = Gpu("Orin", 87, (12, 6), 6 << 30)
ORDER = "edge/engines/jetson-orin-nx/build.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_setting(tmp_path_factory.mktemp("engine"))
    target = setting("target.edge.backend=tensorrt", "target.edge.device=jetson-orin-nx")
    assert build(folder, folder / "out", *target).code == 0
    return folder


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "out", tmp_path / "out"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("SPLITC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def place(bundle: Path) -> Path:
    """Where the engine of this bundle belongs."""
    opened = open_bundle(bundle, verify=False)
    return engine_folder(opened, find_order(opened, "edge"))


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """An Orin with TensorRT 10.3, as far as anyone can tell from its API."""
    trt = Fake("10.3.0", {"image": "FLOAT"}, {"block/out_symbols": "UINT8"})
    monkeypatch.setitem(sys.modules, "tensorrt", trt.module)
    monkeypatch.setattr(backend, "find_gpu", lambda: ORIN)
    return trt


def ports(bundle: Path, trt: Fake) -> None:
    """Give the stand-in the ports of the real half."""
    order = json.loads((bundle / ORDER).read_text())
    names = {"float32": "FLOAT", "uint8": "UINT8"}
    trt.tensors = tuple({one["name"]: names[one["dtype"]] for one in order[kind]} for kind in ("inputs", "outputs"))


def engine(bundle: Path, *arguments: object) -> tuple[int, dict[str, object], str]:
    outcome = cli("engine", bundle, "--side", "edge", "--json", *arguments)
    return outcome.code, outcome.document if outcome.code == 0 else {}, outcome.err


def test_an_engine_is_built_once_and_known_again(bundle: Path, device: Fake) -> None:
    ports(bundle, device)
    code, document, err = engine(bundle)
    assert (code, document["status"]) == (0, "built"), err
    assert "Building Engine: 50%, about" in err
    assert (place(bundle) / "model.engine").read_bytes() == device.plan
    assert sorted(path.name for path in place(bundle).iterdir()) == ["engine.json", "model.engine", "timing.cache"]
    parts = document["parts"]
    assert isinstance(parts, dict)
    assert (parts["compute_capability"], parts["tensorrt"], parts["driver_cuda_major"]) == (87, "10.3.0", 12)
    device.calls.clear()
    assert engine(bundle)[1]["status"] == "current"
    assert device.calls == []
    assert engine(bundle, "--force")[1]["status"] == "built"
    assert cli("engine", bundle, "--side", "edge", "--check").code == 0


def test_nothing_of_it_is_in_the_bundle(bundle: Path, made: Path, device: Fake) -> None:
    ports(bundle, device)
    assert engine(bundle)[0] == 0
    assert file_bytes(bundle) == file_bytes(made / "out")


def test_what_build_sh_made_is_neither_listed_nor_loaded(made: Path, device: Fake, tmp_path: Path) -> None:
    out = made / "other"
    target = setting("target.edge.backend=tensorrt", "target.edge.device=jetson-orin-nx")
    assert build(made, out, *target).code == 0
    ports(out, device)
    built = (out / ORDER).with_name("built")
    built.mkdir()
    (built / "model.engine").write_bytes(b"from elsewhere")
    assert cli("verify", out, "--lint").code == 0
    code, _, err = engine(out, "--check")
    assert code == 1
    assert "no engine has been built here" in err
    assert build(made, out, *target).code == 0
    assert file_bytes(out) == file_bytes(made / "out")
    built.symlink_to(tmp_path)
    code, _, err = engine(out)
    assert code == 2
    assert "is a symbolic link" in err


@pytest.mark.parametrize("change", ["tensorrt", "driver", "options", "engine", "record"])
def test_a_stale_engine_is_refused_with_the_reason(
    change: str, bundle: Path, device: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports(bundle, device)
    assert engine(bundle)[0] == 0
    arguments, reason = [], ""
    if change == "tensorrt":
        device.module.__version__, reason = "10.16.1", "tensorrt was 10.3.0 and is 10.16.1"
    elif change == "driver":
        monkeypatch.setattr(backend, "find_gpu", lambda: Gpu("Orin", 87, (13, 0), 6 << 30))
        reason = "driver_cuda_major was 12 and is 13"
    elif change == "options":
        arguments, reason = ["--set", "workspace_mb=64"], "workspace_mb"
    elif change == "engine":
        (place(bundle) / "model.engine").write_bytes(b"PLAN of 10.3.0")
        reason = "damaged or replaced"
    else:
        (place(bundle) / "engine.json").unlink()
        reason = "built by build.sh or copied"
    code, _, err = engine(bundle, "--check", *arguments)
    assert code == 1
    assert reason in err
    assert "run splitc engine" in err
    assert engine(bundle, *arguments)[1]["status"] == "built"
    assert engine(bundle, "--check", *arguments)[0] == 0


@pytest.mark.parametrize(
    ("gpu", "version", "code", "message"),
    [
        (
            Gpu("RTX", 89, (12, 6), 6 << 30),
            "10.3.0",
            3,
            "RTX is SM89 and the bundle's edge target jetson-orin-nx is SM87",
        ),
        (Gpu("Orin", 87, (12, 6), 1 << 20), "10.3.0", 3, "the GPU has 1 MiB free and this build needs"),
        (None, "10.3.0", 3, "no NVIDIA GPU or no driver here"),
        (ORIN, "11.1.0", 3, "TensorRT 11.1.0 is installed and the bundle was made for 10.3"),
    ],
    ids=["capability", "memory", "no-gpu", "major"],
)
def test_a_machine_that_is_not_the_target(
    gpu: Gpu | None, version: str, code: int, message: str, bundle: Path, device: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports(bundle, device)
    device.module.__version__ = version
    monkeypatch.setattr(backend, "find_gpu", lambda: gpu)
    found, _, err = engine(bundle)
    assert found == code
    assert message in err
    assert not (place(bundle) / "model.engine").exists()


def test_a_failed_build_leaves_the_engine_that_was_there(bundle: Path, device: Fake) -> None:
    ports(bundle, device)
    assert engine(bundle)[0] == 0
    before = file_bytes(place(bundle))
    device.plan = None
    code, _, err = engine(bundle, "--force")
    assert code == 2
    assert "layer conv1 has no implementation" in err
    assert file_bytes(place(bundle)) == before


def test_one_build_at_a_time(bundle: Path, device: Fake) -> None:
    ports(bundle, device)
    place(bundle).mkdir(parents=True)
    with locked(place(bundle) / "model.engine"):
        code, _, err = engine(bundle)
    assert code == 2
    assert "another process builds this engine" in err


def test_a_changed_model_is_a_damaged_bundle(bundle: Path, device: Fake) -> None:
    model = bundle / "edge/model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\x00")
    code, _, err = engine(bundle)
    assert code == 2
    assert "edge/model.onnx has sha256" in err


def replace(bundle: Path, path: Path, data: bytes) -> None:
    """Write a file and what the manifest says of it."""
    path.write_bytes(data)
    manifest = json.loads((bundle / "manifest.json").read_text())
    name = path.relative_to(bundle).as_posix()
    manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def test_an_order_nested_too_deeply(bundle: Path, device: Fake) -> None:
    replace(bundle, bundle / ORDER, b"[" * 100_000)
    code, _, err = engine(bundle)
    assert code == 2
    assert "nested too deeply" in err


def test_a_folder_in_the_record_s_place(bundle: Path, device: Fake) -> None:
    ports(bundle, device)
    assert engine(bundle)[0] == 0
    (place(bundle) / "engine.json").unlink()
    (place(bundle) / "engine.json").mkdir()
    code, _, err = engine(bundle)
    assert code == 3
    assert "cannot be written" in err


@pytest.mark.parametrize("said", ["[1]", '{"precision": [1]}', '{"precision": {"edge": "fp8"}}', '{"precision": 5}'])
def test_a_precision_that_is_none(said: str, bundle: Path) -> None:
    replace(bundle, bundle / "report.json", said.encode())
    outcome = cli("profile", bundle, "--side", "edge", "--samples", 1)
    assert outcome.code == 2
    assert "report.json: precision.edge: is not one of fp32, fp16, int8" in outcome.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "another"}, "is not of this bundle"),
        ({"model": "cloud/model.onnx"}, "is not of this bundle"),
        ({"sources": {"edge/model.onnx": "0" * 64}}, "is not of this bundle"),
        ({"sources": {"../../etc/passwd": "0" * 64}, "model": "../../etc/passwd"}, "is not of this bundle"),
        ({"side": "cloud"}, "is not of this bundle"),
        ({"options": {"dla_core": 99}}, "options.dla_core"),
        ({"shapes": {"image": 3}}, "shapes.image"),
        ({"options": {"timing_cache": "/dev/zero", "timing_cache_sha256": "0" * 64}}, "may not name a timing cache"),
        ({"tensorrt": "10.3\nrm -rf"}, "tensorrt: String should match"),
        ({"backend": "rm -rf"}, "unknown backend 'rm -rf'"),
        ({"more": 1}, "more"),
    ],
)
def test_an_order_that_nobody_vouches_for(change: dict[str, object], message: str, bundle: Path, device: Fake) -> None:
    """Whoever wrote build.json also wrote the manifest: what it says is checked against the bundle all the same."""
    path, cached = bundle / ORDER, place(bundle)
    replace(bundle, path, json.dumps({**json.loads(path.read_text()), **change}).encode())
    code, _, err = engine(bundle)
    assert code == 2
    assert message in err
    assert not cached.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--side", "egde"], "--side: must be edge or cloud"),
        (["--side", "cloud"], "no cloud engine is left to be built"),
        (["--side", "edge", "--target", "jetson-orin-nxx"], "Did you mean 'jetson-orin-nx'"),
        (["--side", "edge", "--set", "workspace_mb"], "is not NAME=VALUE"),
        (["--side", "edge", "--set", "workspace_mb=-1"], "workspace_mb"),
        (["--side", "edge", "--set", "wrokspace_mb=1"], "wrokspace_mb"),
        (["--side", "edge", "--check", "--force"], "--force does not go with --check: it builds nothing"),
    ],
)
def test_usage(arguments: list[str], message: str, bundle: Path, device: Fake) -> None:
    outcome = cli("engine", bundle, *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_an_empty_cache_variable_is_none(
    bundle: Path, device: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports(bundle, device)
    for name, value in (("SPLITC_CACHE", ""), ("XDG_CACHE_HOME", ""), ("HOME", str(tmp_path / "home"))):
        monkeypatch.setenv(name, value)
    assert Path(str(engine(bundle)[1]["path"])).is_relative_to(tmp_path / "home/.cache/splitc/engines")


def test_another_place(bundle: Path, device: Fake, tmp_path: Path) -> None:
    ports(bundle, device)
    code, document, _ = engine(bundle, "--out", tmp_path / "here")
    assert (code, document["path"]) == (0, str(tmp_path / "here/model.engine"))
    assert not place(bundle).exists()


class Runner:
    """Polygraphy's runner, as far as its documentation says."""

    def __init__(self, engine: bytes) -> None:
        self.stream = SimpleNamespace(ptr=77, synchronize=lambda: None)
        self.context = SimpleNamespace(profiler=None, execute_async_v3=self.execute)

    def execute(self, stream: int) -> bool:
        if self.context.profiler is not None:
            self.context.profiler.report_layer_time("Conv_0 + Relu_1", 0.5)
        return True

    def activate(self) -> None: ...

    def deactivate(self) -> None: ...

    def infer(self, feed_dict: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise AssertionError("each test says what its engine answers")


@pytest.fixture
def polygraphy(bundle: Path, device: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime's side of the stand-in."""
    ports(bundle, device)
    outputs = list(device.tensors[1])
    monkeypatch.setattr(Runner, "infer", lambda self, feeds: {name: np.zeros(1, np.uint8) for name in outputs})
    for name, members in (
        ("polygraphy.backend.trt", {"TrtRunner": Runner, "EngineFromBytes": lambda data: data}),
        ("polygraphy.backend.common", {"BytesFromPath": lambda path: Path(path).read_bytes()}),
    ):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**members))
    device.module.IProfiler = Base
    monkeypatch.setattr(trt_run, "elapsed_ms", lambda stream, work: work() or 0.25)


def test_a_built_engine_is_profiled(bundle: Path, polygraphy: None) -> None:
    arguments = ["--side", "edge", "--engine", "--samples", 5, "--warmup", 1, "--json"]
    refused = cli("profile", bundle, *arguments)
    assert refused.code == 1
    assert "no engine has been built here" in refused.err
    assert engine(bundle)[0] == 0
    outcome = cli("profile", bundle, *arguments)
    assert outcome.code == 0, outcome.err
    document = outcome.document
    assert (document["backend"], document["backend_version"], document["threads"]) == ("tensorrt", "10.3.0", None)
    assert (document["samples"], document["device_ms"]["p99"]) == (5, 0.25)
    assert [(layer["name"], layer["median_ms"]) for layer in document["layers"]] == [("Conv_0 + Relu_1", 0.5)]


def test_a_pair_runs_with_its_engine(
    bundle: Path, made: Path, polygraphy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the engine gives is coded and answered as what ONNX Runtime gives would be."""
    pictures = sorted((made / "pictures").glob("*.png"))[:2]
    refused = cli("run", bundle, *pictures, "--engine")
    assert refused.code == 1
    assert "no engine has been built here" in refused.err
    assert engine(bundle)[0] == 0
    edge = EdgeHalf(open_bundle(bundle))
    monkeypatch.setattr(Runner, "infer", lambda self, feeds: edge.runner.run(feeds))
    outcome = cli("run", bundle, *pictures, "--engine", "--json")
    assert outcome.code == 0, outcome.err
    here = cli("run", bundle, *pictures, "--json")
    told = [[(one["answer"], one["payload_bytes"]) for one in which.document["results"]] for which in (outcome, here)]
    assert told[0] == told[1]


def test_an_engine_is_profiled_as_it_was_asked_for(bundle: Path, polygraphy: None, tmp_path: Path) -> None:
    """Its options, its target and its folder: whatever splitc engine was given."""
    asked = ["--target", "jetson-orin-nx", "--set", "workspace_mb=64"]
    assert engine(bundle, *asked, "--out", tmp_path / "here")[0] == 0
    arguments = ["--engine", "--samples", 1, "--json"]
    stale = cli("profile", bundle, *arguments, "--engine-folder", tmp_path / "here")
    assert stale.code == 1
    assert "workspace_mb" in stale.err
    outcome = cli("profile", bundle, *arguments, *asked, "--engine-folder", tmp_path / "here")
    assert outcome.code == 0, outcome.err
    assert "Did you mean 'jetson-orin-nx'" in cli("profile", bundle, *arguments, "--target", "jetson-orin-n").err
    assert "is not NAME=VALUE" in cli("profile", bundle, *arguments, "--set", "workspace_mb").err


def test_an_engine_without_weights_is_not_run(bundle: Path, polygraphy: None) -> None:
    stripped = ["--set", "strip_weights=true"]
    assert engine(bundle, *stripped)[0] == 0
    outcome = cli("profile", bundle, "--engine", *stripped)
    assert outcome.code == 3
    assert "was built without its weights" in outcome.err
    assert engine(bundle, "--set", "strip_weights=false")[1]["status"] == "built"
    assert cli("profile", bundle, "--engine", "--set", "strip_weights=false", "--samples", 1).code == 0


@pytest.mark.trt
def test_what_the_extra_s_absence_deferred_is_finished_where_it_is(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("tensorrt_rtx_bindings") is None:
        pytest.skip("the trt-rtx extra is not installed")
    target = setting("target.cloud.backend=tensorrt_rtx", "target.cloud.device=l4")
    with monkeypatch.context() as without:
        without.setattr(rtx, "_EXTRA", ("no_such_module",))
        assert build(made, tmp_path / "waits", *target).code == 0
    assert build(made, tmp_path / "whole", *target).code == 0
    outcome = cli("engine", tmp_path / "waits", "--side", "cloud", "--json")
    assert (outcome.code, outcome.document["status"]) == (0, "built"), outcome.err
    built = Path(outcome.document["path"]).read_bytes()
    assert built == (tmp_path / "whole/cloud/engines/l4/model.engine").read_bytes()
    assert cli("engine", tmp_path / "waits", "--side", "cloud", "--check").code == 0
    assert BACKENDS.make("tensorrt_rtx", {}).probe().ok

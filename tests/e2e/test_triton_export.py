"""``splitc triton``: model folders that stand for themselves, without a server."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import pytest
from e2e_setting import SIDE, build, cli, file_bytes, setting

from splitc.bundle import open_bundle
from splitc.errors import SplitcError
from splitc.runtime import CloudHalf, EdgeHalf

text_format = pytest.importorskip("google.protobuf.text_format", reason="needs splitc[serve]")
json_format = pytest.importorskip("google.protobuf.json_format", reason="needs splitc[serve]")
model_config = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="needs splitc[serve]")


@pytest.fixture(scope="module")
def temporal(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose frames are predicted."""
    out = tmp_path_factory.mktemp("temporal") / "tiny"
    assert build(source, out, *setting("codec.temporal=difference")).code == 0
    return out


def exported(bundle: Path, out: Path, *more: object) -> Path:
    outcome = cli("triton", bundle, "--out", out, "--json", *more)
    assert outcome.code == 0, outcome.err
    return out


def config_of(model: Path) -> Any:
    return text_format.Parse((model / "config.pbtxt").read_text("utf-8"), model_config.ModelConfig())


class Request(dict[str, np.ndarray]):
    """Inputs by name, perhaps of a sequence."""

    key: int | str = 0
    bits: int = 0

    def of(self, key: int | str, bits: int = 0) -> Request:
        self.key, self.bits = key, bits
        return self

    def correlation_id(self) -> int | str:
        return self.key

    def flags(self) -> int:
        return self.bits


def stand_in() -> ModuleType:
    """Of what Triton gives its Python models."""

    class Tensor:
        def __init__(self, name: str, array: np.ndarray) -> None:
            self.name, self.array = name, array

        @classmethod
        def from_dlpack(cls, name: str, array: np.ndarray) -> Tensor:
            return cls(name, array)

        def as_numpy(self) -> np.ndarray:
            return self.array

    class TritonError(str):
        INVALID_ARG, INTERNAL = "invalid", "internal"

        def __new__(cls, words: str, code: str) -> TritonError:
            error = super().__new__(cls, words)
            error.code = code
            return error

    class InferenceResponse:
        def __init__(self, outputs: Any = (), error: Any = None) -> None:
            self.outputs, self.error = {one.name: one.array for one in outputs}, error

    module = ModuleType("triton_python_backend_utils")
    vars(module).update(
        Tensor=Tensor,
        InferenceResponse=InferenceResponse,
        TritonError=TritonError,
        TRITONSERVER_REQUEST_FLAG_SEQUENCE_START=1,
        TRITONSERVER_REQUEST_FLAG_SEQUENCE_END=2,
        get_input_tensor_by_name=lambda request, name: Tensor(name, request[name]),
    )
    return module


def loaded(model: Path, module: str) -> Any:
    """The Python model, initialized as Triton does."""
    with mock.patch.dict(sys.modules, {"triton_python_backend_utils": stand_in()}):
        sys.modules.pop(f"splitc.runtime.triton.{module}", None)
        space: dict[str, Any] = {}
        exec((model / "1/model.py").read_text(), space)
    config = json_format.MessageToDict(config_of(model), preserving_proto_field_name=True)
    config.setdefault("max_batch_size", 0)
    one = space["TritonPythonModel"]()
    one.initialize({"model_repository": str(model), "model_version": "1", "model_config": json.dumps(config)})
    return one


def sample() -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(1).standard_normal((1, 3, SIDE, SIDE)).astype(np.float32)}


def through(decode: Path, tail: Path, packet: bytes) -> dict[str, np.ndarray]:
    """Answers of the two models."""
    (wire,) = loaded(decode, "decode").execute([Request(packet=np.frombuffer(packet, np.uint8))])
    assert wire.error is None
    (answer,) = loaded(tail, "tail").execute([Request(wire.outputs)])
    assert answer.error is None
    return dict(answer.outputs)


def test_each_folder_stands_for_itself(bundle: Path, tmp_path: Path) -> None:
    """Copied apart, linked, the bundle and the repository not there: the answers of one process, bit for bit."""
    opened = open_bundle(bundle)
    edge, cloud = EdgeHalf(opened), CloudHalf(opened)
    packet = edge.encode(edge.symbols(sample()))
    want = cloud.answer(cloud.decode(packet))
    models = exported(bundle, tmp_path / "models")
    shutil.copytree(models / "tiny_decode", tmp_path / "a/d")
    shutil.move(models / "tiny_tail", tmp_path / "moved")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/t").symlink_to(tmp_path / "moved")
    shutil.rmtree(models)
    got = through(tmp_path / "a/d", tmp_path / "b/t", packet)
    assert got.keys() == want.keys()
    assert all(np.array_equal(got[name], want[name]) for name in want)


def test_the_bundles_own_repository_answers_too(bundle: Path) -> None:
    opened = open_bundle(bundle)
    edge = EdgeHalf(opened)
    packet = edge.encode(edge.symbols(sample()))
    cpu = bundle / "cloud/triton/cpu"
    cloud = CloudHalf(opened)
    want = cloud.answer(cloud.decode(packet))
    assert np.array_equal(through(cpu / "tiny_decode", cpu / "tiny_tail", packet)["logits"], want["logits"])


def test_bytecode_of_the_bundles_own_models_is_removed(bundle: Path, tmp_path: Path) -> None:
    """Triton's Python writes it whatever the environment says; elsewhere it would count as damage."""
    shutil.copytree(bundle, tmp_path / "bundle")
    decode = tmp_path / "bundle/cloud/triton/cpu/tiny_decode"
    (decode / "1/__pycache__").mkdir()
    (decode / "1/__pycache__/model.cpython-311.pyc").write_bytes(b"bytecode")
    loaded(decode, "decode")
    assert open_bundle(tmp_path / "bundle").name == "tiny"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("count: 1", "count: 4"),
        ("max_queue_size: 256", "max_queue_size: 9"),
        ("dynamic_batching {", "dynamic_batching { max_queue_delay_microseconds: 500 priority_levels: 2"),
        ("max_batch_size: 8", "max_batch_size: 32"),
        ("model_warmup", "# mine\nmodel_warmup"),
    ],
)
def test_configurations_may_be_changed(bundle: Path, tmp_path: Path, old: str, new: str) -> None:
    tail = exported(bundle, tmp_path / "models") / "tiny_tail"
    text = (tail / "config.pbtxt").read_text()
    assert old in text
    (tail / "config.pbtxt").write_text(text.replace(old, new))
    loaded(tail, "tail")


def spoil_contract(folder: Path) -> None:
    path = folder / "1/bundle/contract.json"
    path.write_bytes(path.read_bytes().replace(b"tiny", b"tinx", 1))


def spoil_model(folder: Path) -> None:
    path = folder / "1/bundle/cloud/model.onnx"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def spoil_pair(folder: Path) -> None:
    path = folder / "config.pbtxt"
    pair = config_of(folder).parameters["pair_id"].string_value
    path.write_text(path.read_text().replace(pair, "0" * 64))


@pytest.mark.parametrize(
    ("part", "spoil", "words"),
    [
        ("decode", spoil_contract, "contract.json"),
        ("tail", spoil_contract, "contract.json"),
        ("tail", spoil_model, r"model\.onnx: (has changed|.*)"),
        ("decode", spoil_pair, "names pair 000000000000.*export the repository again"),
        ("tail", spoil_pair, "names pair 000000000000.*export the repository again"),
        ("tail", lambda folder: (folder / "1/bundle/cloud/model.onnx").unlink(), "model.onnx"),
        ("decode", lambda folder: (folder / "1/bundle/manifest.json").unlink(), "manifest.json"),
    ],
)
def test_what_answers_depend_on_is_checked(bundle: Path, tmp_path: Path, part: str, spoil: Any, words: str) -> None:
    folder = exported(bundle, tmp_path / "models") / f"tiny_{part}"
    spoil(folder)
    with pytest.raises(SplitcError, match=words):
        loaded(folder, part)


def test_predicted_frames_need_their_sequences(temporal: Path, tmp_path: Path) -> None:
    decode = exported(temporal, tmp_path / "models") / "tiny_decode"
    loaded(decode, "decode")
    text = (decode / "config.pbtxt").read_text()
    (decode / "config.pbtxt").write_text(text[: text.index("sequence_batching")])
    with pytest.raises(SplitcError, match="needs sequence_batching; put it back"):
        loaded(decode, "decode")


def test_the_gpu_variant_has_its_build_step(bundle: Path, tmp_path: Path) -> None:
    """trtexec is played by a script that notes its arguments."""
    models = exported(bundle, tmp_path / "models", "--variant", "gpu")
    version = models / "tiny_tail/1"
    assert sorted(path.name for path in version.iterdir()) == ["build.sh", "bundle"]
    config = config_of(models / "tiny_tail")
    assert (config.platform, config.max_batch_size) == ("tensorrt_plan", 8)
    player = tmp_path / "trtexec"
    player.write_text('#!/bin/sh\nfor a; do case $a in --saveEngine=*) echo "$@" > "${a#--saveEngine=}";; esac; done\n')
    player.chmod(0o755)
    done = subprocess.run(
        ["sh", version / "build.sh"], env={**os.environ, "TRTEXEC": str(player)}, cwd="/", timeout=60, check=False
    )
    assert done.returncode == 0
    said = (version / "model.plan").read_text().split()
    assert said[0] == "--onnx=bundle/cloud/model.onnx"
    assert "--stronglyTyped" in said
    assert any(word.startswith("--maxShapes=") and ":8x8x16x16" in word for word in said)
    spoil_model(models / "tiny_tail")
    failed = subprocess.run(["sh", version / "build.sh"], capture_output=True, timeout=60, check=False)
    assert (failed.returncode, b"not the one of this bundle" in failed.stderr) == (2, True)


def test_a_tensorrt_target_decides_the_step(source: Path, tmp_path: Path) -> None:
    asked = ["target.cloud.backend=tensorrt", "target.cloud.compute_capabilities=[86]"]
    assert build(source, tmp_path / "b", *setting(*asked, "target.cloud.options={workspace_mb=77}")).code == 0
    outcome = cli("triton", tmp_path / "b", "--out", tmp_path / "models", "--variant", "gpu", "--json")
    assert (outcome.code, outcome.document["engine"]) == (0, "to build")
    assert "77" in Path(outcome.document["script"]).read_text()
    other = cli("triton", tmp_path / "b", "--out", tmp_path / "more", "--variant", "gpu", "--target", "none")
    assert (other.code, "no cloud engine is left to be built for 'none'" in other.err) == (2, True)
    assert not (tmp_path / "more").exists()


def test_a_repository_holds_several_bundles_and_nothing_is_replaced(bundle: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    (models / "other/1").mkdir(parents=True)
    exported(bundle, models)
    before = file_bytes(models)
    again = cli("triton", bundle, "--out", models)
    assert (again.code, "may have been changed by hand" in again.err) == (2, True)
    assert file_bytes(models) == before
    assert {path.name for path in models.iterdir() if not path.name.startswith(".")} == {
        "other",
        "tiny",
        "tiny_decode",
        "tiny_tail",
    }


def test_an_export_is_the_same_bytes_again_and_leaves_the_bundle(bundle: Path, tmp_path: Path) -> None:
    before = hashlib.sha256(repr(sorted(file_bytes(bundle).items())).encode()).hexdigest()
    one, two = (file_bytes(exported(bundle, tmp_path / name)) for name in ("one", "two"))
    assert one == two
    assert hashlib.sha256(repr(sorted(file_bytes(bundle).items())).encode()).hexdigest() == before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--variant", "tpu"], "must be cpu or gpu, got 'tpu'"),
        (["--target", "l4"], "add --variant gpu"),
    ],
)
def test_options_are_checked(bundle: Path, tmp_path: Path, more: list[str], words: str) -> None:
    outcome = cli("triton", bundle, "--out", tmp_path / "models", *more)
    assert (outcome.code, words in outcome.err) == (2, True)
    assert not (tmp_path / "models").exists()


def test_nothing_is_put_into_the_bundle(bundle: Path) -> None:
    outcome = cli("triton", bundle, "--out", bundle / "models")
    assert (outcome.code, "lies in the bundle" in outcome.err) == (2, True)


def test_the_kserve_manifest_asks_for_a_gpu_where_it_needs_one(bundle: Path, tmp_path: Path) -> None:
    for variant in ("cpu", "gpu"):
        models = exported(bundle, tmp_path / variant, "--variant", variant)
        model = json.loads((models / "tiny/kserve.json").read_text())["spec"]["predictor"]["model"]
        assert ("resources" in model) == (variant == "gpu")
        assert "--model-repository=/mnt/models" in model["args"]


def test_two_builds_of_one_name_lie_side_by_side(bundle: Path, temporal: Path, tmp_path: Path) -> None:
    models = exported(bundle, tmp_path / "models", "--by-pair")
    exported(temporal, models, "--by-pair")
    pairs = [open_bundle(path).pair_id for path in (bundle, temporal)]
    names = {f"tiny.{pair[:12]}{part}" for pair in pairs for part in ("", "_decode", "_tail")}
    assert {path.name for path in models.iterdir() if not path.name.startswith(".")} == names
    for pair in pairs:
        whole = config_of(models / f"tiny.{pair[:12]}")
        assert whole.name == f"tiny.{pair[:12]}"
        assert [step.model_name for step in whole.ensemble_scheduling.step] == [
            f"tiny.{pair[:12]}_decode",
            f"tiny.{pair[:12]}_tail",
        ]
        assert whole.parameters["pair_id"].string_value == pair


def test_a_repository_is_checked_where_it_will_run(bundle: Path, temporal: Path, tmp_path: Path) -> None:
    models = exported(bundle, tmp_path / "models")
    exported(temporal, models, "--by-pair")
    (models / "stranger/1").mkdir(parents=True)
    outcome = cli("triton", models, "--check", "--json")
    assert outcome.code == 0, outcome.err
    found = {one["model"]: one for one in outcome.document["models"]}
    assert len(found) == 4
    assert found["tiny_decode"]["notes"] == ["the packet decodes"]
    assert found["tiny_tail"]["notes"] == ["the tail ran on zeros"]
    assert cli("triton", models, "--check").out.count("pair ") == 4
    spoil_model(models / "tiny_tail")
    outcome = cli("triton", models, "--check", "--json")
    assert (outcome.code, "tiny_tail/1: " in outcome.err) == (1, True)
    assert [bool(one["fault"]) for one in outcome.document["models"]].count(True) == 1


def test_a_plan_that_is_not_built_is_named(bundle: Path, tmp_path: Path) -> None:
    models = exported(bundle, tmp_path / "models", "--variant", "gpu")
    outcome = cli("triton", models, "--check")
    assert (outcome.code, "model.plan: is not built; sh " in outcome.err) == (1, True)
    (models / "tiny_tail/1/model.plan").write_bytes(b"a plan")
    assert "the plan is there, and was not tried" in cli("triton", models, "--check").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--check", "--out", "x"], "--out: --check reads a repository"),
        (["--check", "--by-pair"], "--by-pair: --check reads"),
        ([], "--out: name the repository"),
        (["--check"], "holds no model of splitc"),
    ],
)
def test_check_and_out_exclude_each_other(bundle: Path, words: list[str], message: str) -> None:
    outcome = cli("triton", bundle, *words)
    assert (outcome.code, message in outcome.err) == (2, True)


def test_a_damaged_packet_fails_when_it_is_loaded(bundle: Path, tmp_path: Path) -> None:
    decode = exported(bundle, tmp_path / "models") / "tiny_decode"
    packet = decode / "1/self-test/packet"
    packet.write_bytes(packet.read_bytes()[:-1])
    with pytest.raises(SplitcError, match="does not decode as it did when it was made"):
        loaded(decode, "decode")


def test_sequences_have_decoders_of_their_own_and_end(temporal: Path, tmp_path: Path) -> None:
    """Numbers and texts; an empty packet with END is answered with zeros."""
    models = exported(temporal, tmp_path / "models")
    decode = loaded(models / "tiny_decode", "decode")
    edges = {key: EdgeHalf(open_bundle(temporal)) for key in (7, "7", "cam-8")}
    for bits in (1, 0):
        for key, edge in edges.items():
            packet = np.frombuffer(edge.encode(edge.symbols(sample())), np.uint8)
            (answer,) = decode.execute([Request(packet=packet).of(key, bits)])
            assert answer.error is None
    (last,) = decode.execute([Request(packet=np.empty(0, np.uint8)).of("cam-8", 2)])
    assert last.error is None
    assert not any(np.any(array) for array in last.outputs.values())
    edge = edges["cam-8"]
    packet = np.frombuffer(edge.encode(edge.symbols(sample())), np.uint8)
    (late,) = decode.execute([Request(packet=packet).of("cam-8")])
    assert (late.error.code, "bitstream: " in late.error) == ("invalid", True)


def test_one_bad_request_fails_alone(bundle: Path, tmp_path: Path) -> None:
    """Of a batch: another number of columns, another pair's packet, a fault of ours."""
    models = exported(bundle, tmp_path / "models")
    decode, tail = loaded(models / "tiny_decode", "decode"), loaded(models / "tiny_tail", "tail")
    edge = EdgeHalf(open_bundle(bundle))
    good = np.frombuffer(edge.encode(edge.symbols(sample())), np.uint8)
    foreign = np.r_[good[:2], 255 - good[2:6], good[6:]]
    answers = decode.execute([Request(packet=one) for one in (good, foreign, good[:9], good)] + [Request()])
    assert [one.error and one.error.code for one in answers] == [None, "invalid", "invalid", None, "internal"]
    wire = answers[0].outputs
    ((name, symbols),) = wire.items()
    answers = tail.execute([Request(wire), Request({name: symbols[..., 1:]}), Request(wire)])
    assert [one.error and one.error.code for one in answers] == [None, "internal", None]
    assert np.allclose(answers[0].outputs["logits"], answers[2].outputs["logits"])

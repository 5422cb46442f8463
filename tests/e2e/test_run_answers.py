"""What ``splitc run`` keeps of its answers: drawn pictures and videos, and the outputs themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from e2e_setting import cli, file_bytes, listing
from PIL import Image

from splitc.bundle import open_bundle
from splitc.runtime import CloudHalf, EdgeHalf, Reader, find_files, run_pair

av = pytest.importorskip("av", reason="the video extra is not installed")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Five frames of 48 x 36 at 10 frames a second."""
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 36, "yuv420p"
        for index in range(5):
            pixels = np.full((36, 48, 3), 40 * index, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        out.mux(stream.encode(None))
    return path


def test_pictures_are_drawn_in_their_own_size(source: Path, bundle: Path, tmp_path: Path) -> None:
    before = file_bytes(source)
    plain = cli("run", bundle, source / "pictures", "--json").document
    outcome = cli("run", bundle, source / "pictures", "--json", "--draw", tmp_path / "a/b")
    assert outcome.code == 0, outcome.err
    assert [one["answer"] for one in outcome.document["results"]] == [one["answer"] for one in plain["results"]]
    assert listing(tmp_path / "a/b") == {f"picture{index:02}.png" for index in range(12)}
    original = Image.open(source / "pictures/picture00.png").convert("RGB")
    drawn = Image.open(tmp_path / "a/b/picture00.png")
    assert drawn.size == original.size
    changed = np.any(np.asarray(drawn) != np.asarray(original), axis=-1)
    assert 0 < changed.mean() < 1
    assert file_bytes(source) == before


def test_outputs_are_saved_as_the_pair_gave_them(source: Path, bundle: Path, tmp_path: Path) -> None:
    outcome = cli("run", bundle, source / "pictures", "--json", "--save-outputs", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    opened = open_bundle(bundle)
    edge, cloud = EdgeHalf(opened), CloudHalf(opened)
    files = find_files([str(source / "pictures")], Path())
    reader = Reader(edge.contract.inputs, edge.contract.preprocess)
    for result in run_pair(edge, cloud, reader.samples(files)):
        saved = dict(np.load(tmp_path / "out" / f"{Path(result.name).stem}.npz"))
        assert saved.keys() == result.outputs.keys()
        for name, array in result.outputs.items():
            np.testing.assert_array_equal(saved[name], array)
    assert len(listing(tmp_path / "out")) == len(files)


def test_a_video_in_gives_a_video_out(bundle: Path, video: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    outcome = cli("run", bundle, video, "--json", "--draw", folder, "--save-outputs", folder)
    assert outcome.code == 0, outcome.err
    assert listing(folder) == {"film.mp4", *(f"film-{index}.npz" for index in range(5))}
    with av.open(str(folder / "film.mp4")) as opened:
        stream = opened.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (48, 36, 10)
        assert len(list(opened.decode(stream))) == 5


def test_a_client_draws_what_one_process_draws(source: Path, bundle: Path, video: Path, tmp_path: Path) -> None:
    pytest.importorskip("grpc", reason="the serve extra is not installed")
    from serving import serving

    for inputs in (source / "pictures", video):
        here, there = tmp_path / f"here-{inputs.stem}", tmp_path / f"there-{inputs.stem}"
        assert cli("run", bundle, inputs, "--json", "--draw", here, "--save-outputs", here).code == 0
        with serving([bundle]) as (address, _):
            outcome = cli(
                "run", bundle, inputs, "--server", address, "--json", "--draw", there, "--save-outputs", there
            )
        assert outcome.code == 0, outcome.err
        assert file_bytes(there) == file_bytes(here)


def test_arrays_show_no_picture_to_draw_on(source: Path, bundle: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 3, 32, 32), np.float32))
    refused = cli("run", bundle, tmp_path / "x.npy", "--draw", tmp_path / "out")
    assert refused.code == 2
    assert "x.npy#0: is an array, which answers cannot be drawn on; leave out --draw." in refused.err
    saved = cli("run", bundle, tmp_path / "x.npy", "--save-outputs", tmp_path / "out")
    assert saved.code == 0, saved.err
    assert listing(tmp_path / "out") == {"x-0.npz", "x-1.npz"}


def test_inputs_are_never_overwritten(source: Path, bundle: Path, tmp_path: Path) -> None:
    picture = tmp_path / "cat.png"
    picture.write_bytes((source / "pictures/picture00.png").read_bytes())
    before = picture.read_bytes()
    refused = cli("run", bundle, picture, "--draw", tmp_path)
    assert refused.code == 2
    assert "is an input, which is never overwritten; name another folder." in refused.err
    assert picture.read_bytes() == before


def test_a_folder_that_is_a_file_is_refused(source: Path, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for option in ("--draw", "--save-outputs"):
        refused = cli("run", bundle, source / "pictures/picture00.png", option, tmp_path / "file")
        assert refused.code == 2
        assert "cannot be made (File exists); name another folder." in refused.err

"""Files to feeds: which files a pattern names, how a picture becomes numbers, what does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splitc.errors import UsageError
from splitc.runtime import Reader, find_files, is_picture, read_picture
from splitc.runtime.pictures import input_from_picture, region_boxes
from splitc.types import Preprocess, TensorSpec

NAMES = ("a.png", "B.JPG", "c.npy", "notes.txt", "sub/d.png", "x[1].png")


def image_input(*shape: int | str) -> list[TensorSpec]:
    return [TensorSpec(name="image", dtype="float32", shape=shape)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        pytest.param(["a.png"], ["a.png"], id="file"),
        pytest.param(["*.png"], ["a.png", "x[1].png"], id="glob-without-folders"),
        pytest.param(["."], ["B.JPG", "a.png", "c.npy", "x[1].png"], id="folder-not-below"),
        pytest.param(["**/*.png"], ["a.png", "sub/d.png", "x[1].png"], id="recursive"),
        pytest.param(["sub", "a.png"], ["sub/d.png", "a.png"], id="in-the-order-asked"),
        pytest.param(["a.png", "*.png", "sub/../a.png"], ["a.png", "x[1].png"], id="each-once"),
        pytest.param(["x[1].png"], ["x[1].png"], id="brackets-in-a-name"),
        pytest.param(["[ab].*"], ["a.png"], id="brackets-as-a-class"),
    ],
)
def test_find_files(patterns: list[str], found: list[str], folder: Path) -> None:
    assert [path.relative_to(folder).as_posix() for path in find_files(patterns, folder)] == found


def test_files_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = ["a1.png", "a2.png", "a02.png", "a10.png", "b.png", "7.png", "12.png"]
    for name in names:
        (tmp_path / name).touch()
    wanted = ["7.png", "12.png", "a1.png", "a02.png", "a2.png", "a10.png", "b.png"]
    assert [path.name for path in find_files(["."], tmp_path)] == wanted


def test_absolute_patterns_ignore_the_base(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert find_files([str(folder / "sub/*.png")], elsewhere) == [folder / "sub/d.png"]


def test_package_patterns_look_inside_a_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = folder / "some_pictures"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('looking for a file must not run the package')")
    (package / "data/a.png").write_bytes(b"")
    monkeypatch.syspath_prepend(str(folder))
    assert find_files(["package:some_pictures/data/*.png"], Path("/nowhere")) == [package / "data/a.png"]


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        pytest.param(["no/*.png"], "no/*.png: no picture, array or video found", id="nothing"),
        pytest.param(["a.png", "notes.txt"], "notes.txt: no picture, array or video found", id="one-of-two"),
        pytest.param(["folder.png"], "folder.png: no picture, array or video found", id="empty-folder"),
        pytest.param(["gone.png"], "found: no such file or folder in {folder}.", id="missing-file"),
        pytest.param(["no/*.png"], "found: no file matches in {folder}/no.", id="missing-matches"),
        pytest.param(["notes.txt"], "found: notes.txt in {folder} is none by its name (known: .avi", id="kind"),
        pytest.param(["folder.png"], "found: the folder {folder}/folder.png holds no file", id="folder-without-files"),
        pytest.param(["package:no_such_thing/a.png"], "package:no_such_thing: no such package", id="package"),
        pytest.param(["package:../a.png"], "package:..: no such package", id="package-outside"),
        pytest.param(["package:json.decoder/a.png"], "no such package", id="module-with-a-dot"),
    ],
)
def test_find_nothing(patterns: list[str], words: str, folder: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find_files(patterns, folder)
    assert words.format(folder=folder) in str(caught.value)


def test_is_picture() -> None:
    assert [name for name in NAMES if is_picture(Path(name))] == ["a.png", "B.JPG", "sub/d.png", "x[1].png"]


PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        pytest.param({}, PIXELS / 255, id="plain"),
        pytest.param({"scale": 1.0}, PIXELS, id="scale"),
        pytest.param({"scale": 1.0, "channels": "bgr"}, PIXELS[..., ::-1], id="bgr"),
        pytest.param({"scale": 1.0, "crop": 2}, PIXELS[1:3, 2:4], id="crop-from-the-centre"),
        pytest.param({"scale": 1.0, "crop": 3}, PIXELS[0:3, 2:5], id="odd-crop"),
        pytest.param(
            {"scale": 1.0, "mean": (1.0, 2.0, 3.0), "std": (2.0, 4.0, 8.0)},
            (PIXELS - np.array([1.0, 2.0, 3.0])) / np.array([2.0, 4.0, 8.0]),
            id="mean-and-std",
        ),
        pytest.param(
            {"scale": 1.0, "mean": (1.0, 2.0, 3.0), "channels": "bgr"},
            PIXELS[..., ::-1] - np.array([1.0, 2.0, 3.0]),
            id="mean-in-the-network-s-order",
        ),
        pytest.param({"scale": 1.0, "resize": 2, "interpolation": "nearest"}, PIXELS[1::2, 1::2], id="resize-nearest"),
        pytest.param(
            {"scale": 1.0, "resize": 8, "interpolation": "nearest", "crop": 8},
            PIXELS.repeat(2, 0).repeat(2, 1)[:, 2:10],
            id="resize-then-crop",
        ),
    ],
)
def test_input_from_picture(how: dict, expected: np.ndarray) -> None:
    got = input_from_picture(Image.fromarray(PIXELS), Preprocess.model_validate(how))
    assert (got.dtype, got.flags.c_contiguous) == (np.float32, True)
    # float32 arithmetic on numbers below 256: a few units in the last place
    np.testing.assert_allclose(got, expected.transpose(2, 0, 1).astype(np.float32), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "resize", "shape"),
    [((40, 30), 30, (30, 40)), ((30, 40), 15, (20, 15)), ((33, 100), 10, (30, 10)), ((7, 7), 224, (224, 224))],
    ids=["same", "portrait", "rounded", "larger"],
)
def test_the_shorter_side_is_resized(size: tuple[int, int], resize: int, shape: tuple[int, int]) -> None:
    assert input_from_picture(Image.new("RGB", size), Preprocess(resize=resize)).shape == (3, *shape)


def test_two_sides_are_resized_to_as_they_are() -> None:
    """Detectors take a rectangle, aspect ratio lost: [height, width]."""
    assert input_from_picture(Image.new("RGB", (40, 30)), Preprocess(resize=(24, 32))).shape == (3, 24, 32)


def test_pictures_of_every_kind_become_rgb(tmp_path: Path) -> None:
    kinds = {"RGB": (9, 8, 7), "RGBA": (9, 8, 7, 128), "L": 9, "P": 3, "1": 1, "CMYK": (1, 2, 3, 4)}
    for mode, colour in kinds.items():
        suffix = ".jpg" if mode == "CMYK" else ".png"
        Image.new(mode, (5, 4), colour).save(tmp_path / f"{mode}{suffix}")
        read = read_picture(tmp_path / f"{mode}{suffix}")
        assert (read.mode, read.size) == ("RGB", (5, 4))


@pytest.mark.parametrize(("name", "data"), [("gone.png", None), ("text.png", b"text"), ("empty.jpg", b"")], ids=str)
def test_unreadable_pictures(name: str, data: bytes | None, tmp_path: Path) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=f"{name}: (no such file|not a readable picture)"):
        read_picture(tmp_path / name)


@pytest.mark.parametrize("size", [(640, 480), (31, 200), (1, 1), (2, 5000)], ids=str)
def test_regions(size: tuple[int, int]) -> None:
    boxes = region_boxes(*size, 25)
    assert boxes == region_boxes(*size, 25)
    assert len(boxes) == 25
    assert boxes[0] == (0, 0, *size)
    for left, top, right, bottom in boxes[1:]:
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
        assert right - left == bottom - top
        assert max(1, min(size) // 2 - 1) <= right - left <= max(1, 0.75 * min(size))
    if min(size) > 100:
        assert len(set(boxes)) == 25
    assert region_boxes(*size, 3) == boxes[:3]


def write_picture(file: Path) -> Path:
    Image.fromarray(PIXELS).save(file)
    return file


def read(files: Sequence[Path], shape: tuple[int | str, ...] = ("N", 3, 4, 6), **how: object) -> list:
    return list(Reader(image_input(*shape), Preprocess.model_validate(how)).samples(files))


def test_a_picture_is_a_sample(tmp_path: Path) -> None:
    (sample,) = read([write_picture(tmp_path / "a.png")])
    assert sample.name == "a.png"
    assert sample.feeds["image"].shape == (1, 3, 4, 6)


def test_regions_are_numbered_samples(tmp_path: Path) -> None:
    reader = Reader(image_input("N", 3, 8, 8), Preprocess(resize=8, crop=8), regions=3)
    samples = list(reader.samples([write_picture(tmp_path / "a.png")]))
    assert [sample.name for sample in samples] == ["a.png#0", "a.png#1", "a.png#2"]
    assert not np.array_equal(samples[0].feeds["image"], samples[1].feeds["image"])


@pytest.mark.parametrize(
    ("array", "count"),
    [(np.zeros((5, 3, 4, 6), "f4"), 5), (np.zeros((3, 4, 6), "f4"), 1)],
    ids=["batch", "one-without-a-batch-axis"],
)
def test_arrays_are_taken_as_they_are(array: np.ndarray, count: int, tmp_path: Path) -> None:
    array += np.arange(array.size, dtype="f4").reshape(array.shape)
    np.save(tmp_path / "a.npy", array)
    samples = read([tmp_path / "a.npy"])
    assert [sample.name for sample in samples] == [f"a.npy#{index}" for index in range(count)]
    together = np.concatenate([sample.feeds["image"] for sample in samples])
    np.testing.assert_array_equal(together, array.reshape(-1, 3, 4, 6))


@pytest.mark.parametrize("stored", ["f2", "f4", "f8", ">f4"])
@pytest.mark.parametrize("wanted", ["float16", "float32", "float64"])
def test_any_float_becomes_the_input_s_float(wanted: str, stored: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(24, dtype=stored).reshape(2, 3, 4))
    reader = Reader([TensorSpec(name="x", dtype=wanted, shape=("N", 3, 4))], Preprocess())
    first, second = reader.samples([tmp_path / "a.npy"])
    assert first.feeds["x"].dtype == second.feeds["x"].dtype == np.dtype(wanted)
    assert second.feeds["x"].ravel().tolist() == list(range(12, 24))
    said = [] if np.dtype(stored) == np.dtype(wanted) else [f"input 'x' from {np.dtype(stored)} to {wanted}, in 1 file"]
    assert reader.remarks([tmp_path / "a.npy"]) == said


def test_numbers_beyond_the_input_s_float_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((1, 3), 1e5, "f4"))
    reader = Reader([TensorSpec(name="x", dtype="float16", shape=("N", 3))], Preprocess())
    with pytest.raises(UsageError, match=r"a\.npy: 'x' holds numbers beyond float16, which the input takes"):
        list(reader.samples([tmp_path / "a.npy"]))


@pytest.mark.parametrize("stored", ["u1", "i4", "?"])
def test_integers_are_not_taken_for_floats(stored: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((1, 3), stored))
    with pytest.raises(UsageError, match="integers must be of the input's own type"):
        list(Reader(image_input("N", 3), Preprocess()).samples([tmp_path / "a.npy"]))


VOICE = [
    TensorSpec(name="sound", dtype="float32", shape=("N", 8)),
    TensorSpec(name="state", dtype="float32", shape=(2, "N", 4)),
    TensorSpec(name="rate", dtype="int64", shape=()),
]


@pytest.mark.parametrize(
    ("state", "rate"),
    [
        pytest.param(np.ones((2, 1, 4)), np.array(16000), id="one-for-all"),
        pytest.param(np.ones((2, 1, 4)), np.array([16000]), id="scalar-in-a-list"),
        pytest.param(np.ones((3, 2, 1, 4)), np.full(3, 16000), id="one-a-sample"),
    ],
)
def test_scalars_and_states_beside_samples(state: np.ndarray, rate: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", sound=np.zeros((3, 8)), state=state, rate=rate)
    reader = Reader(VOICE, Preprocess())
    samples = list(reader.samples([tmp_path / "a.npz"]))
    assert len(samples) == reader.count(tmp_path / "a.npz") == 3
    for sample in samples:
        shapes = {name: array.shape for name, array in sample.feeds.items()}
        assert shapes == {"sound": (1, 8), "state": (2, 1, 4), "rate": ()}
        assert sample.feeds["rate"].dtype == np.int64
        assert int(sample.feeds["rate"]) == 16000


@pytest.mark.parametrize(
    ("state", "rate", "words"),
    [
        pytest.param(np.ones((3, 1, 4)), np.array(1), "gives float32 [3, 1, 4], input 'state' takes", id="axis-0"),
        pytest.param(np.ones((2, 2, 1, 4)), np.array(1), "disagree on the number of samples", id="counts"),
        pytest.param(np.ones((2, 1, 4)), np.array(1.0), "input 'rate' takes int64 []", id="type"),
    ],
)
def test_states_that_do_not_fit(state: np.ndarray, rate: np.ndarray, words: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", sound=np.zeros((3, 8)), state=state, rate=rate)
    with pytest.raises(UsageError) as caught:
        list(Reader(VOICE, Preprocess()).samples([tmp_path / "a.npz"]))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("dtype", "shape", "how"),
    [
        pytest.param("float32", ("N", 4, 6, 3), {}, id="nhwc"),
        pytest.param("uint8", (1, 4, 6, 3), {}, id="uint8"),
        pytest.param("float16", ("N", 3, 4, 6), {}, id="float16"),
        pytest.param("float32", ("N", 1, 4, 6), {"channels": "grey"}, id="grey"),
    ],
)
def test_a_picture_for_inputs_of_every_kind(
    dtype: str, shape: tuple[int | str, ...], how: dict, tmp_path: Path
) -> None:
    file = write_picture(tmp_path / "a.png")
    reader = Reader([TensorSpec(name="x", dtype=dtype, shape=shape)], Preprocess.model_validate(how))
    (sample,) = reader.samples([file])
    assert reader.count(file) == 1
    assert (sample.feeds["x"].dtype, sample.feeds["x"].shape) == (np.dtype(dtype), (1, *shape[1:]))


TWO = [
    TensorSpec(name="ids", dtype="int64", shape=("N", 3)),
    TensorSpec(name="scale", dtype="float32", shape=("N",)),
]


def save_two(file: Path, ids: object, scale: object) -> Path:
    np.savez(file, ids=ids, scale=scale)
    return file


def test_archives_feed_several_inputs(tmp_path: Path) -> None:
    file = save_two(tmp_path / "a.npz", np.arange(6).reshape(2, 3), np.ones(2, "f4"))
    first, second = Reader(TWO, Preprocess()).samples([file])
    assert second.feeds["ids"].tolist() == [[3, 4, 5]]
    assert first.feeds["scale"].shape == (1,)


@pytest.mark.parametrize(
    ("ids", "scale", "words"),
    [
        pytest.param(np.zeros((2, 3), "i8"), np.ones(3, "f4"), "disagree on the number of samples", id="counts"),
        pytest.param(
            np.zeros((2, 3), "i4"), np.ones(2, "f4"), "gives int32 [1, 3], input 'ids' takes int64", id="dtype"
        ),
        pytest.param(np.zeros((2, 4), "i8"), np.ones(2, "f4"), "gives int64 [1, 4]", id="size"),
        pytest.param(np.zeros((2, 3), "i8"), np.full(2, np.nan, "f4"), "'scale' holds NaN", id="nan"),
        pytest.param(np.zeros((0, 3), "i8"), np.ones(0, "f4"), "holds no samples", id="empty"),
    ],
)
def test_archives_that_do_not_fit(ids: np.ndarray, scale: np.ndarray, words: str, tmp_path: Path) -> None:
    file = save_two(tmp_path / "a.npz", ids, scale)
    with pytest.raises(UsageError) as caught:
        list(Reader(TWO, Preprocess()).samples([file]))
    assert str(caught.value).startswith(f"{file}: ")
    assert words in str(caught.value)


def test_a_picture_cannot_feed_two_inputs(tmp_path: Path) -> None:
    file = write_picture(tmp_path / "a.png")
    with pytest.raises(UsageError, match=r"has 2 inputs \(ids, scale\); give an .npz with those names"):
        list(Reader(TWO, Preprocess()).samples([file]))


@pytest.mark.parametrize("shape", [("N", 3, 4, 7), ("N", 1, 4, 6), ("N", 3, 4)], ids=str)
def test_a_picture_of_another_size_says_what_it_gave(shape: tuple[int | str, ...], tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read([write_picture(tmp_path / "a.png")], shape)
    assert f"gives float32 [1, 3, 4, 6], input 'image' takes float32 {list(shape)}; see data.preprocess" in str(
        caught.value
    )


# -- videos --------------------------------------------------------------------------------------------------------


def write_video(path: Path, frames: int = 7) -> None:
    """Grey that gets lighter, 32 x 24."""
    av = pytest.importorskip("av", reason="needs splitc[video]")
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for index in range(frames):
            picture = np.full((24, 32, 3), 20 * index, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        out.mux(stream.encode())


def test_frames_of_a_video_are_one_clip(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4")
    reader = Reader([TensorSpec(name="x", dtype="float32", shape=("N", 3, 24, 32))], Preprocess())
    got = list(reader.samples(find_files(["clip.mp4"], tmp_path)))
    assert [one.name for one in got] == [f"clip.mp4#{index}" for index in range(7)]
    assert {(one.clip, one.file) for one in got} == {(str(tmp_path / "clip.mp4"), tmp_path / "clip.mp4")}
    greys = [float(one.feeds["x"].mean()) * 255 for one in got]
    assert greys == pytest.approx([20 * index for index in range(7)], abs=4)  # what mpeg4 loses


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        pytest.param("a.mp4", b"no video at all", "not a readable video", id="noise"),
        pytest.param("b.mkv", b"", "not a readable video", id="empty"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    pytest.importorskip("av", reason="needs splitc[video]")
    (tmp_path / name).write_bytes(data)
    reader = Reader([TensorSpec(name="x", dtype="float32", shape=("N", 3, 24, 32))], Preprocess())
    with pytest.raises(UsageError, match=message):
        list(reader.samples([tmp_path / name]))


def test_a_video_of_other_sizes_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 2)
    reader = Reader([TensorSpec(name="x", dtype="float32", shape=("N", 3, 8, 8))], Preprocess())
    with pytest.raises(UsageError, match=r"clip\.mp4: gives float32 \[1, 3, 24, 32\], input 'x' takes"):
        list(reader.samples([tmp_path / "clip.mp4"]))

"""A sequence of samples that are read when they are asked for: the same as a list of all of them, in less memory."""

from __future__ import annotations

import tracemalloc
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from splitc.errors import UsageError
from splitc.runtime import Reader, Sample, Samples, clip_lengths, pick
from splitc.runtime.pictures import FittedPicture
from splitc.types import Preprocess, TensorSpec

FRAMES = 13


def write_video(path: Path, frames: int = FRAMES, codec: str = "mpeg4", options: dict[str, str] | None = None) -> None:
    """Grey that gets lighter, 32 x 24."""
    av = pytest.importorskip("av", reason="needs splitc[video]")
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=10, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for index in range(frames):
            picture = np.full((24, 32, 3), 18 * index % 256, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        out.mux(stream.encode())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures of two folders, a video, an array and an archive."""
    folder, source = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    (folder / "more").mkdir()
    named = [folder / "a.png", folder / "b.png", folder / "more/c.png"]
    for file in named:
        Image.fromarray(source.integers(0, 256, (24, 32, 3), np.uint8)).save(file)
    write_video(folder / "v.mp4")
    np.save(folder / "x.npy", source.random((5, 3, 24, 32), np.float32))
    np.savez_compressed(folder / "y.npz", image=source.random((4, 3, 24, 32), np.float32))
    return [*named, folder / "v.mp4", folder / "x.npy", folder / "y.npz"]


READER = Reader([TensorSpec(name="image", dtype="float32", shape=("N", 3, 24, 32))], Preprocess())


def same(one: Sequence[Sample], other: Sequence[Sample]) -> None:
    assert [(a.name, a.clip, a.file) for a in one] == [(b.name, b.clip, b.file) for b in other]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.feeds["image"], b.feeds["image"])


def test_all_of_them_are_what_the_reader_gives(files: list[Path]) -> None:
    samples, every = Samples.of(READER, files), list(READER.samples(files))
    assert len(samples) == len(every) == 3 + FRAMES + 5 + 4
    same(list(samples), every)
    same(list(samples), every)  # a second time


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_slices_and_picks_are_those_of_a_list(files: list[Path], data: st.DataObject) -> None:
    samples, every = Samples.of(READER, files), list(READER.samples(files))
    cut = data.draw(st.slices(len(every)))
    same(list(samples[cut]), every[cut])
    inner = data.draw(st.slices(max(1, len(every[cut]))))
    same(list(samples[cut][inner]), every[cut][inner])
    some = data.draw(st.lists(st.integers(0, len(every) - 1), max_size=8))
    same(list(pick(samples, some)), [every[index] for index in some])
    same(pick(every, some), [every[index] for index in some])
    index = data.draw(st.integers(-len(every), len(every) - 1))
    same([samples[index]], [every[index]])


def test_clips_are_known_without_reading(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    every = list(READER.samples(files))
    samples = Samples.of(READER, files)
    monkeypatch.setattr(Reader, "read", lambda *_: pytest.fail("reads"))
    assert samples.clip_lengths() == clip_lengths(samples) == clip_lengths(every) == [2, 1, FRAMES, 5, 4]
    assert samples[1:10].clip_lengths() == [1, 1, 7]
    assert samples.pick([3, 4, 5, 8, 9, 16]).clip_lengths() == [3, 2, 1]  # a gap ends a run
    assert samples[3:16:2].clip_lengths() == [1] * 7
    assert samples[:0].clip_lengths() == []


def test_a_video_is_decoded_once_and_no_further_than_asked(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    converted = []
    from splitc.runtime import sources

    def counting(picture: Image.Image, how: Preprocess) -> FittedPicture:
        converted.append(1)
        return original(picture, how)

    original = sources.fit_picture
    monkeypatch.setattr(sources, "fit_picture", counting)
    samples = Samples.of(READER, files)[3 : 3 + FRAMES]
    assert not converted
    assert [sample.name for sample in samples[::4]] == ["v.mp4#0", "v.mp4#4", "v.mp4#8", "v.mp4#12"]
    assert len(converted) == 4


def test_out_of_range(files: list[Path]) -> None:
    samples = Samples.of(READER, files)
    for wrong in (len(samples), -len(samples) - 1):
        with pytest.raises(IndexError):
            samples[wrong]
        with pytest.raises(IndexError):
            samples.pick([0, wrong])
    assert list(Samples.of(READER, [])) == []


def test_regions_are_counted(files: list[Path]) -> None:
    reader = Reader(READER.inputs, Preprocess(resize=(24, 32)), regions=3)
    samples = Samples.of(reader, files[:2])
    assert [one.name for one in samples] == ["a.png#0", "a.png#1", "a.png#2", "b.png#0", "b.png#1", "b.png#2"]
    assert [one.name for one in samples[2::2]] == ["a.png#2", "b.png#1"]


# -- counting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        pytest.param("a.mp4", "mpeg4", {}, id="mp4"),
        pytest.param("a.avi", "mpeg4", {}, id="avi"),
        pytest.param("a.mp4", "libx264", {"bf": "2"}, id="b-frames"),
        pytest.param("a.mkv", "libx264", {}, id="no-count-in-the-container"),
        pytest.param("a.ts", "mpeg4", {}, id="transport-stream"),
    ],
)
def test_frames_are_counted(name: str, codec: str, options: dict[str, str], tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="needs splitc[video]")
    try:
        write_video(tmp_path / name, 11, codec, options)
    except av.error.FFmpegError as error:
        pytest.skip(f"this PyAV does not write {codec}: {error}")
    assert len(Samples.of(READER, [tmp_path / name])) == len(list(READER.samples([tmp_path / name]))) == 11


def test_a_video_cut_short_is_as_long_as_what_decodes(tmp_path: Path) -> None:
    """Its header still promises 40 frames; it ends between two of them."""
    write_video(tmp_path / "a.avi", 40, "mpeg4")
    data = (tmp_path / "a.avi").read_bytes()
    (tmp_path / "a.avi").write_bytes(data[: data.rindex(b"00dc", 0, len(data) * 2 // 3)])
    samples = Samples.of(READER, [tmp_path / "a.avi"])
    assert 0 < len(samples) < 40
    same(list(samples), list(READER.samples([tmp_path / "a.avi"])))


def test_a_video_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    """What was counted is gone when it is read."""
    write_video(tmp_path / "a.mp4", 9)
    samples = Samples.of(READER, [tmp_path / "a.mp4"])
    write_video(tmp_path / "a.mp4", 5)
    with pytest.raises(UsageError, match=r"a\.mp4: says that it has more frames than can be decoded: 5 is missing"):
        list(samples)


@pytest.mark.parametrize(
    ("how", "size", "words"),
    [
        pytest.param({"crop": 30}, (24, 32), "smaller than the crop of 30", id="crop"),
        pytest.param({"resize": 24}, (48, 24), "gives float32 [1, 3, 24, 48]", id="size"),
    ],
)
def test_pictures_that_do_not_fit_are_refused_by_their_headers(
    how: dict[str, int], size: tuple[int, int], words: str, tmp_path: Path
) -> None:
    Image.new("RGB", size).save(tmp_path / "a.png")
    reader = Reader(READER.inputs, Preprocess.model_validate(how))
    for read in (lambda: Samples.of(reader, [tmp_path / "a.png"]), lambda: list(reader.samples([tmp_path / "a.png"]))):
        with pytest.raises(UsageError) as caught:
            read()
        assert words in str(caught.value)


# -- arrays --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "save",
    [
        pytest.param(lambda file, x: np.save(file.with_suffix(".npy"), x), id="npy"),
        pytest.param(lambda file, x: np.save(file.with_suffix(".npy"), np.asfortranarray(x)), id="fortran"),
        pytest.param(lambda file, x: np.savez(file.with_suffix(".npz"), image=x), id="npz"),
        pytest.param(lambda file, x: np.savez_compressed(file.with_suffix(".npz"), image=x), id="compressed"),
        pytest.param(lambda file, x: np.savez(file.with_suffix(".npz"), image=np.asfortranarray(x)), id="npz-fortran"),
    ],
)
@pytest.mark.parametrize("wanted", [range(7), [0], [6], [1, 2, 5]], ids=str)
def test_rows_of_arrays(save: object, wanted: Sequence[int], tmp_path: Path) -> None:
    x = np.random.default_rng(1).random((7, 3, 24, 32), np.float32)
    save(tmp_path / "x", x)  # type: ignore[operator]
    (file,) = tmp_path.iterdir()
    got = list(READER.read(file, wanted))
    assert [one.name for one in got] == [f"{file.name}#{index}" for index in wanted]
    for index, one in zip(wanted, got, strict=True):
        row = one.feeds["image"]
        np.testing.assert_array_equal(row, x[index : index + 1])
        assert row.flags.writeable


def test_a_long_clip_is_never_in_memory(tmp_path: Path) -> None:
    x = np.random.default_rng(2).random((400, 3, 24, 32), np.float32)  # 3.7 MB
    np.save(tmp_path / "x.npy", x)
    np.savez_compressed(tmp_path / "x.npz", image=x)
    del x
    for name in ("x.npy", "x.npz"):
        tracemalloc.start()
        try:
            samples = Samples.of(READER, [tmp_path / name])
            assert sum(1 for _ in samples) == 400
            assert tracemalloc.get_traced_memory()[1] < 1_000_000  # a few rows of 9 kB, and what zlib holds
        finally:
            tracemalloc.stop()


def damaged(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 0xFF
    file.write_bytes(data)


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_arrays_cut_short_are_refused(name: str, tmp_path: Path) -> None:
    x = np.random.default_rng(3).random((6, 3, 24, 32), np.float32)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", image=x)
    file = tmp_path / name
    data = file.read_bytes()
    for size in (0, 5, 60, 200, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:size])
        with pytest.raises(UsageError, match="not a readable NumPy file"):
            Samples.of(READER, [file])


def test_a_damaged_archive_is_noticed_when_its_end_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", image=np.zeros((6, 3, 24, 32), np.float32))
    damaged(tmp_path / "x.npz", 9000)
    with pytest.raises(UsageError, match=r"not a readable NumPy file \(Bad CRC-32"):
        list(Samples.of(READER, [tmp_path / "x.npz"]))


def test_a_header_that_promises_too_much_allocates_nothing(tmp_path: Path) -> None:
    with (tmp_path / "x.npy").open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 3, 24, 32)}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(UsageError, match="cut short"):
        Samples.of(READER, [tmp_path / "x.npy"])


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", image=np.zeros((1, 3, 24, 32), np.float32))
    with zipfile.ZipFile(tmp_path / "x.npz") as archive:
        at = archive.infolist()[0].header_offset
    data = bytearray((tmp_path / "x.npz").read_bytes())
    data[at + 6] |= 1  # general purpose flag: encrypted, here and in the directory
    directory = data.rfind(b"PK\x01\x02")
    data[directory + 8] |= 1
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(UsageError, match="not a readable NumPy file"):
        Samples.of(READER, [tmp_path / "x.npz"])


def test_a_row_that_is_not_finite_is_refused_when_it_is_read(tmp_path: Path) -> None:
    x = np.zeros((4, 3, 24, 32), np.float32)
    x[2, 0, 0, 0] = np.nan
    np.save(tmp_path / "x.npy", x)
    samples = Samples.of(READER, [tmp_path / "x.npy"])
    assert len(list(samples[:2])) == 2
    with pytest.raises(UsageError, match="'image' holds NaN or infinities"):
        list(samples)

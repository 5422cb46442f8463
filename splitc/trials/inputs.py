"""Send the input itself: JPEG for pictures, H.264 for video; the least quality with which the answers are good enough.

Both are tried on the very pixels that the network sees, after resizing and cropping.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from threading import Lock

import numpy as np
from PIL import Image, ImageFile

from splitc import plan
from splitc.backends import Runner
from splitc.codec import code_video
from splitc.device import Precision
from splitc.errors import UsageError
from splitc.runtime import PixelFormat, Sample, pixel_format
from splitc.trials.cuts import CutTrials
from splitc.trials.subject import Subject
from splitc.types import U8, Feeds, TensorSpec

JPEG_QUALITIES = (*range(5, 100, 5), 98, 100)
FULL_CHROMA_FROM = 90
"""From this quality on, colours keep every pixel (4:4:4); below, one in four (4:2:0), as cameras do."""
H264_CRFS = tuple(range(45, 14, -3))
"""Constant rate factors, worst first."""
CLIP_DIMS = 5
_ROOM = Lock()


class InputTrials:
    """Codings of one model's measured samples; each quality is tried at most once."""

    def __init__(self, subject: Subject, trials: CutTrials) -> None:
        self._subject, self._trials = subject, trials
        self._known: dict[tuple[str, int, Precision], plan.CodedInput] = {}
        self.skipped: list[str] = []
        self._kinds = self._find_kinds()

    def __call__(
        self, is_enough: Callable[[plan.Measurement], bool], precision: Precision = "fp32"
    ) -> list[plan.CodedInput]:
        """The smallest coding of each kind that is good enough for a cloud of this type, else the best of the kind."""
        return [self._least(kind, precision, is_enough) for kind in self._kinds]

    def _find_kinds(self) -> list[str]:
        """Which codings fit these samples; what does not fit is said in ``skipped``."""
        specs = self._subject.model.inputs
        dims = len(specs[0].shape)
        if len(specs) != 1 or dims not in (4, CLIP_DIMS) or not self._takes_pixels(specs[0]):
            self.skipped.append(
                "no JPEG or H.264 row: the model's input is not one picture or clip of three channels, or of one grey"
            )
            return []
        if not self._subject.sends_pixels:
            self.skipped.append(
                "no JPEG or H.264 row: the samples are arrays; data.preprocess would say how pixels become numbers"
            )
            return []
        is_video = dims == CLIP_DIMS or self._subject.is_stream
        if is_video and self._format.depth != 3:
            self.skipped.append("no H.264 row: the model's input is grey")
            is_video = False
        if is_video and importlib.util.find_spec("av") is None:
            self.skipped.append("no H.264 row: install splitc[video]")
            is_video = False
        return [*(["JPEG"] if dims == 4 else []), *(["H.264"] if is_video else [])]

    @cached_property
    def _format(self) -> PixelFormat:
        return pixel_format(self._subject.model.inputs[0], self._subject.preprocess)

    def _takes_pixels(self, spec: TensorSpec) -> bool:
        try:
            axis = -1 if self._format.is_nhwc else 1
        except UsageError:
            return False  # of a type, or in axes, that no picture becomes
        return spec.shape[axis] == self._format.depth

    def _least(self, kind: str, precision: Precision, is_enough: Callable[[plan.Measurement], bool]) -> plan.CodedInput:
        settings = JPEG_QUALITIES if kind == "JPEG" else H264_CRFS
        place = least_setting(
            len(settings), lambda index: is_enough(self._coded(kind, settings[index], precision).measured)
        )
        return self._coded(kind, settings[place], precision)

    def _coded(self, kind: str, setting: int, precision: Precision) -> plan.CodedInput:
        key = kind, setting, precision
        if key not in self._known:
            code = self._jpeg if kind == "JPEG" else self._h264
            measured = self._trials.kept(
                kind, lambda: code(setting, self._trials.whole(precision)), setting=setting, precision=precision
            )
            title = f"JPEG quality {setting}" if kind == "JPEG" else f"H.264 at CRF {setting}"
            self._known[key] = plan.CodedInput(title, measured)
        return self._known[key]

    def _jpeg(self, quality: int, whole: Runner) -> plan.Measurement:
        sizes: list[int] = []

        def answer(sample: Sample) -> Feeds:
            pixels = self._pixels(sample)[0]
            data = jpeg_from_pixels(pixels, quality)
            sizes.append(len(data))
            restored = np.asarray(Image.open(io.BytesIO(data)))
            return self._answer(whole, sample, restored.reshape(1, *pixels.shape))

        answers = {id(sample): answer(sample) for sample in self._trials.measure_on}
        return self._trials.judge(lambda sample: answers[id(sample)], float(np.mean(sizes)))

    def _h264(self, crf: int, whole: Runner) -> plan.Measurement:
        samples = self._trials.measure_on
        clips = [[sample] for sample in samples] if self._is_clip(samples[0]) else [list(samples)]
        answers, total = {}, 0
        for clip in clips:
            pixels = np.concatenate([self._pixels(sample) for sample in clip])
            size, restored = code_video(pixels, crf)
            total += size
            each = len(pixels) // len(clip)
            for index, sample in enumerate(clip):
                frames = restored[index * each : (index + 1) * each]
                answers[id(sample)] = self._answer(whole, sample, frames)
        return self._trials.judge(lambda sample: answers[id(sample)], total / len(samples))

    def _is_clip(self, sample: Sample) -> bool:
        return next(iter(sample.feeds.values())).ndim == CLIP_DIMS

    def _pixels(self, sample: Sample) -> U8:
        """The sample's pictures as the network sees them, ``[T, H, W, C]``."""
        (array,) = sample.feeds.values()
        frames = array[0].swapaxes(0, 1) if array.ndim == CLIP_DIMS else array
        return self._format.pixels_from_input(frames)

    def _answer(self, whole: Runner, sample: Sample, pixels: U8) -> Feeds:
        """The whole model's outputs for pictures ``[T, H, W, C]`` instead of the sample's own."""
        ((name, array),) = sample.feeds.items()
        frames = self._format.input_from_pixels(pixels)
        feed = frames.swapaxes(0, 1)[None] if array.ndim == CLIP_DIMS else frames
        return whole.run({name: np.ascontiguousarray(feed, array.dtype)})


def least_setting(count: int, is_enough: Callable[[int], bool]) -> int:
    """The first setting, of those that rise in quality, from which two in a row are good enough; the last if none.

    Bisection finds where to begin; estimates from a few samples do not quite rise with quality, so what passed alone,
    by chance, is passed over.
    """
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle + 1, high)
    while high < count - 1 and not (is_enough(high) and is_enough(high + 1)):
        high += 1
    return high


def jpeg_from_pixels(pixels: U8, quality: int) -> bytes:
    """A JPEG file with Huffman tables of its own.

    Args:
        pixels: RGB ``[H, W, 3]`` or grey ``[H, W, 1]``.
        quality: 0 to 100; from ``FULL_CHROMA_FROM`` on, colours are not subsampled.
    """
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    chroma = 0 if quality >= FULL_CHROMA_FROM else 2
    with _room_for(picture):
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=quality, optimize=True, subsampling=chroma)
    return data.getvalue()


@contextmanager
def _room_for(picture: Image.Image) -> Iterator[None]:
    """Pillow gives libjpeg one buffer for all of an optimized file and guesses its size, too small for noise.

    No Huffman code and its bits are longer than 16 + 11 bits a coefficient, 6.75 bytes where each byte is stuffed;
    blocks are whole, of up to 16 x 16 pixels.
    """
    width, height = (-(-length // 16) * 16 for length in picture.size)
    with _ROOM:
        before = ImageFile.MAXBLOCK
        ImageFile.MAXBLOCK = max(before, 7 * 3 * width * height + (1 << 16))
        try:
            yield
        finally:
            ImageFile.MAXBLOCK = before

"""Send the input itself: JPEG for pictures, H.264 for video; the least quality with which the answers are good enough.

Both are tried on the very pixels that the network sees, after resizing and cropping.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from splitc import plan
from splitc.backends import Runner
from splitc.codec import code_video
from splitc.device import Precision
from splitc.runtime import Sample
from splitc.trials.cuts import CutTrials
from splitc.trials.subject import Subject
from splitc.types import F32, U8, Preprocess

JPEG_QUALITIES = (*range(5, 100, 5), 98, 100)
FULL_CHROMA_FROM = 90
"""From this quality on, colours keep every pixel (4:4:4); below, one in four (4:2:0), as cameras do."""
H264_CRFS = tuple(range(45, 14, -3))
"""Constant rate factors, worst first."""
CLIP_DIMS = 5


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
        if len(specs) != 1 or dims not in (4, CLIP_DIMS) or specs[0].shape[1] != 3:
            self.skipped.append("no JPEG or H.264 row: the model's input is not one picture or clip of three channels")
            return []
        if not self._subject.sends_pixels:
            self.skipped.append(
                "no JPEG or H.264 row: the samples are arrays; data.preprocess would say how pixels become numbers"
            )
            return []
        is_video = dims == CLIP_DIMS or self._subject.is_stream
        if is_video and importlib.util.find_spec("av") is None:
            self.skipped.append("no H.264 row: install splitc[video]")
            is_video = False
        return [*(["JPEG"] if dims == 4 else []), *(["H.264"] if is_video else [])]

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

        def answer(sample: Sample) -> F32:
            pixels = self._pixels(sample)[0]
            data = io.BytesIO()
            chroma = 0 if quality >= FULL_CHROMA_FROM else 2
            Image.fromarray(pixels).save(data, "JPEG", quality=quality, optimize=True, subsampling=chroma)
            sizes.append(data.tell())
            return self._answer(whole, sample, np.asarray(Image.open(data))[None])

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
        """The sample's pictures as the network sees them, ``[T, H, W, 3]``."""
        (array,) = sample.feeds.values()
        frames = array[0].swapaxes(0, 1) if array.ndim == CLIP_DIMS else array
        return pixels_from_input(frames, self._subject.preprocess)

    def _answer(self, whole: Runner, sample: Sample, pixels: U8) -> F32:
        """The whole model's answer to pictures ``[T, H, W, 3]`` instead of the sample's own."""
        ((name, array),) = sample.feeds.items()
        frames = input_from_pixels(pixels, self._subject.preprocess)
        feed = frames.swapaxes(0, 1)[None] if array.ndim == CLIP_DIMS else frames
        return self._trials.flat(whole.run({name: np.ascontiguousarray(feed, array.dtype)}))


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


def pixels_from_input(frames: F32, how: Preprocess) -> U8:
    """Undo scaling and normalization: ``[T, 3, H, W]`` to RGB pixels ``[T, H, W, 3]``, rounded and clipped."""
    values = frames.transpose(0, 2, 3, 1) * np.array(how.std, np.float32) + np.array(how.mean, np.float32)
    whole: U8 = np.clip(np.rint(values / how.scale), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(_in_order(whole, how))


def input_from_pixels(pixels: U8, how: Preprocess) -> F32:
    """RGB pixels ``[T, H, W, 3]`` to the network's ``[T, 3, H, W]``."""
    scaled = _in_order(pixels, how).astype(np.float32) * np.float32(how.scale)
    normal: F32 = (scaled - np.array(how.mean, np.float32)) / np.array(how.std, np.float32)
    return np.moveaxis(normal, 3, 1)


def _in_order(pixels: U8, how: Preprocess) -> U8:
    return pixels if how.channels == "rgb" else pixels[..., ::-1]

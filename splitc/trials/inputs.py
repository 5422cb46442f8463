"""Send the input itself, coded as pictures or as video: how many bytes a divergence of the answers takes.

What is coded is the very pixels that the network sees, after resizing and cropping.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from splitc import plan
from splitc.backends import Runner
from splitc.device import Precision
from splitc.errors import UsageError
from splitc.runtime import PixelFormat, Sample, pick, pixel_format
from splitc.trials.budget import spread
from splitc.trials.codings import CODINGS, Coding
from splitc.trials.curve import Place, measured_down_to, place_of
from splitc.trials.cuts import CutTrials
from splitc.trials.subject import Subject
from splitc.types import U8, Feeds, TensorSpec

SIZED = 200
"""Most calibration pictures whose files are counted: they differ more than features do, and need no network."""
SIZING_S = 4.0
"""Seconds that counting at one setting may take, by the coding's assumed speed; no fewer are counted than answered."""
CLIP_DIMS = 5


class InputTrials:
    """Codings of one model's measured samples; each setting is tried at most once."""

    def __init__(self, subject: Subject, trials: CutTrials) -> None:
        self._subject, self._trials = subject, trials
        self._known: dict[tuple[str, int, Precision], plan.Measurement] = {}
        self._sizes: dict[tuple[str, int], float] = {}
        self.skipped: list[str] = []
        self._codings = self._find_codings()

    def __call__(self, divergence: float, precision: Precision = "fp32") -> list[plan.CodedInput]:
        """Each coding where the answers of a cloud of this type have this divergence, the mean over the samples.

        Bytes and fidelity are interpolated between the two settings around it; where even the best setting has more,
        that one is given as it is.
        """
        return [self._at(coding, divergence, precision) for coding in self._codings]

    def _find_codings(self) -> list[Coding]:
        """Which codings fit these samples; what does not fit is said in ``skipped``."""
        specs = self._subject.model.inputs
        dims = len(specs[0].shape)
        if len(specs) != 1 or dims not in (4, CLIP_DIMS) or not self._takes_pixels(specs[0]):
            self.skipped.append(
                "no row of a coded input: the model's input is not one picture or clip of 3 channels, or of one grey"
            )
            return []
        if not self._subject.sends_pixels:
            self.skipped.append(
                "no row of a coded input: the samples are arrays; data.preprocess would say how pixels become numbers"
            )
            return []
        asked = [*(self._stills() if dims == 4 else []), *self._videos(dims)]
        return [one for one in asked if not self._fault(one)]

    def _stills(self) -> list[Coding]:
        return [one for one in CODINGS.values() if not one.is_video]

    def _videos(self, dims: int) -> list[Coding]:
        """Where samples are clips, or the frames of one."""
        if dims != CLIP_DIMS and not self._subject.is_stream:
            return []
        fault = "the model's input is grey" if self._format.depth != 3 else ""
        if not fault and importlib.util.find_spec("av") is None:
            fault = "install splitc[video]"
        videos = [one for one in CODINGS.values() if one.is_video]
        if fault:
            self.skipped.append(f"no {' or '.join(one.name for one in videos)} row: {fault}")
            return []
        return videos

    def _fault(self, coding: Coding) -> str:
        """Why a coding cannot be used here, or nothing; what is said."""
        sides = [size for size in self._subject.model.inputs[0].shape[1:] if isinstance(size, int)]
        fault = coding.fault(max(sides, default=0))
        if fault:
            self.skipped.append(f"no {coding.name} row: {fault}")
        return fault

    @cached_property
    def _format(self) -> PixelFormat:
        return pixel_format(self._subject.model.inputs[0], self._subject.preprocess)

    def _takes_pixels(self, spec: TensorSpec) -> bool:
        try:
            axis = -1 if self._format.is_nhwc else 1
        except UsageError:
            return False  # of a type, or in axes, that no picture becomes
        return spec.shape[axis] == self._format.depth

    def _at(self, coding: Coding, divergence: float, precision: Precision) -> plan.CodedInput:
        settings = coding.settings[::-1]
        measured = measured_down_to(
            divergence, len(settings), lambda index: self._measured(coding, settings[index], precision)
        )
        place = place_of(divergence, measured)
        low, high = settings[place.low], settings[place.high]
        found = _between(place, measured[place.low], measured[place.high], divergence)
        sizes = (self._mean_bytes(coding, *end) for end in ((low, measured[place.low]), (high, measured[place.high])))
        mpixels = self._pixels_each / 1e6
        return plan.CodedInput(
            coding.title(place.between(low, high)),
            replace(found, payload_bytes=place.between_logs(*sizes)),
            encode_ms=1e3 * mpixels / coding.encode_mpixels_s,
            decode_ms=1e3 * mpixels / coding.decode_mpixels_s,
        )

    @cached_property
    def _pixels_each(self) -> int:
        """Of one sample, all its frames together."""
        return int(np.prod(self._pixels(self._trials.measure_on[0]).shape[:3]))

    def _measured(self, coding: Coding, setting: int, precision: Precision) -> plan.Measurement:
        """Bytes and answers of the measured samples at one setting."""
        key = coding.name, setting, precision
        if key not in self._known:
            self._known[key] = self._trials.kept(
                coding.name,
                lambda: self._answered(coding, setting, self._trials.whole(precision)),
                setting=setting,
                precision=precision,
            )
        return self._known[key]

    def _answered(self, coding: Coding, setting: int, whole: Runner) -> plan.Measurement:
        samples = self._trials.measure_on
        answers, total = {}, 0
        for clip in self._clips(coding, samples):
            pixels = np.concatenate([self._pixels(sample) for sample in clip])
            size, restored = coding.through(pixels, setting)
            total += size
            each = len(pixels) // len(clip)
            for index, sample in enumerate(clip):
                answers[id(sample)] = self._answer(whole, sample, restored[index * each : (index + 1) * each])
        return self._trials.judge(lambda sample: answers[id(sample)], total / len(samples))

    def _clips(self, coding: Coding, samples: Sequence[Sample]) -> list[list[Sample]]:
        """What is coded together: the frames of a stream as video, else each sample alone."""
        is_one_clip = coding.is_video and next(iter(samples[0].feeds.values())).ndim != CLIP_DIMS
        return [list(samples)] if is_one_clip else [[sample] for sample in samples]

    def _mean_bytes(self, coding: Coding, setting: int, answered: plan.Measurement) -> float:
        """Of a sample: of pictures, over many more than were answered."""
        if coding.is_video:
            return answered.payload_bytes
        key = coding.name, setting
        if key not in self._sizes:
            most = min(SIZED, int(SIZING_S * coding.encode_mpixels_s * 1e6 / self._pixels_each))
            self._sizes[key] = (
                answered.payload_bytes if most <= len(self._trials.measure_on) else self._sized(*key, most)
            )
        return self._sizes[key]

    def _sized(self, name: str, setting: int, most: int) -> float:
        """Mean bytes over up to ``most`` calibration samples."""

        def counted() -> plan.Measurement:
            every = self._subject.samples
            samples = pick(every, spread(len(every), most))
            sizes = [CODINGS[name].through(self._pixels(sample), setting)[0] for sample in samples]
            return plan.Measurement(float(np.mean(sizes)))

        return self._trials.kept(f"{name} sizes", counted, setting=setting, most=most).payload_bytes

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


def _between(place: Place, low: plan.Measurement, high: plan.Measurement, divergence: float) -> plan.Measurement:
    """Answers between two settings, where the divergence is the one that was sought; at one setting, its own."""
    if place.low == place.high:
        return low
    return replace(
        low,
        fidelity=_mean(place, low.fidelity, high.fidelity),
        accuracy=_mean(place, low.accuracy, high.accuracy),
        divergence=divergence,
        divergence_error=_mean(place, low.divergence_error, high.divergence_error),
    )


def _mean(place: Place, low: float | None, high: float | None) -> float | None:
    return None if low is None or high is None else place.between(low, high)

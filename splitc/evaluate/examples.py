"""A few pictures with the full model's answer and the pair's, for people to look at."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from splitc.errors import UsageError
from splitc.evaluate.paths import Paths
from splitc.runtime import Reader, Sample, bound_task, is_picture
from splitc.tasks import BoundTask, TaskAnswer
from splitc.types import Feeds

SIDE = 160
"""Shorter side of a thumbnail, pixels."""
DRAWN_SIDE = 320
"""Longer side of one with an answer drawn on it."""
LIMIT = 12


def examples(paths: Paths, reader: Reader, files: Sequence[Path]) -> list[dict[str, Any]]:
    """Name, thumbnail and both answers of the first pictures; those without two answers for people are left out.

    A share stands beside an answer where the task gives one. Answers with places are drawn, each on a thumbnail.
    """
    task = bound_task(paths.edge.contract)
    pictures = [file for file in files if is_picture(file)][:LIMIT]
    found = []
    for file, sample in zip(pictures, replace(reader, regions=1, keeps_pictures=True).samples(pictures), strict=True):
        before = _for_people(task, paths.full(sample.feeds))
        paths.edge.force_keyframe()
        packet = paths.edge.encode(paths.edge.symbols(sample.feeds))
        outputs = paths.cloud.answer(paths.cloud.decode(packet), paths.edge.given(sample.feeds))
        after = _for_people(task, outputs | paths.edge.answers)
        if before is None or after is None:
            continue
        found.append(
            {"name": file.name, "payload_bytes": len(packet)}
            | _in_words("before", before)
            | _in_words("after", after)
            | _thumbnails(sample, before, after)
        )
    return found


def _for_people(task: BoundTask, outputs: Feeds) -> TaskAnswer | None:
    """The answer; None where the outputs are none (the verdict names NaN and infinities), or say nothing to people."""
    try:
        answer = task.answer(outputs)
    except UsageError:
        return None
    return answer if answer.is_for_people else None


def _in_words(key: str, answer: TaskAnswer) -> dict[str, Any]:
    said = answer.describe()
    is_one = {"name", "share"} <= said.keys()
    return {key: said["name"] if is_one else answer.text, f"{key}_share": said["share"] if is_one else None}


def _thumbnails(sample: Sample, before: TaskAnswer, after: TaskAnswer) -> dict[str, str]:
    """The picture; where answers have places, the pair's drawn on it and beside it the full model's."""
    assert sample.picture is not None
    if not after.has_places:
        return {"jpeg_base64": thumbnail(sample.picture)}
    return {"jpeg_base64": _drawn(sample, after), "before_jpeg_base64": _drawn(sample, before)}


def thumbnail(picture: Image.Image) -> str:
    """A small square JPEG of the picture's centre, base64."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return _jpeg(picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE)))


def _drawn(sample: Sample, answer: TaskAnswer) -> str:
    """The answer on a small copy of the whole picture."""
    assert sample.picture is not None
    assert sample.placement is not None
    picture, placement = sample.picture, sample.placement
    factor = min(1.0, DRAWN_SIDE / max(picture.size))
    size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    scale = placement.scale[0] * picture.width / size[0], placement.scale[1] * picture.height / size[1]
    small = replace(placement, scale=scale, size=size)
    return _jpeg(answer.mapped(small).draw(picture.resize(size)))


def _jpeg(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()

"""A few pictures with the full model's answer and the pair's, for people to look at."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from splitc.evaluate.paths import Paths
from splitc.runtime import Reader, describe, is_picture, read_picture

SIDE = 160
"""Shorter side of a thumbnail, pixels."""
LIMIT = 12


def examples(paths: Paths, reader: Reader, files: Sequence[Path]) -> list[dict[str, Any]]:
    """Name, thumbnail and both answers of the first pictures; none where the network does not classify."""
    contract = paths.edge.contract
    if contract.task != "classification":
        return []
    pictures = [file for file in files if is_picture(file)][:LIMIT]
    found = []
    for file, sample in zip(pictures, replace(reader, regions=1).samples(pictures), strict=True):
        before = describe(dict(paths.full(sample.feeds)), contract)
        paths.edge.force_keyframe()
        packet = paths.edge.encode(paths.edge.symbols(sample.feeds))
        after = describe(paths.cloud.answer(paths.cloud.decode(packet)), contract)
        found.append(
            {
                "name": file.name,
                "jpeg_base64": thumbnail(file),
                "before": before["name"],
                "before_share": before["share"],
                "after": after["name"],
                "after_share": after["share"],
                "payload_bytes": len(packet),
            }
        )
    return found


def thumbnail(file: Path) -> str:
    """A small square JPEG of the picture's centre, base64."""
    picture = read_picture(file)
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    small = picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()

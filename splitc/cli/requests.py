"""``splitc encode --bundle BUNDLE PICTURE``: what the edge would send, as a file that load tests send again."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from splitc.errors import UsageError
from splitc.files import write_file
from splitc.types import Array

JSON = ".json"
"""Ends the name of an input file of perf_analyzer; under another name lies one packet."""


@dataclass(frozen=True)
class Sent:
    """One request of the edge.

    Attributes:
        clip: Frames of one clip are predicted from each other.
        packet: Its bytes.
        given: What the tail is given beside it.
    """

    clip: str
    packet: bytes
    given: Mapping[str, Array]


def requests_of(bundle: Path, files: Sequence[Path]) -> Iterator[Sent]:
    """Run the edge half on pictures, videos or arrays.

    Raises:
        SplitcError: A file that is none, or does not fit the network.
    """
    from splitc.bundle import open_bundle
    from splitc.runtime import EdgeHalf, Reader

    edge, clip = EdgeHalf(open_bundle(bundle)), None
    for sample in Reader(edge.contract.inputs, edge.contract.preprocess).samples(files):
        if sample.clip != clip:
            edge.force_keyframe()
        clip = sample.clip
        yield Sent(sample.clip, edge.encode(edge.symbols(sample.feeds)), edge.given(sample.feeds))


def write_requests(out: Path, sent: Sequence[Sent], *, in_sequences: bool) -> None:
    """One packet as it is, or any number as perf_analyzer's ``--input-data``.

    Args:
        out: The file; its name decides.
        sent: At least one.
        in_sequences: A list for each clip, as perf_analyzer has sequences.

    Raises:
        UsageError: Several packets, or inputs beside one, and no name of a JSON file.
    """
    if out.suffix == JSON:
        write_file(out, (json.dumps({"data": _data(sent, in_sequences)}, indent=1) + "\n").encode())
        return
    if len(sent) != 1 or sent[0].given:
        raise UsageError(
            f"{out}: holds one packet, and these are {len(sent)} requests, with "
            f"{', '.join(sent[0].given) or 'nothing'} beside the packet; name a file that ends with {JSON}, as "
            "perf_analyzer reads it."
        )
    write_file(out, sent[0].packet)


def _data(sent: Sequence[Sent], in_sequences: bool) -> list[Any]:
    if not in_sequences:
        return [_step(one) for one in sent]
    clips: dict[str, list[Any]] = {}
    for one in sent:
        clips.setdefault(one.clip, []).append(_step(one))
    return list(clips.values())


def _step(one: Sent) -> dict[str, Any]:
    packet = np.frombuffer(one.packet, np.uint8)
    return {name: _tensor(array) for name, array in {"packet": packet, **one.given}.items()}


def _tensor(array: Array) -> dict[str, Any]:
    return {"b64": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode(), "shape": list(array.shape)}

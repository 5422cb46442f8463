"""What a search is asked: where, between which places, with which codecs and types, under which limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from splitc.codec import CodecSpec
from splitc.device import Device, Link, Precision
from splitc.graph import CandidateCut
from splitc.recipe import SplitSection

USUAL_BITS = 4
"""Bits a symbol where the codec chooses them itself."""


Layers = Mapping[Precision, Mapping[str, float]]
"""Milliseconds by value of the model, of each element type that was measured."""


@dataclass(frozen=True)
class Places:
    """Where the halves run and what joins them.

    Attributes:
        edge, cloud: Devices.
        link: From edge to cloud.
        edge_layers, cloud_layers: Measured milliseconds of this very model; where given, they replace every
            prediction for that place in that element type, and no other.
        edge_whole_ms, cloud_whole_ms: Measured milliseconds of the whole model, by element type, where no layer's are
            known: every prediction for that place is scaled to them.
    """

    edge: Device
    cloud: Device
    link: Link
    edge_layers: Layers = field(default_factory=dict)
    cloud_layers: Layers = field(default_factory=dict)
    edge_whole_ms: Mapping[Precision, float] = field(default_factory=dict)
    cloud_whole_ms: Mapping[Precision, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Option:
    """One way to code a feature and to compute the halves."""

    spec: CodecSpec
    edge_precision: Precision = "fp32"
    cloud_precision: Precision = "fp32"

    @property
    def bits(self) -> int | None:
        """Bits of a symbol, None where the codec chooses them."""
        bits: int | None = self.spec.bits
        return bits

    @property
    def label(self) -> str:
        """For people: ``uniform 4 bit, rans`` or ``step 0.5, rans``."""
        bits = "" if self.bits is None else f" {self.bits} bit"
        step = self.spec.options.get("step")
        rate = bits if step is None else f" {step:g}"
        return f"{self.spec.quantizer}{rate}, {self.spec.entropy}"


@dataclass(frozen=True)
class Ask:
    """One question to the planner.

    Attributes:
        split: ``at`` (names or "auto"), objective, pins, depth, memory, number of candidates.
        options: Codecs and types to choose from; at least one.
        min_fidelity: Least agreement with the unsplit model; None: any, but see :mod:`splitc.plan.worth`.
        sends_pixels: Without a cut, the edge may send the input as 8-bit pixels; else it sends the input's own type.
        sizes: Usual sizes of dynamic dimensions, such as a number of tokens; others count as 1.
        max_divergence: Largest of the task's smooth distance; None: any.
        divergence_unit: What that distance is, with its unit.
        equal_divergence: At which codings of the input are compared; None: ``max_divergence``, or what the best cut
            has where there is no such limit. Plans over several links share one.
    """

    split: SplitSection
    options: tuple[Option, ...]
    min_fidelity: float | None = None
    sends_pixels: bool = False
    sizes: Mapping[str, int] = field(default_factory=dict)
    max_divergence: float | None = None
    divergence_unit: str = ""
    equal_divergence: float | None = None


@dataclass(frozen=True)
class Measurement:
    """What coding real samples gave: mean packet, and the answers' worth where they were computed.

    Attributes:
        payload_bytes: Mean packet.
        fidelity, accuracy: Of the answers; None where not computed, or without labels.
        samples: How many samples ``fidelity`` is a share of; None where it is no share of samples, such as a cosine.
        divergence: The task's smooth distance, the mean over the samples; None where not computed.
        divergence_error: Its standard error; None where not known.
    """

    payload_bytes: float
    fidelity: float | None = None
    accuracy: float | None = None
    samples: int | None = None
    divergence: float | None = None
    divergence_error: float | None = None


Measure = Callable[[CandidateCut, Option], Measurement]
"""Real packets of a cut, from a codec fitted and measured on calibration samples."""


@dataclass(frozen=True)
class CodedInput:
    """One way to send the input itself: JPEG of one quality, H.264 of one rate, or as it is.

    Attributes:
        name: The coding and its setting.
        measured: Bytes and answers.
        encode_ms, decode_ms: Assumed of every device, as of the codecs of features.
    """

    name: str
    measured: Measurement
    encode_ms: float = 0.0
    decode_ms: float = 0.0


CodeInput = Callable[[float, Precision], Sequence[CodedInput]]
"""The smallest coding of the input of each kind with which the answers of a cloud of this element type have this
divergence; the best where none has so little."""
MeasureWhole = Callable[[Precision], Measurement]
"""What the unsplit model's answers are worth in an element type; its payload is none."""


def no_codings(divergence: float, precision: Precision) -> Sequence[CodedInput]:
    """Where no samples were given, nothing is known about coding the input."""
    return ()


def unmeasured_whole(precision: Precision) -> Measurement:
    """The unsplit model is what fidelity is measured against; without samples no other type is known."""
    return Measurement(0.0, 1.0, divergence=0.0) if precision == "fp32" else Measurement(0.0)

"""The tables of a recipe, one class each; a field is a key. Units stand in the names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from splitc.recipe.values import (
    MAX_DIM,
    Bytes,
    Capabilities,
    Names,
    Patterns,
    Text,
    check_path,
    check_sha256,
    parse_at,
    parse_dims,
    parse_shapes,
    shown,
)
from splitc.types import Frozen, Preprocess

Precision = Literal["fp32", "fp16", "int8"]
FilePath = Annotated[Text, AfterValidator(check_path)]


class Section(Frozen):
    """One table: unknown keys, wrong types and non-finite numbers are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DimRange(Section):
    """Sizes that a dynamic dimension takes; ``opt`` is the one engines are tuned for."""

    min: int = Field(1, ge=1, le=MAX_DIM, description="smallest size")
    opt: int = Field(1, ge=1, le=MAX_DIM, description="usual size; absent: min")
    max: int = Field(1, ge=1, le=MAX_DIM, description="largest size; absent: opt")

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        low = value.get("min", 1)
        usual = value.get("opt", low)
        return {"min": low, "opt": usual, "max": usual, **value}

    @model_validator(mode="after")
    def _ordered(self) -> DimRange:
        if not self.min <= self.opt <= self.max:
            raise ValueError(f"must have min <= opt <= max, got {self.min}, {self.opt}, {self.max}")
        return self


class ModelSection(Section):
    """[model] What is cut."""

    source: FilePath = Field(description="path of an .onnx file, or zoo:NAME")
    sha256: str | None = Field(None, description="hash that the model file must have, 64 hex digits")
    url: Text | None = Field(None, description="https address the file is fetched from once; needs sha256")
    shapes: Annotated[dict[str, tuple[int | str, ...]], BeforeValidator(parse_shapes)] = Field(
        {}, description="shape of each input; a name stands for a dynamic dimension"
    )
    dims: Annotated[dict[str, DimRange], BeforeValidator(parse_dims)] = Field(
        {}, description="sizes that each named dimension takes"
    )

    @field_validator("source")
    @classmethod
    def _known_kind(cls, source: str) -> str:
        if source.lower().endswith(".onnx") or (source.startswith("zoo:") and len(source) > 4):
            return source
        raise ValueError(f'must be the path of an .onnx file, or "zoo:NAME", got {shown(source)}')

    @field_validator("sha256")
    @classmethod
    def _hex(cls, sha256: str | None) -> str | None:
        return check_sha256(sha256)


class DataSection(Section):
    """[data] Real samples: calibration, verify and eval use them. Never random.

    When ``verification`` is absent, every fourth calibration file is kept out of calibration and verifies
    (:func:`splitc.recipe.hold_out`). A table named like the task holds its options, which the task declares
    (docs/tasks.md).
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, dict[str, Any]]

    calibration: Patterns = Field(
        (), description="pictures or .npy/.npz: paths, folders or globs, or package:NAME/GLOB"
    )
    verification: Patterns = Field((), description="the same for verify; absent: held out of calibration")
    crops: int = Field(1, ge=1, le=25, description="deterministic crops taken of each picture")
    preprocess: Preprocess | None = Field(
        None, description="picture to input; absent: the zoo network's own, else 0..1"
    )
    labels: FilePath | None = Field(None, description="what is known about the samples, in a format of the task")
    classes: FilePath | None = Field(None, description="class names, one a line; absent: the zoo network's own")
    sha256: str | None = Field(None, description="hash of all calibration and verification files, 64 hex digits")
    task: Text = Field("classification", description="what the model's answer is; its options: [data.TASK]")

    @property
    def task_options(self) -> Mapping[str, Any]:
        """What the table of the task spells."""
        return MappingProxyType(self.__pydantic_extra__.get(self.task, {}))

    @field_validator("sha256")
    @classmethod
    def _hex(cls, sha256: str | None) -> str | None:
        return check_sha256(sha256)

    @field_validator("preprocess", mode="before")
    @classmethod
    def _numbers(cls, preprocess: Any) -> Any:
        """Preprocess itself would take true for 1 and "256" for 256."""
        for key in ("resize", "crop", "scale", "pad") if isinstance(preprocess, dict) else ():
            if isinstance(preprocess.get(key), (bool, str)):
                raise ValueError(f"must have a number as {key}, got {shown(preprocess[key])}")
        return preprocess

    @field_validator("preprocess")
    @classmethod
    def _computable(cls, preprocess: Preprocess | None) -> Preprocess | None:
        if preprocess is None:
            return None
        if not all(map(math.isfinite, (preprocess.scale, *preprocess.mean, *preprocess.std))):
            raise ValueError("must hold finite numbers")
        if min(preprocess.std) <= 0:
            raise ValueError(f"must have std above 0, got {shown(preprocess.std)}")
        return preprocess


class SplitSection(Section):
    """[split] Where to cut, or how to choose."""

    at: Annotated[Literal["auto"] | tuple[str, ...], BeforeValidator(parse_at)] = Field(
        "auto", description='tensor names (several make one cut), or "auto"'
    )
    objective: Literal["latency", "energy", "uplink", "throughput"] = Field(
        "latency",
        description='what "auto" makes good: time, energy of the edge, bytes, or samples a second of the pair',
    )
    keep: dict[str, Literal["cloud", "edge"]] = Field(
        {},
        description='what need not cross, by name or glob: inputs that the tail is given as they are = "cloud", '
        'outputs that the head answers = "edge"',
    )
    pin_edge: Names = Field((), description="node-name globs that must be on the edge")
    pin_cloud: Names = Field((), description="node-name globs that must be in the cloud")
    min_depth: float = Field(0.0, ge=0, le=1, description="share of FLOPs that must stay on the edge")
    edge_memory: Bytes | None = Field(
        None, description="most bytes of the head's weights and activations; absent: the edge device's memory"
    )
    candidates: int = Field(8, ge=1, le=256, description="best cuts whose real bytes are measured")
    max_tensors: int = Field(4, ge=1, le=16, description="most tensors that may cross")
    batch_axis: int | None = Field(
        None,
        ge=-8,
        le=7,
        description="samples' axis in the tensors that at names, -1 the last; absent: the graph tells",
    )
    channel_axis: int | None = Field(
        None,
        ge=-8,
        le=7,
        description="channels' axis in the tensors that at names, -1 the last; absent: the graph tells",
    )

    @model_validator(mode="after")
    def _axes_of_named_tensors(self) -> SplitSection:
        if self.at == "auto" and (self.batch_axis, self.channel_axis) != (None, None):
            raise ValueError('batch_axis and channel_axis go with the tensors that at names, not with at = "auto"')
        return self


class LinkSection(Section):
    """[link] The network between the halves."""

    uplink_mbps: float = Field(20.0, gt=0, le=1e6, description="edge to cloud, 10^6 bit/s")
    rtt_ms: float = Field(15.0, ge=0, le=60_000, description="round trip")
    jitter_ms: float = Field(0.0, ge=0, le=60_000, description="extra delay to plan for")
    radio_w: float | None = Field(None, ge=0, le=1e4, description="power of the edge's sender; absent: not counted")
    trace: FilePath | None = Field(
        None, description='csv "seconds,uplink_mbps[,rtt_ms]": splitc plan says when to switch between cuts'
    )


class CodecSection(Section):
    """[codec] How the feature becomes bytes.

    Keys beside these are options of the parts that are named here, declared by the parts themselves; docs/codec.md
    lists them. A spelled part wins over the profile's, whose options of the part that it replaces do not apply. An
    absent option is its part's own default; one that no part has is refused.
    """

    model_config = ConfigDict(extra="allow")

    profile: Literal["fast", "balanced", "max"] = Field("fast", description="named choice of the parts")
    transform: Text = Field("none", description="features to the planes that are quantized")
    quantizer: Text = Field("step", description="features to symbols")
    temporal: Text = Field("none", description="prediction from the previous frame; calibration then holds clips")
    entropy: Text = Field("rans", description="symbols to bytes")

    @model_validator(mode="before")
    @classmethod
    def _absent(cls, value: Any) -> Any:
        """None, which TOML has not, says the same as leaving an option out."""
        return {key: one for key, one in value.items() if one is not None} if isinstance(value, dict) else value

    @property
    def options(self) -> Mapping[str, Any]:
        """What is spelled beside the names."""
        return MappingProxyType(self.__pydantic_extra__ or {})


class Prune(Section):
    """Share of weights set to zero."""

    method: Literal["magnitude", "global", "compensated"] = Field(
        "magnitude",
        description="which weights go: the smallest of each layer, of all of a kind together, or those that the others "
        "can make up for, and do",
    )
    conv: float = Field(0.0, ge=0, lt=1, description="share in convolutions")
    fc: float = Field(0.0, ge=0, lt=1, description="share in fully connected layers")

    @model_validator(mode="after")
    def _asks_for_something(self) -> Prune:
        if self.conv == self.fc == 0:
            raise ValueError("must have a share above 0 in conv or in fc")
        return self


class Cluster(Section):
    """Shared weights: ``2**bits`` values a layer, zero among them."""

    conv_bits: int = Field(8, ge=1, le=8, description="bits a code in convolutions")
    fc_bits: int = Field(5, ge=1, le=8, description="bits a code in fully connected layers")
    init: Literal["linear", "density", "kmeans++"] = Field("linear", description="where k-means begins")


class Rounding(Section):
    """Weights rounded to one even step a layer, which the weight container codes best."""

    noise: float = Field(
        0.01, gt=0, le=1, description="what rounding may add to all layers' outputs, as a share of their energy"
    )


class SideWeights(Section):
    """What happens to the weights of one half."""

    prune: Prune | None = Field(None, description="absent: no weight is removed")
    cluster: Cluster | None = Field(None, description="absent: no weight is shared")
    rounding: Rounding | None = Field(None, description="absent: no weight is rounded to steps")
    precision: Precision = Field("fp32", description="element type that engines compute in")
    sparsity: Literal["none", "2:4"] = Field("none", description="structured zeros")

    @property
    def changes_values(self) -> bool:
        """Whether layers get other weights, and not only another float type."""
        steps = (self.prune, self.cluster, self.rounding)
        return any(one is not None for one in steps) or self.precision == "int8" or self.sparsity != "none"

    @model_validator(mode="after")
    def _has_one_set_of_values(self) -> SideWeights:
        is_int8 = self.precision == "int8"
        asked = {"cluster": self.cluster, "rounding": self.rounding, 'precision = "int8"': is_int8 or None}
        found = [name for name, value in asked.items() if value is not None]
        if len(found) > 1:
            raise ValueError(
                f"must have one of {' and '.join(found)}: each gives the weights values of its own, and the last would "
                "undo the one before"
            )
        return self


class WeightsSection(Section):
    """[weights] for both halves, or [weights.edge] and [weights.cloud]; plain keys are stored for both."""

    edge: SideWeights = Field(default_factory=SideWeights)
    cloud: SideWeights = Field(default_factory=SideWeights)

    @model_validator(mode="before")
    @classmethod
    def _spread(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not (plain := value.keys() - {"edge", "cloud"}):
            return value
        if len(plain) < len(value):
            raise ValueError("must be given either for both halves or in [weights.edge] and [weights.cloud], not mixed")
        return {"edge": value, "cloud": value}


class Losses(Section):
    """Weights of the recovery losses, and the temperature."""

    ce: float = Field(1.0, ge=0, description="cross entropy with the labels")
    hints: float = Field(0.5, ge=0, description="distance of the feature from the original's")
    kl: float = Field(1.0, ge=0, description="divergence from the original's answer")
    tau: float = Field(4.0, gt=0, description="temperature of kl")


class BottleneckSection(Section):
    """A learned encoder at the end of the head and a decoder before the tail."""

    channels: int | None = Field(None, ge=1, le=4096, description="channels of what crosses; absent: several are tried")
    stride: Literal[1, 2] = Field(2, description="side of the blocks of places that become one place of what crosses")
    hidden: int = Field(64, ge=1, le=1024, description="channels inside the decoder's residual block")
    encoder: Literal["kept", "trained"] = Field(
        "kept",
        description="the calibrated transform stays, so that the edge half is final before any training; or it is "
        "trained, with the bits of the coder's tables as part of the loss",
    )


class RecoverySection(Section):
    """[recovery] Training, without labels, that wins bytes back at equal answers; needs the train extra."""

    bottleneck: Annotated[BottleneckSection | None, BeforeValidator(lambda one: {} if one == "auto" else one)] = Field(
        None, description='what is trained; "auto": every key at its default'
    )
    data: Patterns = Field((), description="unlabelled files to train on, as in data.calibration; absent: those")
    sha256: str | None = Field(None, description="hash of the files that data names, 64 hex digits")
    iterations: int = Field(1000, ge=1, le=1_000_000, description="of the training")
    batch: int = Field(32, ge=2, le=4096, description="samples an iteration")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="of the bottleneck, at the start; falls as a cosine")
    tail_rate: float = Field(0.0, ge=0, le=1, description="the same of the tail's weights; 0: they stay")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of everything that is drawn")
    schedule: Text | None = Field(None, description="order of training and pruning")
    losses: Losses | None = Field(None, description="what the training makes small")

    @field_validator("sha256")
    @classmethod
    def _hex(cls, sha256: str | None) -> str | None:
        return check_sha256(sha256)


class VideoSection(Section):
    """[video] Clip models and streams."""

    clips: int = Field(3, ge=1, le=1000, description="clips a video")
    frames: int = Field(8, ge=1, le=1000, description="frames a clip")
    offset: int = Field(2, ge=0, le=100_000, description="frames between samples")
    sampling: Text = Field("consecutive", description="how frames are chosen")
    aggregate: Text = Field("average", description="how the answers of clips become one")
    input: Literal["rgb", "compressed"] = Field("rgb", description="pictures, or I-frame and accumulated residuals")


class TargetSection(Section):
    """[target.edge], [target.cloud] What an engine is built for."""

    device: Text | None = Field(None, description="name of a device profile; absent: this machine")
    backend: Text = Field("onnxruntime", description="onnxruntime, tensorrt, tensorrt_rtx, null")
    profile: FilePath | None = Field(
        None, description="measured profile of this model on the device; absent: times come from the device's figures"
    )
    compute_capabilities: Capabilities | None = Field(
        None, description="CUDA compute capabilities without the dot; absent: the device's"
    )
    options: dict[str, bool | int | str] = Field(
        {}, description="of the backend: dla_core, workspace_mb, version_compatible ...; see docs/engines.md"
    )


class TargetsSection(Section):
    """[target] Both halves."""

    edge: TargetSection = Field(default_factory=TargetSection)
    cloud: TargetSection = Field(default_factory=TargetSection)


class GateSection(Section):
    """[gate] Limits; a build that misses one exits 1. Absent: not checked."""

    min_fidelity: float | None = Field(None, ge=0, le=1, description="least agreement with the unsplit model")
    confidence: float | None = Field(
        None, ge=0.5, lt=1, description="judge the bound that holds with this confidence; absent: the value itself"
    )
    max_kl: float | None = Field(None, ge=0, description="most mean KL divergence from the unsplit model, nats")
    max_divergence: float | None = Field(None, ge=0, description="the same of tasks whose smooth distance is no KL")
    max_top1_drop: float | None = Field(None, ge=-1, le=1, description="most loss of top-1, as a share; needs labels")
    max_map_drop: float | None = Field(None, ge=-1, le=1, description="most loss of mAP, as a share; needs labels")
    max_miou_drop: float | None = Field(None, ge=-1, le=1, description="most loss of mIoU, as a share; needs labels")
    max_rate_bpe: float | None = Field(None, gt=0, description="most bits a feature element on the wire")
    max_edge_bytes: Bytes | None = Field(None, description='most bytes of the edge half: 5000000, "5MB", "800KiB"')
    max_edge_ms: float | None = Field(None, gt=0, description="most milliseconds of the head on the edge device")

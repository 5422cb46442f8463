"""``splitc profile``: what a model or a half takes, here, on a device behind SSH, or as trtexec measured it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitc.cli.app import Json, app, print_json, say
from splitc.cli.names import pairs
from splitc.cli.option_rules import SIDES, Excludes, Needs, check_options, one_of
from splitc.cli.options import grouped
from splitc.cli.progress import counted
from splitc.errors import UsageError

if TYPE_CHECKING:
    from splitc.bundle import Bundle
    from splitc.profiler import Opened, ProfiledModel, TimedRecord
    from splitc.records import Precision, Record
    from splitc.types import Feeds

SHOWN_LAYERS = 12
_HERE = ("samples", "warmup", "threads", "data")
_THERE = ("device", "ssh_config", "remote_python")
_ENGINE = ("engine", "engine_folder", "target", "option")
_EXPORTS = ("imported", "import_profile", "import_layers", "tensorrt", "trtexec_flags")
RULES: tuple[Needs | Excludes, ...] = (
    Excludes("replay", ("name", "export", *_HERE, *_THERE, *_ENGINE, *_EXPORTS), "it runs nothing"),
    Excludes("imported", ("export", *_HERE, *_THERE, *_ENGINE), "trtexec has measured already"),
    Excludes("engine", _THERE, "it measures here; run splitc profile --engine on the device itself"),
    Excludes("engine", ("threads",), "the GPU computes"),
    Needs("imported", "tensorrt", "numbers of different versions cannot be compared"),
    *(Needs(option, "imported") for option in _EXPORTS[1:]),
    *(Needs(option, "device") for option in _THERE[1:]),
    *(Needs(option, "engine") for option in _ENGINE[1:]),
    Needs("import_layers", "import_profile", "it says what the profile's layers are"),
    Needs("chip", "tegrastats"),
)


@dataclass(frozen=True)
class ProfileSubject:
    """What is measured."""

    what: Annotated[Path, typer.Argument(help="A bundle, with --side; or an ONNX model.")]
    side: Annotated[str | None, typer.Option("--side", help="Side of a bundle: edge or cloud; else edge.")] = None


@dataclass(frozen=True)
class RunOptions:
    """Where and how often it runs."""

    device: Annotated[
        str | None, typer.Option("--device", help="ssh://user@host[:port] to measure on; else this machine.")
    ] = None
    name: Annotated[str, typer.Option("--name", help="Name of the device in the record.")] = "cpu"
    data: Annotated[list[str] | None, typer.Option("--data", help="Input files; else noise with a fixed seed.")] = None
    samples: Annotated[int, typer.Option("--samples", min=1, help="Timed inferences.")] = 100
    warmup: Annotated[int, typer.Option("--warmup", min=0, help="Untimed inferences before them.")] = 10
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads an inference may use.")] = 1


@dataclass(frozen=True)
class BuiltEngine:
    """The engine to measure in place of ONNX Runtime: the options that ``splitc engine`` was given."""

    engine: Annotated[bool, typer.Option("--engine", help="Measure the engine that splitc engine built here.")] = False
    engine_folder: Annotated[Path | None, typer.Option("--engine-folder", help="The --out it was built with.")] = None
    target: Annotated[str | None, typer.Option("--target", help="The --target it was built with.")] = None
    option: Annotated[list[str] | None, typer.Option("--set", help="The --set it was built with.")] = None


@dataclass(frozen=True)
class SshOptions:
    """How to reach the device."""

    ssh_config: Annotated[Path | None, typer.Option("--ssh-config", help="An ssh_config in place of the default.")] = (
        None
    )
    remote_python: Annotated[str, typer.Option("--remote-python", help="Python on the device.")] = "python3"


@dataclass(frozen=True)
class ImportOptions:
    """What trtexec measured."""

    imported: Annotated[Path | None, typer.Option("--import", help="trtexec's --exportTimes file.")] = None
    import_profile: Annotated[Path | None, typer.Option("--import-profile", help="Its --exportProfile.")] = None
    import_layers: Annotated[Path | None, typer.Option("--import-layers", help="Its --exportLayerInfo.")] = None
    tensorrt: Annotated[str, typer.Option("--tensorrt", help="TensorRT's version, with --import.")] = ""
    trtexec_flags: Annotated[str, typer.Option("--trtexec-flags", help="Its flags, with --import.")] = ""


@dataclass(frozen=True)
class RecordOptions:
    """What is added to the record, and what is read and written in files."""

    tegrastats: Annotated[
        Path | None, typer.Option("--tegrastats", help="A tegrastats log of the measured interval.")
    ] = None
    chip: Annotated[
        str | None, typer.Option("--chip", help="Chip in the log (tegra234, ...), whose rails are summed.")
    ] = None
    replay: Annotated[Path | None, typer.Option("--replay", help="A record to show and check; runs nothing.")] = None
    out: Annotated[Path | None, typer.Option("--out", help="Write the record here.")] = None
    export: Annotated[Path | None, typer.Option("--export", help="Folder for JSON as trtexec writes it.")] = None


@app.command()
@grouped
def profile(
    context: typer.Context,
    subject: ProfileSubject,
    running: RunOptions,
    built: BuiltEngine,
    ssh: SshOptions,
    trtexec: ImportOptions,
    files: RecordOptions,
    json: Json = False,
) -> None:
    """Latency with percentiles, layers, memory, watts and clocks, as one record that plan can use."""
    from splitc.files import refuse_special
    from splitc.profiler import export_files
    from splitc.records import write_record

    check_options(context, RULES)
    if files.out is not None:
        refuse_special(files.out)  # measuring takes minutes
    half, measured = _half(subject), None
    if files.replay is not None:
        record = _replayed(files.replay, half)
    elif trtexec.imported is not None:
        record = _imported(half, trtexec.imported, trtexec, running.name)
    else:
        url = running.device
        measured = (
            _local_run(half, subject, running, built) if url is None else _remote_run(half, subject, running, url, ssh)
        )
        record = _with_inputs(measured.record, running.data)
    if files.tegrastats is not None:
        record = _with_log(record, files.tegrastats, files.chip)
    if files.export is not None and measured is not None:
        export_files(measured, files.export)
    if files.out is not None:
        write_record(record, files.out)
    print_json(record.model_dump(mode="json")) if json else show(record)


def show(record: Record) -> None:
    """Percentiles, then power, then the slowest layers."""
    ms = record.latency_ms
    print(f"{record.side} on {record.device}, {record.backend} {record.backend_version}, {record.samples} samples")
    for title, one in (("latency", ms), ("device", record.device_ms)):
        if one is not None:
            print(
                f"{title:<8} mean {one.mean:.3f}  p50 {one.p50:.3f}  p90 {one.p90:.3f}  p95 {one.p95:.3f}  "
                f"p99 {one.p99:.3f} ms"
            )
    if record.peak_memory_mb is not None:
        print(f"memory   {record.peak_memory_mb:.0f} MiB at most")
    if record.power_w is not None and record.energy_mj is not None:
        print(f"power    {record.power_w:.2f} W, {record.energy_mj:.2f} mJ an inference, idle power included")
    for key, text in sorted(record.environment.items()):
        print(f"  {key}: {text}")
    slowest = sorted(record.layers, key=lambda layer: -layer.median_ms)
    total = sum(layer.median_ms for layer in record.layers) or 1.0
    for layer in slowest[:SHOWN_LAYERS]:
        print(f"{layer.median_ms:9.4f} ms {layer.median_ms / total:6.1%}  {layer.operator:<14} {layer.name[:70]}")
    if len(slowest) > SHOWN_LAYERS:
        print(f"and {len(slowest) - SHOWN_LAYERS} faster layers")


def _half(subject: ProfileSubject) -> ProfiledModel:
    """The model, or the half of a bundle."""
    from splitc.bundle import open_bundle
    from splitc.profiler import ProfiledModel, model_sha256, precision_of

    what, side = subject.what, subject.side
    if not what.is_dir():
        if side is not None:
            raise UsageError(f"--side: {what} is a model, which has no sides; leave it out.")
        return ProfiledModel(what, model_sha256(what), "whole", precision_of(what))
    one_of("--side", side or "edge", SIDES)
    bundle = open_bundle(what)
    path = bundle.cloud_model if side == "cloud" else bundle.edge_model
    precision = _precision(bundle, side or "edge")
    return ProfiledModel(path, model_sha256(path), "cloud" if side == "cloud" else "edge", precision)


def _precision(bundle: Bundle, side: str) -> Precision:
    """As the bundle's report says it.

    Raises:
        UsageError: The report says something else than a precision.
    """
    from splitc.records import PRECISIONS

    report = bundle.read_json("report.json") if "report.json" in bundle else {}
    sides = report.get("precision", {}) if isinstance(report, dict) else report
    said = sides.get(side, "fp32") if isinstance(sides, dict) else sides
    for known in PRECISIONS:
        if said == known:
            return known
    raise UsageError(f"report.json: precision.{side}: is not one of {', '.join(PRECISIONS)}; build the bundle again.")


def _feeds(what: Path, half: ProfiledModel, data: list[str]) -> list[Feeds]:
    """Inputs of the half: real ones, or noise; of the cloud half what the edge half makes of them."""
    from splitc.profiler import MOST_FEEDS, bundle_feeds, model_feeds

    make = bundle_feeds if half.side != "whole" else model_feeds
    return make(what, half, data)[:MOST_FEEDS]


def _local_run(half: ProfiledModel, subject: ProfileSubject, asked: RunOptions, built: BuiltEngine) -> TimedRecord:
    """Measured in this process."""
    from splitc.profiler import Runs, measure

    opened = _engine(subject.what, half, built) if built.engine else None
    runs, feeds = Runs(asked.threads, asked.warmup, asked.samples), _feeds(subject.what, half, asked.data or [])
    with counted("profile", runs.warmup + runs.samples) as step:
        return measure(half, feeds, runs, asked.name, step=step, engine=opened)


def _remote_run(
    half: ProfiledModel, subject: ProfileSubject, asked: RunOptions, url: str, ssh: SshOptions
) -> TimedRecord:
    """Measured on the device at ``url``."""
    from splitc.profiler import Runs, SshDestination, measure_remote

    address = SshDestination.parse(url, ssh.ssh_config, ssh.remote_python)
    runs, feeds = Runs(asked.threads, asked.warmup, asked.samples), _feeds(subject.what, half, asked.data or [])
    return measure_remote(half, feeds, runs, asked.name, address, lambda text: say(f"  {address.host}: {text}"))


def _engine(what: Path, half: ProfiledModel, asked: BuiltEngine) -> Opened:
    """The engine of the half, as splitc engine was asked for it; refused when it is stale."""
    from splitc.bundle import open_bundle
    from splitc.profiler import engine_half
    from splitc.runtime import find_order, open_engine, with_options

    if half.side == "whole":
        raise UsageError("--engine is for a bundle and a --side; an ONNX model has no engine.")
    bundle = open_bundle(what, verify=False)
    order = with_options(find_order(bundle, half.side, asked.target), pairs(asked.option or []))
    runner, version = open_engine(bundle, order, asked.engine_folder)
    return engine_half(runner, order.backend, version, half)


def _imported(half: ProfiledModel, times: Path, asked: ImportOptions, device: str) -> Record:
    """As trtexec measured it."""
    from splitc.profiler import Exports, record_from_trtexec

    exports = Exports(times, asked.import_profile, asked.import_layers, asked.tensorrt, device, asked.trtexec_flags)
    record = record_from_trtexec(half, exports)
    if record.layers:
        _refuse_foreign(record, exports.profile, half.path)
        _say_untraced(record)
    return record


def _refuse_foreign(record: Record, profile: Path | None, model: Path) -> None:
    """Raises: UsageError: the time is of layers called after nodes, and none of those is this model's."""
    from splitc.records import is_copy, is_opaque

    names = [layer.name for layer in record.layers if layer.median_ms and not is_copy(layer.name)]
    if not names or any(map(is_opaque, names)) or any(layer.values for layer in record.layers):
        return
    raise UsageError(
        f"{profile}: belongs to another model: none of its {len(names)} layers, such as {names[0]!r}, is a node of "
        f"{model}; profile an engine of this very file."
    )


def _say_untraced(record: Record) -> None:
    """Warn of a profile whose layers do not tell which part of the model they are."""
    from splitc.records import LEAST_TRACED, traced_share

    share = traced_share(record)
    if not any(layer.median_ms for layer in record.layers):
        say("note: every layer took 0 ms: plan will spread the whole model's time over its layers as predicted.")
    elif share < LEAST_TRACED:
        say(
            f"note: {share:.0%} of the layers' time traces to nodes of this model; the rest is of other nodes, of "
            "regions that TensorRT names ForeignNode, or of another model. Export with --exportLayerInfo and "
            "--profilingVerbosity=detailed, and give --import-layers; else plan spreads the whole time as predicted."
        )


def _with_inputs(record: Record, data: list[str] | None) -> Record:
    """The record with what it was measured on, and when."""
    said = {
        "inputs": "files" if data else "noise of a fixed seed",
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    return record.model_copy(update={"environment": record.environment | said})


def _replayed(path: Path, half: ProfiledModel) -> Record:
    from splitc.records import read_record

    record = read_record(path)
    if record.model_sha256 != half.model_sha256:
        raise UsageError(f"{path}: belongs to another model (sha256 {record.model_sha256[:12]}...).")
    return record


def _with_log(record: Record, log: Path, chip: str | None) -> Record:
    """The record with the watts and clocks of a tegrastats log."""
    from splitc.profiler import read_tegrastats, summarize_log

    read = read_tegrastats(log, chip)
    found, notes = summarize_log(record, read.samples), read.notes()
    for name in ("tegrastats_skipped", "power"):
        if name in notes:
            say(f"note: {log}: {name.removeprefix('tegrastats_')}: {notes[name]}.")
    return found.model_copy(update={"environment": notes | found.environment})

"""``splitc verify BUNDLE``: where does the answer change, and by how much?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitc.cli.app import Json, app, print_json, say
from splitc.cli.lint import print_lint
from splitc.cli.option_rules import Excludes, Needs, check_options
from splitc.cli.options import grouped
from splitc.cli.signature import print_signature
from splitc.errors import CheckFailed, SplitcError, UsageError
from splitc.version import __version__

if TYPE_CHECKING:
    from splitc.bundle import Bundle
    from splitc.evaluate import Gate, Verification
    from splitc.graph import Model
    from splitc.recipe import Recipe
    from splitc.runtime import Reader
    from splitc.tasks import LabelTable


RULES = (
    Excludes("key", ("data", "model", "labels", "crops", "lint"), "it runs nothing"),
    Excludes("lint", ("data", "model", "labels", "crops"), "it runs nothing"),
    Needs("target", "lint", "it chooses what is looked for"),
    Needs("dla", "lint", "it chooses what is looked for"),
)


@dataclass(frozen=True)
class SampleOptions:
    """What the stages are run on."""

    data: Annotated[
        list[str] | None, typer.Option("--data", help="Files, folders or globs; else the recipe's verification files.")
    ] = None
    base: Annotated[Path, typer.Option("--base", help="Folder that the recipe's relative paths refer to.")] = Path()
    model: Annotated[Path | None, typer.Option("--model", help="The unsplit model; else the recipe's.")] = None
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="Labels in a format of the task; else the recipe's, for the recipe's files."),
    ] = None
    crops: Annotated[
        int | None, typer.Option("--crops", min=1, max=25, help="Regions taken of each picture; else the recipe's.")
    ] = None


@dataclass(frozen=True)
class LintOptions:
    """What is looked for when nothing is run."""

    lint: Annotated[
        bool, typer.Option("--lint", help="Run nothing: name each node that a target would refuse, and the fix.")
    ] = False
    target: Annotated[
        list[str] | None, typer.Option("--target", help="With --lint: a device or tensorrt-10.3, ...; may be repeated.")
    ] = None
    dla: Annotated[bool, typer.Option("--dla", help="With --lint: also what the DLA would leave to the GPU.")] = False


@app.command()
@grouped
def verify(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="A bundle; with --lint also an ONNX model.")],
    samples: SampleOptions,
    linting: LintOptions,
    key: Annotated[
        list[Path] | None,
        typer.Option("--key", metavar="KEY.pub", help="Run nothing: who signed this bundle, or this update?"),
    ] = None,
    json: Json = False,
) -> None:
    """Full model vs split vs quantized vs coded vs engine, on real inputs."""
    check_options(context, RULES)
    if key:
        print_signature(bundle, key, json)
        return
    if linting.lint:
        print_lint(bundle, samples.base, linting.target or [], linting.dla, json)
        return
    from splitc import driver, evaluate
    from splitc.bundle import open_bundle

    opened = open_bundle(bundle)
    recipe = driver.load_bundle_recipe(opened.recipe_path, samples.base, _keys_read(samples))
    result, notes = _verified(opened, recipe, _inputs(opened, recipe, samples), samples.model)
    gates = evaluate.measured_gates(result, recipe.gate)
    notes += [f"gate.{name} was not judged: no labels." for name in evaluate.unmeasured_gates(result, recipe.gate)]
    kept = [gate.model_dump(mode="json") for gate in gates]
    print_json(result.model_dump(mode="json") | {"gates": kept, "notes": notes}) if json else show(result, gates)
    for note in notes:
        say(f"note: {note}")
    _require(result, gates)


def show(result: Verification, gates: Sequence[Gate] = ()) -> None:
    """One line a stage, then what was left out, the rate and the limits."""
    has_labels = any(stage.top1 is not None for stage in result.stages)
    top1 = f" {'top-1':>7}" if has_labels else ""
    is_kl = all(stage.kl is not None for stage in result.stages)
    distance, added = ("KL", "KL added") if is_kl else ("distance", "added")
    print(f"{'stage':<10} {'fidelity':>8} {distance:>10} {'cosine':>9} {'max diff':>10} {added:>10}{top1}")
    for stage in result.stages:
        tensors = f"{_number(stage.cosine, '9.6f')} {_number(stage.max_abs_diff, '10.2e')}"
        numbers = f"{stage.divergence:10.2e} {tensors} {stage.added_divergence:10.2e}"
        top1 = f" {stage.top1:7.4f}" if stage.top1 is not None else ""
        print(f"{stage.name:<10} {stage.fidelity:8.4f} {numbers}{top1}")
    for skipped in result.skipped:
        print(f"{skipped['stage']:<10} skipped: {skipped['reason']}")
    print(f"{result.rate_bpe:.3f} bits an element ({result.baseline}: {result.baseline_rate_bpe:.3f})")
    for gate in gates:
        print(f"gate {gate.name}: {gate.value:.4g} against {gate.limit:.4g}: {'holds' if gate.ok else 'missed'}")
    if labelled := result.stage("coded").agreement.labelled:
        print(f"labels of {labelled} of {result.samples} samples")
    say(f"{result.task}: {result.headline}")
    say(f"against {result.reference}, on {result.samples} samples")


def _number(value: float | None, form: str) -> str:
    """A number in a column, or a dash in its place."""
    width = int(form.partition(".")[0])
    return f"{'-':>{width}}" if value is None else f"{value:{form}}"


@dataclass(frozen=True)
class _Inputs:
    """What is asked: files, how they are read, their classes where those are known, and what to say about them."""

    files: Sequence[Path]
    reader: Reader
    known: LabelTable
    notes: Sequence[str]


def _inputs(opened: Bundle, recipe: Recipe, asked: SampleOptions) -> _Inputs:
    """The files that are named, else the recipe's with the recipe's labels."""
    from splitc.runtime import Reader, bound_task, find_files, read_contract
    from splitc.tasks import LabelTable

    data, labels = asked.data, asked.labels
    calibration, files = ([], find_files(data, Path())) if data else _recipe_files(recipe, asked.base)
    notes = [] if data else _changed_data(recipe, [*calibration, *files])
    if labels is None and recipe.data.labels and not data:
        labels = recipe.resolve(recipe.data.labels)
    contract = read_contract(opened)
    reader = Reader(contract.inputs, contract.preprocess, asked.crops or recipe.data.crops)
    known = bound_task(contract).labels(labels) if labels else LabelTable({})
    return _Inputs(files, reader, known, [*notes, *reader.remarks(files)])


def _keys_read(asked: SampleOptions) -> list[str]:
    """Keys of the bundle's recipe whose files are read: those that nothing was named for."""
    keys = [] if asked.model else ["model.source"]
    keys += [] if asked.data else ["data.calibration", "data.verification"]
    return keys if asked.data or asked.labels else [*keys, "data.labels"]


def _recipe_files(recipe: Recipe, base: Path) -> tuple[list[Path], list[Path]]:
    """To calibrate on, and to verify on.

    Raises:
        UsageError: They are not in ``base``.
    """
    from splitc import driver

    try:
        return driver.data_files(recipe)
    except UsageError as error:
        raise UsageError(
            f"{str(error).removesuffix('.')}; name the recipe's folder with --base (now {base}), or other files with "
            "--data."
        ) from error


def _verified(opened: Bundle, recipe: Recipe, inputs: _Inputs, model: Path | None) -> tuple[Verification, list[str]]:
    """The stages on every input, and what the reader of the numbers must know."""
    from splitc import driver, evaluate
    from splitc.cli.progress import make_watch
    from splitc.runtime import Samples

    notes = list(inputs.notes)
    samples = Samples.of(inputs.reader, inputs.files)
    with driver.Stages(make_watch())("verify", len(samples)) as step:
        whole, why = _find_model(opened, recipe, model)
        same_tools = opened.manifest.splitc == __version__ and opened.manifest.tools == driver.tool_versions()
        paths = evaluate.paths_of_bundle(opened, whole, why, same_tools=same_tools)
        result = evaluate.verify(paths, samples, inputs.known, step)
    if whole is None:
        notes.append(f"compared with {result.reference}, which cannot notice a changed half: {why}.")
    elif not same_tools:
        notes.append("built with other versions of splitc or its tools; the split is compared within rounding.")
    return result, notes


def _changed_data(recipe: Recipe, files: Sequence[Path]) -> list[str]:
    """A note when the recipe's files are not those of the build."""
    from splitc.runtime import files_sha256

    found, pinned = files_sha256(files), recipe.data.sha256
    if pinned in (None, found):
        return []
    return [f"the recipe's files are not those of the build (sha256 {found[:12]}..., then {str(pinned)[:12]}...)."]


def _find_model(bundle: Bundle, recipe: Recipe, asked: Path | None) -> tuple[Model | None, str]:
    """The model that is asked for, or the recipe's; None, and why, where that is not the bundle's or not here."""
    from splitc import driver, graph, zoo
    from splitc.runtime import read_contract

    how = read_contract(bundle).preprocess
    if asked is not None:
        return driver.with_preprocess(graph.load(asked, recipe.model.shapes), how), ""
    source = recipe.model.source
    try:
        path = zoo.fetch(source) if zoo.is_zoo(source) else recipe.resolve(source)
        if not path.is_file():
            return None, f"{source} is not in the folder of --base; name it with --model"
        found = driver.with_preprocess(graph.load(path, recipe.model.shapes), how)
    except SplitcError as error:
        return None, str(error).rstrip(".")
    if found.sha256 != bundle.manifest.inputs.get("model"):
        return None, f"{source} has changed since the build (sha256 {found.sha256[:12]}...)"
    return found, ""


def _require(result: Verification, gates: Sequence[Gate]) -> None:
    missed = [f"{gate.name} is {gate.value:.4g}, the limit is {gate.limit:.4g}" for gate in gates if not gate.ok]
    if not result.ok:
        missed.append(_fault(result))
    if missed:
        raise CheckFailed(f"{'; '.join(missed)}.")


def _fault(result: Verification) -> str:
    """What is wrong with the halves, or with the model that they were cut from."""
    from splitc.evaluate import SPLIT_CHANGES

    if result.fault == SPLIT_CHANGES:
        return "the split model's answers are not the full model's; rebuild the bundle"
    return f"{result.fault}; rebuild the bundle, which names the pass that does"

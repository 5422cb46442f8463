"""``splitc verify BUNDLE``: where does the answer change, and by how much?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitc.cli.app import Json, app, print_json, say
from splitc.errors import CheckFailed

if TYPE_CHECKING:
    from splitc.evaluate import Verification


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    data: Annotated[
        list[str] | None, typer.Option("--data", help="Files, folders or globs; else the recipe's verification files.")
    ] = None,
    base: Annotated[Path, typer.Option("--base", help="Folder that the recipe's relative paths refer to.")] = Path(),
    model: Annotated[
        Path | None, typer.Option("--model", help="The unsplit model; else the halves are joined.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="CSV of picture name and class index; else the recipe's.")
    ] = None,
    json: Json = False,
) -> None:
    """Full model vs split vs quantized vs coded vs engine, on real inputs."""
    from splitc import driver, evaluate
    from splitc.bundle import open_bundle
    from splitc.cli.progress import make_watch
    from splitc.runtime import Reader, find_files, read_contract, read_labels

    opened = open_bundle(bundle)
    contract, recipe = read_contract(opened), driver.load_recipe(opened.recipe_path, base=base)
    files = find_files(data, Path()) if data else driver.data_files(recipe)[1]
    reader = Reader(contract.inputs, contract.preprocess, 1 if data else recipe.data.crops)
    stages = driver.Stages(make_watch())
    with stages("verify", len(files) * reader.regions) as step:
        paths = evaluate.paths_of_bundle(opened, model)
        if labels is None and recipe.data.labels and not data:
            labels = recipe.resolve(recipe.data.labels)
        known = read_labels(labels) if labels else {}
        result = evaluate.verify(paths, reader.samples(files), known, step)
    print_json(result.model_dump(mode="json")) if json else show(result)
    if not result.ok:
        raise CheckFailed("the split model's answers are not the full model's; rebuild the bundle.")


def show(result: Verification) -> None:
    """One line a stage."""
    print(f"{'stage':<10} {'fidelity':>8} {'KL':>10} {'cosine':>9} {'max diff':>10} {'KL added':>10}")
    for stage in result.stages:
        numbers = f"{stage.kl:10.2e} {stage.cosine:9.6f} {stage.max_abs_diff:10.2e} {stage.added_kl:10.2e}"
        print(f"{stage.name:<10} {stage.fidelity:8.4f} {numbers}")
    for skipped in result.skipped:
        print(f"{skipped['stage']:<10} skipped: {skipped['reason']}")
    print(f"{result.rate_bpe:.3f} bits an element ({result.baseline}: {result.baseline_rate_bpe:.3f})")
    say(f"against {result.reference}, on {result.samples} samples")

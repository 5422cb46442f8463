"""``splitc triton BUNDLE --out REPOSITORY``: the cloud half as models of a Triton server."""

from __future__ import annotations

import platform
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from splitc.cli.app import Json, app, print_json, say
from splitc.cli.option_rules import one_of
from splitc.cli.signature import Signers, open_checked
from splitc.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from splitc.bundle import Bundle
    from splitc.runtime import ModelCheck


@app.command()
def triton(
    bundle: Annotated[Path, typer.Argument(help="A bundle; with --check a Triton model repository.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="A Triton model repository; it may hold other models.")
    ] = None,
    variant: Annotated[str, typer.Option("--variant", help="cpu (ONNX Runtime) or gpu (a TensorRT plan).")] = "cpu",
    target: Annotated[
        str | None, typer.Option("--target", help="Of gpu: which TensorRT engine, if the bundle asks for several.")
    ] = None,
    by_pair: Annotated[
        bool, typer.Option("--by-pair", help="Name the models NAME.PAIR, to serve several builds at once.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Try the models of a repository, in the Python that Triton runs them with.")
    ] = False,
    require_signature: Signers = None,
    json: Json = False,
) -> None:
    """Write the cloud half into a Triton model repository, whose configurations may be changed; or check one."""
    if check:
        _refuse_beside_check(out, target, require_signature, by_pair=by_pair)
        _check(bundle, json)
        return
    if out is None:
        raise UsageError("--out: name the repository to write into, or give a repository and --check.")
    one_of("--variant", variant, ("cpu", "gpu"))
    if target is not None and variant == "cpu":
        raise UsageError("--target: names a TensorRT engine; add --variant gpu.")
    _export(open_checked(bundle, require_signature), out, variant, target, json, by_pair=by_pair)


def _export(opened: Bundle, out: Path, variant: str, target: str | None, json: bool, *, by_pair: bool) -> None:
    from splitc.runtime import export_triton

    done = export_triton(opened, out, cast("Literal['cpu', 'gpu']", variant), target, by_pair=by_pair)
    script = None if done.script is None else str(done.script)
    if json:
        print_json(
            {"repository": str(out), "variant": variant, "pair_id": opened.pair_id, **asdict(done), "script": script}
        )
        return
    print(f"{out}: {', '.join(done.models)}; clients call {done.models[0]}")
    if done.engine == "to build":
        say(f"The plan is built on the machine that serves, with the TensorRT of its Triton: sh {script}")


def _refuse_beside_check(out: Path | None, target: str | None, signers: object, *, by_pair: bool) -> None:
    given = {"--out": out is not None, "--target": target is not None, "--by-pair": by_pair}
    given["--require-signature"] = bool(signers)
    if any(given.values()):
        names = ", ".join(name for name, is_given in given.items() if is_given)
        raise UsageError(f"{names}: --check reads a repository that is there already; leave it out.")


def _check(repository: Path, json: bool) -> None:
    import numpy as np

    from splitc.runtime import check_triton
    from splitc.version import __version__

    found = check_triton(repository)
    versions = {"python": platform.python_version(), "numpy": np.__version__, "splitc": __version__}
    document = {"repository": str(repository), **versions, "models": [asdict(one) for one in found]}
    faulty = [f"{one.model}/{one.version}: {one.fault}" for one in found if one.fault]
    if json:
        print_json(document)
    else:
        _print([one for one in found if not one.fault])
    if faulty:
        raise CheckFailed("\n".join(faulty))
    if int(np.__version__.partition(".")[0]) >= 2:
        say(f"NumPy {np.__version__}: Triton 2.51 garbles its arrays, and is told so when it loads; 'numpy<2' is safe.")


def _print(found: Sequence[ModelCheck]) -> None:
    for one in found:
        print(f"{one.model}/{one.version}: pair {one.pair_id[:12]}; {'; '.join(one.notes)}")

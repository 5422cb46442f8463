"""Build the engines that a bundle leaves to the machine where they run.

They lie in this user's cache, under the pair's id, never in the bundle: a plan is code to its toolkit, and a bundle
that came from elsewhere must not bring one that looks like ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from splitc.backends import BACKENDS, Finished, Order, TimedRunner, finish, parts_of, read_order, why_stale
from splitc.bundle import Bundle
from splitc.errors import BundleError, CheckFailed, UsageError
from splitc.files import cache_folder
from splitc.registry import nearest

Side: TypeAlias = Literal["edge", "cloud"]


def find_order(bundle: Bundle, side: Side, target: str | None = None) -> Order:
    """The deferred engine of one side.

    Args:
        bundle: The bundle.
        side: Which half.
        target: Which of several targets; by default the only one.

    Raises:
        UsageError: No engine is deferred, several are, or none of that name.
        BundleError: The order is not of this bundle's half.
    """
    orders = {}
    for name, files in bundle.engines(side).items():
        path = f"{side}/engines/{name}/build.json"
        order = read_order(bundle.read_bytes(path), path) if path in files else None
        if order is not None:
            orders[name] = order
    if not orders:
        raise UsageError(f"{bundle.path}: no {side} engine is left to be built; its engine is already in the bundle.")
    if target is None and len(orders) > 1:
        raise UsageError(
            f"{bundle.path}: several {side} engines are left to be built: {', '.join(orders)}; name one with --target."
        )
    chosen = target or next(iter(orders))
    if chosen not in orders:
        raise UsageError(
            f"{bundle.path}: no {side} engine is left to be built for {chosen!r}.{nearest(chosen, list(orders))}"
        )
    return _checked(bundle, side, chosen, orders[chosen])


def _checked(bundle: Bundle, side: str, target: str, order: Order) -> Order:
    """The order, once it names this half and files that the manifest lists."""
    listed = bundle.manifest.files
    known = all(name in listed and listed[name].sha256 == digest for name, digest in order.sources.items())
    if (order.side, order.target) != (side, target) or order.model not in order.sources or not known:
        raise BundleError(f"{bundle.path}: {side}/engines/{target}/build.json is not of this bundle; build it again.")
    return order


def with_options(order: Order, options: Mapping[str, object]) -> Order:
    """The order with other options of its backend.

    Raises:
        UsageError: One that the backend does not have, or a value out of range.
    """
    if not options:
        return order
    kind = type(order.options)
    known = sorted(kind.model_fields.keys() & BACKENDS.load(order.backend).model_fields.keys())
    for name in options.keys() - set(known):
        advice = nearest(name, known) if known else " It has none that are chosen on the device."
        raise UsageError(f"--set {name}: backend {order.backend!r} has no such option.{advice}")
    backend = BACKENDS.make(order.backend, {**order.options.asked(), **options})
    return order.model_copy(update={"options": kind.model_validate(backend.model_dump(include=set(known)))})


def finish_engine(
    bundle: Bundle,
    order: Order,
    folder: Path | None = None,
    progress: Callable[[str, float | None], None] = lambda phase, share: None,
    *,
    force: bool = False,
) -> Finished:
    """Build the engine on this machine, unless the current one exists already.

    Args:
        bundle: The bundle.
        order: From :func:`find_order`.
        folder: Where to put it; by default :func:`engine_folder`.
        progress: Called with every phase and its share done.
        force: Build again even if the engine is current.

    Raises:
        BackendError: The toolkit refuses the model, or another build runs.
        CapabilityError: This machine is not the target, or lacks memory, room or TensorRT.
    """
    backend = BACKENDS.make(order.backend, {})
    surroundings = backend.surroundings(order)
    make = backend.maker(bundle.path, order)
    place = folder or engine_folder(bundle, order)
    return finish(bundle.path, order, place, surroundings, make, progress, force=force)


def engine_folder(bundle: Bundle, order: Order) -> Path:
    """Folder of this user's engine of the bundle, in the cache."""
    return cache_folder("engines", bundle.pair_id, order.side, order.target)


def open_engine(bundle: Bundle, order: Order, folder: Path | None = None) -> tuple[TimedRunner, str]:
    """The engine, checked and loaded, and its toolkit's version.

    Raises:
        CheckFailed: There is no engine, or it is stale or damaged.
        BackendError: The toolkit refuses it.
        CapabilityError: This machine cannot run it.
    """
    path = check_engine(bundle, order, folder)
    backend = BACKENDS.make(order.backend, {})
    version = str(backend.surroundings(order).parts.get(order.backend, ""))
    return backend.open_engine(path, order), version


def check_engine(bundle: Bundle, order: Order, folder: Path | None = None) -> Path:
    """The engine, proven to be the one that this machine would build now.

    Raises:
        CheckFailed: There is no engine, or it is stale or damaged; the message says why.
        CapabilityError: This machine cannot run it.
    """
    place = folder or engine_folder(bundle, order)
    surroundings = BACKENDS.make(order.backend, {}).surroundings(order)
    reason = why_stale(place, parts_of(bundle.path, order, surroundings))
    if reason is not None:
        raise CheckFailed(f"{place}: {reason}; run splitc engine {bundle.path} --side {order.side}.")
    return place / "model.engine"

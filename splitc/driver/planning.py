"""``splitc plan``: every cut, codec and precision, over one link or several, and along a trace."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from splitc import graph, plan, records, trials
from splitc.cache import StepCache
from splitc.codec import CodecSpec, spec_from_text
from splitc.device import Device, Link, Precision, read_trace
from splitc.driver.choose import ask_of
from splitc.driver.data import plan_files
from splitc.driver.inputs import find_inputs, find_model, subject_of
from splitc.driver.places import refuse_another_model
from splitc.driver.recipes import codec_spec, load_recipe, with_defaults
from splitc.driver.sizes import sizes_of_recipe
from splitc.driver.watch import Stages, Watch
from splitc.errors import UsageError
from splitc.files import temporary_folder
from splitc.recipe import Recipe

USUAL: Mapping[str, tuple[str, tuple[float, ...]]] = {
    "uniform": ("bits", (3, 4, 6, 8)),
    "log": ("bits", (3, 4, 6, 8)),
    "step": ("step", (0.25, 0.5, 1.0)),
}
"""Quantizer -> its rate, and what is tried beside the recipe's own where nothing is asked for."""
TRACE_RATES = 5
"""Links along a trace for which cuts are measured: the best at none of them is not worth building."""


@dataclass(frozen=True)
class Question:
    """What to try beside what the recipe says; empty: the recipe's own.

    Attributes:
        uplinks_mbps: Links; the first one is the answer's, all of them are compared.
        codecs: ``PROFILE,key=value,...`` each.
        bits: Of a symbol.
        precisions: Element types of both halves.
        trace: A CSV file.
        fits: Models and their profiles; the edge's times are fitted to these instead of taken from its peaks.
    """

    uplinks_mbps: Sequence[float] = ()
    codecs: Sequence[str] = ()
    bits: Sequence[int] = ()
    precisions: Sequence[Precision] = ()
    trace: Path | None = None
    fits: Sequence[tuple[Path, Path]] = ()


@dataclass(frozen=True)
class Answer:
    """One plan a link, and what a trace does.

    Attributes:
        links, plans: In the order asked for.
        edge, cloud: Names of the devices.
        outline: The model in blocks, cut at the first plan's best cut.
        replay: Where a trace is given.
        notes: What could not be compared, and why.
    """

    links: tuple[Link, ...]
    plans: tuple[plan.Plan, ...]
    edge: str
    cloud: str
    outline: graph.Outline
    replay: plan.Replay | None = None
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """The first plan, all links beside it, and the replay."""
        what_if = [
            {"link": link.model_dump(mode="json"), **one.to_json()}
            for link, one in zip(self.links, self.plans, strict=True)
        ]
        return {
            **what_if[0],
            "edge": self.edge,
            "cloud": self.cloud,
            "outline": asdict(self.outline),
            "what_if": what_if,
            "replay": None if self.replay is None else self.replay.to_json(),
            "notes": list(self.notes),
        }


def recipe_of_model(source: str, overrides: Sequence[str], base: Path | None = None) -> Recipe:
    """The least recipe for a model by itself: a file, or ``zoo:NAME``.

    Raises:
        RecipeError: An override is wrong.
    """
    with temporary_folder("plan") as folder:
        path = folder / "plan.toml"
        path.write_text('schema = 1\nname = "plan"\n[model]\nsource = "zoo:unnamed"\n', "utf-8")
        return load_recipe(path, [f"model.source={source}", *overrides], base or Path())


def make_plan(recipe: Recipe, question: Question, watch: Watch | None = None, cache: StepCache | None = None) -> Answer:
    """Answer a question.

    Args:
        recipe: The model, its samples and its places.
        question: What to try beside what the recipe says.
        watch: Shows progress.
        cache: Where measurements are kept between plans; None: the user's own.

    Raises:
        CutError: No cut satisfies the constraints.
        UsageError: A codec or a trace is wrong.
        SplitcError: The recipe, an input or this machine is at fault.
    """
    stages = Stages(watch)
    with stages("load"):
        setting = _fitted(_setting(recipe, question, cache), question)
    links = _links(setting.places.link, question)
    path = question.trace or _own_trace(recipe)
    trace = None if path is None else read_trace(path, setting.places.link)
    with stages("plan") as step:
        plans = _plans(setting, links, step)
    outline = graph.outline(setting.model, plans[0].best_cut.cut)
    names = setting.places.edge.name, setting.places.cloud.name
    answer = Answer(links, plans, *names, outline, notes=(*setting.notes, *_arithmetic_notes(setting)))
    if trace is None:
        return answer
    with stages("replay") as step:
        rates = _spread([rate for rate in trace.rates_mbps() if rate >= plan.LEAST_MBPS] or [plan.LEAST_MBPS])
        ladder = _plans(setting, [replace_rate(setting.places.link, rate) for rate in rates], step)
        return replace(answer, replay=plan.replay(_prebuilt(ladder), plans[0].baselines, trace))


@dataclass(frozen=True, eq=False)
class _Setting:
    """A model with its places, options and, where samples are given, the means to measure."""

    model: graph.Model
    places: plan.Places
    ask: plan.Ask
    candidates: trials.CutTrials | None
    coded: trials.InputTrials | None
    notes: list[str]


def _setting(recipe: Recipe, question: Question, cache: StepCache | None) -> _Setting:
    options = options_of(recipe, question)
    ask = plan.Ask(recipe.split, options, recipe.gate.min_fidelity)
    if recipe.data.calibration:
        inputs = find_inputs(recipe, files_of=plan_files, cache=cache)
        subject = subject_of(inputs)
        candidates = trials.CutTrials(subject)
        coded = trials.InputTrials(subject, candidates)
        ask = ask_of(inputs, subject, options)
        return _Setting(inputs.model, inputs.places, ask, candidates, coded, coded.skipped)
    for name in ("min_fidelity", "max_kl", "max_divergence"):
        if getattr(recipe.gate, name) is not None:
            raise UsageError(f"gate.{name} needs samples to be measured on; give data.calibration, or --data.")
    opened, places = find_model(recipe)
    model = opened.model
    sends_pixels = recipe.data.preprocess is not None or _looks_like_pictures(model)
    ask = replace(ask, sends_pixels=sends_pixels, sizes=sizes_of_recipe(recipe, model))
    note = "no samples: packets are estimates, and neither fidelity nor JPEG can be measured; give --data"
    return _Setting(model, places, ask, None, None, [note])


def _arithmetic_notes(setting: _Setting) -> list[str]:
    """Precisions asked for that a place computes in another one."""
    edge, cloud = setting.places.edge, setting.places.cloud
    pairs = [(edge, one.edge_precision) for one in setting.ask.options]
    pairs += [(cloud, one.cloud_precision) for one in setting.ask.options]
    asked = dict.fromkeys((device.name, one, device.arithmetic(one)) for device, one in pairs)
    return [
        f"{name!r} computes {one} in {computed}: its times are those of {computed}, its answers those of real {one}"
        for name, one, computed in asked
        if computed != one
    ]


def _looks_like_pictures(model: graph.Model) -> bool:
    """One input of three channels: a batch of pictures, or of clips."""
    shapes = [spec.shape for spec in model.inputs]
    return len(shapes) == 1 and len(shapes[0]) in (4, 5) and 3 in (shapes[0][1], shapes[0][-1])


def _fitted(setting: _Setting, question: Question) -> _Setting:
    """The same, with an edge that is fitted to the profiles given."""
    if not question.fits:
        return setting
    edge = fit_edge(setting.places.edge, question.fits)
    return replace(setting, places=replace(setting.places, edge=edge))


def fit_edge(device: Device, fits: Sequence[tuple[Path, Path]]) -> Device:
    """A device whose rates are fitted to profiles of other models.

    Args:
        device: Its published figures.
        fits: Pairs of a model and its profile.

    Raises:
        UsageError: A profile that cannot be read, belongs to another model or has no layers.
    """
    measured = [records.Measured(graph.load(model), records.read_record(record)) for model, record in fits]
    for (_, record), one in zip(fits, measured, strict=True):
        refuse_another_model(record, one.record, one.model)
    return records.fit_device(device, measured)


def _plans(setting: _Setting, links: Sequence[Link], step: Callable[[], None]) -> tuple[plan.Plan, ...]:
    """One a link. Rows of codings of the input are at one divergence, that of the first plan's best cut."""
    plans: list[plan.Plan] = []
    ask = setting.ask
    for link in links:
        places = replace(setting.places, link=link)
        if setting.candidates is None or setting.coded is None:
            plans.append(plan.search(setting.model, ask, places, None))
            continue
        setting.candidates.step = step
        known = setting.candidates.measure, setting.coded, setting.candidates.measure_whole
        plans.append(plan.search(setting.model, ask, places, *known))
        ask = replace(ask, equal_divergence=plans[0].best_cut.divergence)
    return tuple(plans)


def options_of(recipe: Recipe, question: Question) -> tuple[plan.Option, ...]:
    """Every codec with every number of bits in every precision.

    Raises:
        UsageError: A codec is wrong, or has no such number of bits.
    """
    weights = recipe.weights
    pairs = [(one, one) for one in question.precisions] or [(weights.edge.precision, weights.cloud.precision)]
    specs = [spec_from_text(text).resolved() for text in question.codecs] or [codec_spec(with_defaults(recipe))]
    coded = dict.fromkeys(one for spec in specs for one in _rates(spec, question.bits))
    return tuple(plan.Option(spec, edge, cloud) for spec, (edge, cloud) in product(coded, pairs))


def _rates(spec: CodecSpec, bits: Sequence[int]) -> list[CodecSpec]:
    if bits:
        return [_changed(spec, "bits", one) for one in bits]
    key, values = USUAL.get(spec.quantizer, ("", ()))
    return [spec, *(_changed(spec, key, one) for one in values)]


def _changed(spec: CodecSpec, key: str, value: float) -> CodecSpec:
    return spec.replace(**{key: value}).resolved()


def _links(own: Link, question: Question) -> tuple[Link, ...]:
    return tuple(replace_rate(own, rate) for rate in question.uplinks_mbps) or (own,)


def replace_rate(link: Link, uplink_mbps: float) -> Link:
    """The same link at another rate.

    Raises:
        UsageError: The rate is too small to carry anything, or not finite.
    """
    if not plan.LEAST_MBPS <= uplink_mbps < math.inf:
        raise UsageError(f"a link of {uplink_mbps:g} Mbit/s carries nothing; give rates from {plan.LEAST_MBPS:g} on.")
    return Link.model_validate({**link.model_dump(), "uplink_mbps": uplink_mbps})


def _own_trace(recipe: Recipe) -> Path | None:
    return None if recipe.link.trace is None else recipe.resolve(recipe.link.trace)


def _spread(rates: Sequence[float]) -> list[float]:
    """A few rates from the slowest to the fastest."""
    last = len(rates) - 1
    return [rates[place] for place in sorted({round(last * step / (TRACE_RATES - 1)) for step in range(TRACE_RATES)})]


def _prebuilt(plans: Sequence[plan.Plan]) -> list[plan.Point]:
    """The best cut of each link, once."""
    best = {(one.best_cut.cut, one.best_cut.codec, one.best_cut.edge_precision): one.best_cut for one in plans}
    return list(best.values())

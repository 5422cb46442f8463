"""The task of a bundle: how its outputs are read as answers."""

from __future__ import annotations

from splitc.bundle import Contract
from splitc.errors import BundleError, CapabilityError, RecipeError, UsageError
from splitc.runtime.sources import Sample
from splitc.tasks import TASKS, BindRequest, BoundTask, LabelTable, TrueBoxes, TrueMask, Truth, bound_again


def bound_task(contract: Contract) -> BoundTask:
    """The task that a contract names, bound to its outputs; whoever wrote the contract is not trusted.

    Raises:
        CapabilityError: The task comes with a package that is not installed here.
        BundleError: Its options do not fit the outputs.
    """
    if contract.task not in TASKS:
        raise CapabilityError(
            f"contract.json: the task {contract.task!r} is not installed here (there are {', '.join(sorted(TASKS))}); "
            "install the package that the bundle was built with."
        )
    network = BindRequest(contract.outputs, contract.inputs, contract.classes)
    try:
        return bound_again(TASKS, contract.task, contract.task_options, network)
    except (RecipeError, UsageError) as error:
        raise BundleError(f"contract.json: task_options: {error} Rebuild the bundle.") from error


def truth_of(sample: Sample, labels: LabelTable, task: BoundTask) -> Truth | None:
    """The label of a sample as the network's input shows it; None where it is unknown, or the task takes none.

    Raises:
        UsageError: Labels that do not tell samples apart, or places in an array that is no picture.
    """
    truth = labels.find(str(sample.file or sample.name), sample.name)
    if not isinstance(truth, TrueBoxes | TrueMask):
        return truth if task.takes_labels else None
    if sample.placement is None:
        raise UsageError(
            f"{sample.name}: its label says where things are in a picture, and an array does not say where its picture "
            "lies; give pictures, or no labels."
        )
    return task.place(truth, sample.placement)

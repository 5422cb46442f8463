"""The task of a bundle: how its outputs are read as answers."""

from __future__ import annotations

from splitc.bundle import Contract
from splitc.errors import BundleError, CapabilityError, RecipeError, UsageError
from splitc.tasks import TASKS, BindRequest, BoundTask, bound_again


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

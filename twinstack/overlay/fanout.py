"""Asking several machines at once: an answer or a failure of each, named by its machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from twinstack.errors import NotHealthy, SeveralFailed, StepFailed, TwinstackError
from twinstack.overlay import hosts
from twinstack.overlay.bundles import AGENTS, code
from twinstack.overlay.ssh import Machine, converse
from twinstack.overlay.upload import PYTHON
from twinstack.reconcile import Progress

Result = TypeVar("Result")
_ABSENT = json.dumps({"absent": True})


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of a machine: what it did, or why it did not."""

    host: str
    done: Any = None
    failure: TwinstackError | None = None


class NoAgent(TwinstackError):
    """A machine does not have the code that would obey."""


class Stopped(TwinstackError):
    """A machine was told to stop, since another one failed."""


def ask(
    one: Machine,
    order: Mapping[str, Any],
    progress: Progress,
    stop: threading.Event,
    bound_s: float,
) -> Any:
    """Have an order obeyed by the agent that was brought to a machine.

    Raises: StepFailed when the machine cannot be reached; NoAgent when it is not there; Stopped;
    TwinstackError as it tells.
    """
    place = AGENTS / code().name
    command = (
        f"test -d {place} || {{ echo '{_ABSENT}'; exit 0; }}; cd / &&"
        f" PATH=$PATH:/usr/sbin:/sbin PYTHONPATH={place} exec {PYTHON} -m twinstack.overlay.agent"
    )
    told = converse(
        one,
        command,
        json.dumps(order).encode(),
        hosts.prefixed(progress, one.name),
        stop,
        bound_s=bound_s,
    )
    try:
        answer = json.loads(told)
    except ValueError as error:
        raise StepFailed(f"host {one.name}", "does not answer", told[-300:]) from error
    if "absent" in answer:
        raise NoAgent(f"host {one.name}", "cannot be asked", "nothing was brought there")
    if "stopped" in answer:
        raise Stopped(f"host {one.name}", "was stopped", "another machine failed")
    if "errors" in answer:
        raise_any([_error(one.name, told) for told in answer["errors"]])
    return answer["done"]


def _error(host: str, told: Mapping[str, Any]) -> TwinstackError:
    obj, failure, cause, remedy = told["words"]
    if told["ill"]:
        remedy = f'see "invoke overlay.logs {obj} --ssh"'
    kind = NotHealthy if told["ill"] else TwinstackError
    error = kind(f"{host}: {obj}", failure, cause, remedy)
    for note in told["notes"]:
        error.add_note(note)
    return error


def raise_any(failures: Sequence[TwinstackError | None]) -> None:
    """Raise the one failure that there is, or all of them as one. Raises: TwinstackError."""
    found = [
        inner for one in failures if one is not None for inner in getattr(one, "failures", (one,))
    ]
    told = [one for one in found if not isinstance(one, Stopped)] or found
    if told:
        raise told[0] if len(told) == 1 else SeveralFailed("machines", told)


def each(
    machines: Sequence[Machine],
    work: Callable[[Machine], Any],
    stop: threading.Event | None = None,
) -> dict[str, Asked]:
    """Do something on every machine at once, and give what came of each.

    When one fails by more than an ill service, `stop` is set, as when we are interrupted.
    """

    def told(one: Machine) -> Asked:
        try:
            return Asked(one.name, work(one))
        except TwinstackError as error:
            inner = getattr(error, "failures", (error,))
            if stop is not None and not all(isinstance(it, NotHealthy) for it in inner):
                stop.set()
            return Asked(one.name, failure=error)

    with ThreadPoolExecutor(max_workers=max(1, len(machines))) as pool:
        try:
            return {one.host: one for one in pool.map(told, machines)}
        except BaseException:
            if stop is not None:
                stop.set()  # and the pool waits until they have stopped
            raise


def all_of(
    machines: Sequence[Machine],
    work: Callable[[Machine], Result],
    stop: threading.Event | None = None,
) -> dict[str, Result]:
    """Do something on every machine at once. Raises: the one failure, or SeveralFailed."""
    found = each(machines, work, stop)
    raise_any([one.failure for one in found.values()])
    return {name: one.done for name, one in found.items()}


def ask_all(
    machines: Sequence[Machine],
    orders: Mapping[str, Mapping[str, Any]],
    progress: Progress,
    bound_s: float,
) -> dict[str, Any]:
    """Have each machine obey its order, all at once: they wait for each other's services.

    When one fails, the others are told to stop. Raises: as `all_of`.
    """
    stop = threading.Event()

    def work(one: Machine) -> Any:
        try:
            return ask(one, orders[one.name], progress, stop, bound_s)
        except Stopped as error:
            progress(str(error))
            raise

    return all_of(machines, work, stop)

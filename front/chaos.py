"""The task that breaks a host of a running overlay for a while."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from invoke.context import Context

from front import tables
from front.options import JSON, one_of
from front.reporting import answer, checking, end, root, say
from twinstack import stack
from twinstack.model import bounds

if TYPE_CHECKING:
    from twinstack.overlay.chaos import FaultReport

#: A fault lasts no longer.
MOST_SECONDS = 600


@checking(
    help={
        "what": "the fault: host-loss, partition or mtu (the underlay drops larger packets)",
        "host": "the host to break; unset: the last one",
        "seconds": "how long the host stays broken",
        "move": "start its replicas on other hosts meanwhile",
        **JSON,
    }
)
def chaos(
    _: Context,
    what: str = "host-loss",
    host: str = "",
    seconds: int = 10,
    move: bool = False,
    json: bool = False,
) -> None:
    """Break a host of the overlay for a while, measure from another host, and restore it."""
    from twinstack.overlay import chaos as faults

    bounds.within("seconds", seconds, 1, MOST_SECONDS, "it is a time, more than 0")
    one_of("what", what, faults.FAULTS)
    root("chaos")
    here = stack.from_environment()
    world = here.overlay(lost=frozenset())
    report = faults.cause(
        world,
        cast("faults.Fault", what),
        host or world.spread.hosts[-1].name,
        seconds=seconds,
        move=move,
        timeout_s=bounds.UP_TIMEOUT_S,
        progress=say,
        elsewhere=lambda lost: here.overlay(lost=lost),
    )
    answer(json, asdict(report) | {"recovered": report.recovered}, text(report))
    end(0 if report.recovered else 1)


def text(report: FaultReport) -> str:
    """Write a report as a table."""
    from twinstack.overlay.chaos import PATH

    header = ("", "seconds", "asked", "good", "longest gap", "served by")
    rows = [
        (
            phase.name,
            f"{phase.seconds:.1f}",
            str(phase.asked),
            str(phase.good),
            f"{phase.longest_gap_s:.2f} s",
            " ".join(phase.served_by) or "none",
        )
        for phase in report.phases
    ]
    title = f"{report.fault} of {report.host}, seen from {report.client}: GET {PATH}"
    end = "every request is answered again" if report.recovered else "some requests still fail"
    return f"{title}\n\n{tables.columns(header, rows)}\n\n{end}"

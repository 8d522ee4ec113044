"""The tasks of a real Prometheus beside the worlds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from front import tables
from front.reporting import answer, say, show_removed, task
from twinstack import stack
from twinstack.errors import NOT_SO, NOTHING
from twinstack.model import bounds
from twinstack.world import require_root

if TYPE_CHECKING:
    from twinstack.observe.prometheus.run import MetricsStatus

_LONGEST_INTERVAL_S = 60


@task(
    help={
        "port": "the port of Prometheus, on the loopback; unset: the running one's, else 9090",
        "metrics-port": "the port of /metrics and the dashboard's page, on the loopback; unset: the"
        " running one's, else 7701",
        "interval": "seconds between two scrapes; unset: as it runs, else 5",
        "timeout": "seconds to wait until Prometheus has scraped",
    }
)
def metrics_up(
    _: Context,
    port: int | None = None,
    metrics_port: int | None = None,
    interval: int | None = None,
    timeout: int = bounds.UP_TIMEOUT_S,
    json: bool = False,
) -> None:
    """Run a Prometheus that scrapes both worlds, with our alert rules, on this machine only."""
    for option, value in (("port", port), ("metrics-port", metrics_port)):
        if value is not None:
            bounds.within(option, value, 1, 65535, "it is a port")
    if interval is not None:
        bounds.within("interval", interval, 1, _LONGEST_INTERVAL_S, "it is a time, more than 0")
    bounds.timeout(timeout)
    require_root("metrics.up")
    status = (
        stack.from_environment()
        .metrics()
        .up(
            port=port,
            metrics_port=metrics_port,
            interval_s=interval,
            timeout_s=timeout,
            progress=say,
        )
    )
    answer(json, status, _text(status), 0 if status.is_up else NOT_SO)


@task()
def metrics_down(_: Context, json: bool = False) -> None:
    """Remove the Prometheus of metrics.up with all its data, and list it."""
    require_root("metrics.down")
    show_removed(stack.from_environment().metrics().down(), json)


@task()
def metrics_status(_: Context, json: bool = False) -> None:
    """Show whether Prometheus scrapes, and the alerts that fire; exits 1 if not all is up."""
    require_root("metrics.status")
    status = stack.from_environment().metrics().status()
    code = NOTHING if status.is_absent else 0 if status.is_up else NOT_SO
    answer(json, status, _text(status), code)


def _text(status: MetricsStatus) -> str:
    if status.is_absent:
        return 'metrics are not up; run "invoke metrics.up"'
    rows = [
        (part.name, part.state + (f" ({part.detail})" if part.detail else ""), part.address)
        for part in status.parts
    ]
    parts = [tables.columns(("part", "state", "address"), rows)]
    alerts = [(each.name, each.severity, each.summary, each.command) for each in status.alerts]
    if alerts:
        parts.append(tables.columns(("alert", "severity", "what", "look closer"), alerts))
    return "\n\n".join(parts)

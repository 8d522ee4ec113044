"""The ground on which the policy of the namespace world is proven."""

from __future__ import annotations

from twinstack import shell
from twinstack.errors import Missing
from twinstack.namespaces import kernel, observe, rules
from twinstack.plan import Plan
from twinstack.policy.model import HOST
from twinstack.policy.verify import Ground


def ground(plan: Plan) -> Ground:
    """Look at what enforces the plan's flows. Raises: Missing when the world is not up."""
    absent = [one.name for one in plan.replicas if not kernel.is_pinned(one.name)]
    if absent:
        raise Missing(
            "namespace world", "cannot be asked", f"{absent[0]} is not there", 'run "invoke net.up"'
        )
    links, _ = observe.read_host()
    bridges = [segment.bridge for segment in plan.segments]
    return Ground(
        "net",
        {HOST: None, **{one.name: kernel.PINS / one.name for one in plan.replicas}},
        observe.read_rules()["filter"],
        tuple(hook for hook in rules.hooks(plan) if hook.table == "filter"),
        tuple(one for one in bridges if not (one in links and links[one].filtered)),
    )


def counted() -> str:
    """Give the filter table with its counters. Raises: StepFailed."""
    return shell.run(["iptables-save", "-c", "-t", "filter"]).stdout

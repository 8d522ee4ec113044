"""The policy of the namespace world: applied alone, counted, and observed for its proof."""

from __future__ import annotations

from twinstack.errors import Missing
from twinstack.linux import br_netfilter, conntrack, netns, process, rtnetlink
from twinstack.linux.netlink import Netlink
from twinstack.model.plan import HOST, Plan
from twinstack.namespaces import dumps, observe, rules
from twinstack.policy.verdict import Enforcement


def enforcement(plan: Plan) -> Enforcement:
    """Look at what enforces the plan's flows. Raises: Missing when the world is not up."""
    absent = [one.name for one in plan.here if not netns.is_pinned(one.name)]
    if absent:
        raise Missing(
            "namespace world", "cannot be asked", f"{absent[0]} is not there", 'run "invoke net.up"'
        )
    seen, _ = dumps.read_host()
    bridges = [segment.bridge for segment in plan.segments]
    return Enforcement(
        "net",
        {HOST: None, **{one.name: netns.PINS / one.name for one in plan.here}},
        observe.read_rules()["filter"],
        tuple(hook for hook in rules.hooks(plan) if hook.table == "filter"),
        tuple(one for one in bridges if not (one in seen and seen[one].filtered)),
    )


def counted() -> str:
    """Give the filter table with its counters. Raises: StepFailed."""
    return process.run(["iptables-save", "-c", "-t", "filter"]).stdout


def apply_policy(plan: Plan) -> None:
    """Write the plan's filter chains and the bridges' switch; nothing else is touched.

    Raises: StepFailed, OSError.
    """
    present = observe.read_rules()
    hooks = tuple(hook for hook in rules.hooks(plan) if hook.table == "filter")
    kept = {hook.chain for hook in hooks}
    ours = rules.our_chains(plan.instance, present["filter"])
    surplus = [chain for chain in ours if chain not in kept]
    bridges = [segment.bridge for segment in plan.segments]
    switched = [rtnetlink.filter_bridge(bridge, plan.policy) for bridge in bridges]
    if plan.policy:
        br_netfilter.load()
    with Netlink() as netlink:
        netlink.send(switched)
    only_filter = {"filter": present["filter"]}
    for text in (  # first what goes: the rules that lead there are in chains that are rewritten
        rules.removal_text(plan.instance, only_filter, surplus) if surplus else "",
        rules.restore_text(hooks, only_filter),
    ):
        if text:
            process.run(["iptables-restore", "--noflush", "--wait", "5"], stdin=text)
    conntrack.flush(segment.subnet for segment in plan.segments)

"""The policy of the namespace world: applied alone, counted, and observed for its proof."""

from __future__ import annotations

from twinstack.linux import br_netfilter, conntrack, iptables, netns, process, rtnetlink
from twinstack.linux.netlink import Netlink
from twinstack.model.plan import HOST, Plan
from twinstack.namespaces import dumps, observe, rules
from twinstack.policy.verdict import Enforcement


def enforcement(plan: Plan) -> Enforcement:
    """Observe what enforces the plan's flows. Raises: Missing when the world is not up; NotOurs."""
    replicas = [replica.name for replica in plan.here]
    dumps.check_ours(plan, replicas)
    links, _ = dumps.read_host()
    bridges = [segment.bridge for segment in plan.segments]
    return Enforcement(
        "net",
        {HOST: None, **{name: netns.PINS / name for name in replicas}},
        observe.begin_rules()()["filter"],
        tuple(hook for hook in rules.hooks(plan) if hook.table == "filter"),
        tuple(name for name in bridges if not (name in links and links[name].filtered)),
    )


def apply_policy(plan: Plan) -> None:
    """Write the plan's filter chains and the bridges' nf_call_iptables; nothing else is touched.

    Raises: StepFailed, OSError.
    """
    present = {"filter": observe.begin_rules()()["filter"]}
    hooks = tuple(hook for hook in rules.hooks(plan) if hook.table == "filter")
    kept = {hook.chain for hook in hooks}
    surplus = set(rules.ownership(plan.instance).chains(present["filter"])) - kept
    if plan.policy:
        br_netfilter.load()
    with Netlink() as netlink:
        netlink.send(
            [rtnetlink.filter_bridge(segment.bridge, plan.policy) for segment in plan.segments]
        )
    # Surplus chains go first: the rules that lead to them are in chains that are rewritten.
    removal = rules.removal_text(plan.instance, present, surplus)
    process.run(iptables.RESTORE, stdin=removal + iptables.restore_text(hooks, present))
    conntrack.flush(segment.subnet for segment in plan.segments)

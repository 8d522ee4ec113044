"""A plan as input of `floor.c`, and the rules that it restores; pure.

All of it is taken from the steps of `up` themselves, so the floor does what they say.
"""

from __future__ import annotations

from twinstack.linux import iptables
from twinstack.model.plan import Plan
from twinstack.namespaces import rules
from twinstack.namespaces.steps import (
    NAMESPACE_SYSCTLS,
    Bridge,
    NetStep,
    Rules,
    Sysctl,
    VethPair,
    network_steps,
)


def spec(plan: Plan, group: int) -> str:
    """Write what the floor is to make. `group` is the device group of every link."""
    lines = [f"world {plan.mark} {plan.mtu} {group}"]
    lines += [f"inside {_inside(key)} {value}" for key, value in NAMESPACE_SYSCTLS]
    for step in network_steps(plan):
        lines += _lines(step)
    return "\n".join([*lines, ""])


def _lines(step: NetStep) -> list[str]:
    match step:
        case Sysctl(at_least=True):
            return []  # the host of the race, a namespace, has no such switch
        case Sysctl(held=True):
            return [f"held {_path(step.key)} {step.value} 0"]
        case Sysctl():
            return [f"switch {_path(step.key)} {step.value}"]
        case Bridge():
            return [f"bridge {step.link} {step.address} {int(step.filtered)}"]
        case VethPair():
            ends = f"{step.host_end} {step.link} {step.bridge}"
            inside = f"{step.address} {step.gateway} {int(step.hairpin)}"
            return [f"namespace {step.namespace} {ends} {inside}"]
        case _:
            return []


def rules_up(plan: Plan) -> str:
    """Write the rules of the plan for an empty host."""
    hooks = tuple(step.hook for step in network_steps(plan) if isinstance(step, Rules))
    return iptables.restore_text(hooks, {})


def rules_down(plan: Plan) -> str:
    """Write what removes the rules of the plan again, from a host that has only them."""
    hooks = [step.hook for step in network_steps(plan) if isinstance(step, Rules)]
    present: dict[str, tuple[str, ...]] = {}
    for hook in hooks:
        rules_of_table = present.get(hook.table, ())
        jump = (hook.jump,) if hook.jump else ()
        present[hook.table] = (*rules_of_table, f":{hook.chain} - [0:0]", *hook.lines, *jump)
    return rules.removal_text(plan.instance, present)


def _inside(key: str) -> str:
    return key.removeprefix("net.").replace(".", "/")


def _path(key: str) -> str:
    return f"/proc/sys/{key.replace('.', '/')}"

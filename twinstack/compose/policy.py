"""The policy of the Docker world: the chains that enforce it, and how what is there differs. Pure.

The chains are those of the namespace world with other addresses. They hang off DOCKER-USER, which
stays ahead of Docker's own rules through restarts of containers and of the engine.
"""

from __future__ import annotations

from collections.abc import Iterator

from twinstack.linux import iptables
from twinstack.linux.iptables import Hook, Ownership
from twinstack.model import names
from twinstack.model.plan import Plan
from twinstack.policy.chains import chains

_USERS_OWN = "DOCKER-USER"


def wanted(plan: Plan, present: tuple[str, ...]) -> tuple[Hook, ...]:
    """Give the chains of the filter table that enforce the plan; none without a policy."""
    if not plan.policy:
        return ()
    kept = any(line.startswith(f":{_USERS_OWN} ") for line in present)
    forward = _USERS_OWN if kept else "FORWARD"
    return tuple(chain.hook(plan.mark) for chain in chains(plan, "docker", forward))


def difference(plan: Plan, present: tuple[str, ...]) -> str | None:
    """Say how the filter table's lines differ from what the plan wants, or None."""
    hooks = wanted(plan, present)
    found = [said for hook in hooks if (said := iptables.difference(hook, present))]
    found += [f"chain {chain} is declared no longer" for chain in _surplus(plan, present)]
    found += [f"{line} is in the way" for line in _strays(plan, present)]
    if not found:
        return None
    return found[0] if len(found) == 1 else f"{found[0]}, and {len(found) - 1} more"


def texts(plan: Plan, present: tuple[str, ...]) -> tuple[str, ...]:
    """Give what iptables-restore --noflush must be told, in turn, for the plan to be enforced."""
    hooks = wanted(plan, present)
    strays = [line.replace("-A ", "-D ", 1) for line in _strays(plan, present)]
    surplus = iptables.removal_text(
        ownership(plan.instance), {"filter": present}, _surplus(plan, present)
    )
    found = (  # first what goes: the rules that lead there are in chains that are rewritten
        surplus,
        "\n".join(["*filter", *strays, "COMMIT", ""]) if strays else "",
        iptables.restore_text(hooks, {"filter": present}) if hooks else "",
    )
    return tuple(text for text in found if text)


def ownership(instance: str) -> Ownership:
    """Recognise this world's chains of an instance, and its rules."""
    return Ownership(names.chain_pattern(instance, "docker"), names.mark(instance))


def removal(instance: str, present: tuple[str, ...]) -> str:
    """Give what removes this world's chains of an instance; empty when there are none."""
    return iptables.removal_text(ownership(instance), {"filter": present})


def _surplus(plan: Plan, present: tuple[str, ...]) -> list[str]:
    kept = {hook.chain for hook in wanted(plan, present)}
    ours = ownership(plan.instance).chains(present)
    return [chain for chain in ours if chain not in kept]


def _strays(plan: Plan, present: tuple[str, ...]) -> Iterator[str]:
    """List jumps into chains that we want from where they do not belong: FORWARD's, of old."""
    ours, hooks = ownership(plan.instance), wanted(plan, present)
    own = {hook.chain for hook in hooks}
    jumps = {hook.jump for hook in hooks}
    for line in present:
        outside = line.startswith("-A ") and not ours.owns(line.split()[1])
        if outside and iptables.target(line) in own and line not in jumps:
            yield line

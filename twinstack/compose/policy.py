"""The policy of the Docker world: the chains that enforce it, and how what is there differs. Pure.

The chains are those of the namespace world with other addresses. They hang off DOCKER-USER, which
stays ahead of Docker's own rules through restarts of containers and of the engine.
"""

from __future__ import annotations

from twinstack.linux import iptables
from twinstack.linux.iptables import Hook, Ownership
from twinstack.model import names
from twinstack.model.plan import Plan
from twinstack.policy.chains import chains

_DOCKER_USER = "DOCKER-USER"


def expected_chains(plan: Plan, present: tuple[str, ...]) -> tuple[Hook, ...]:
    """Give the chains of the filter table that enforce the plan; none without a policy."""
    if not plan.policy:
        return ()
    exists = any(line.startswith(f":{_DOCKER_USER} ") for line in present)
    forward = _DOCKER_USER if exists else "FORWARD"
    return tuple(chain.hook(plan.mark) for chain in chains(plan, "docker", forward))


def difference(plan: Plan, present: tuple[str, ...]) -> str | None:
    """Say how the filter table's lines differ from what the plan needs."""
    hooks = expected_chains(plan, present)
    reasons = [reason for hook in hooks if (reason := iptables.difference(hook, present))]
    reasons += [f"chain {chain} is declared no longer" for chain in _surplus(plan, present)]
    reasons += [f"{line} is in the way" for line in _misplaced_jumps(plan, present)]
    if len(reasons) > 1:
        return f"{reasons[0]}, and {len(reasons) - 1} more"
    return reasons[0] if reasons else None


def judged_again(plan: Plan, present: tuple[str, ...]) -> frozenset[str] | None:
    """Give the addresses of which the new rules may deny an open connection; None: any."""
    if _surplus(plan, present) or _misplaced_jumps(plan, present):
        return None
    return iptables.withdrawn(expected_chains(plan, present), present)


def restore_texts(plan: Plan, present: tuple[str, ...]) -> tuple[str, ...]:
    """Give the inputs of iptables-restore --noflush, in turn, that bring the policy about.

    Removals come first: the rules that lead to a surplus chain are in chains that are rewritten.
    """
    hooks, tables = expected_chains(plan, present), {"filter": present}
    jumps = [line.replace("-A ", "-D ", 1) for line in _misplaced_jumps(plan, present)]
    texts = (
        iptables.removal_text(ownership(plan.instance), tables, _surplus(plan, present)),
        "\n".join(["*filter", *jumps, "COMMIT", ""]) if jumps else "",
        iptables.restore_text(hooks, tables) if hooks else "",
    )
    return tuple(text for text in texts if text)


def ownership(instance: str) -> Ownership:
    """Recognise this world's chains of an instance, and its rules."""
    return Ownership(names.chain_pattern(instance, "docker"), names.mark(instance))


def removal_text(instance: str, present: tuple[str, ...]) -> str:
    """Give the input that removes this world's chains of an instance; empty when there are none."""
    return iptables.removal_text(ownership(instance), {"filter": present})


def _surplus(plan: Plan, present: tuple[str, ...]) -> list[str]:
    kept = {hook.chain for hook in expected_chains(plan, present)}
    return [chain for chain in ownership(plan.instance).chains(present) if chain not in kept]


def _misplaced_jumps(plan: Plan, present: tuple[str, ...]) -> list[str]:
    """List jumps into our chains from where they no longer belong: FORWARD, before DOCKER-USER."""
    ours, hooks = ownership(plan.instance), expected_chains(plan, present)
    chains_of_ours = {hook.chain for hook in hooks}
    jumps = {hook.jump for hook in hooks}
    return [
        line
        for line in present
        if line.startswith("-A ") and not ours.owns(line.split()[1])
        if iptables.target(line) in chains_of_ours and line not in jumps
    ]

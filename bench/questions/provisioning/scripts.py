"""The inverse of the plan's script, and the plan as a list of hosts for Mininet; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from twinstack.namespaces.steps import Bridge, Namespace, NetStep, Rules, Sysctl, VethPair


def down(steps: Sequence[NetStep]) -> str:
    """Write the inverse of the script of `net.plan --script`, in reverse order."""
    hooks = [step.hook for step in steps if isinstance(step, Rules)]
    lines = ["#!/bin/sh", "set -eu"]
    for step in reversed(steps):
        lines += _inverse(step)
    # A chain goes last: another one of ours may jump to it.
    lines += [f"iptables -t {hook.table} -X {hook.chain}" for hook in hooks]
    return "\n".join([*lines, "umount /run/netns", "rmdir /run/netns", ""])


def _inverse(step: NetStep) -> Iterator[str]:
    match step:
        case VethPair():
            yield f"ip link delete dev {step.host_end}"
        case Namespace():
            yield f"ip netns delete {step.namespace}"
        case Bridge():
            yield f"ip link delete dev {step.link}"
        case Sysctl(at_least=True):
            pass  # the host of the race, a namespace, has no such switch
        case Sysctl(held=True):
            yield f"sysctl -qw {step.key}=0"
        case Rules(hook):
            start = f"iptables -t {hook.table}"
            if hook.jump:
                yield f"{start} -D {hook.jump.removeprefix('-A ')}"
            yield f"{start} -F {hook.chain}"


def hosts(steps: Sequence[NetStep]) -> str:
    """Write NAME ADDRESS/LENGTH GATEWAY for each namespace."""
    pairs = [step for step in steps if isinstance(step, VethPair)]
    return "".join(f"{pair.namespace} {pair.address} {pair.gateway}\n" for pair in pairs)

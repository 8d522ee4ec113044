"""The files that contenders need, written from the steps of `up` itself, so that all do the same.

`floor.c` reads a list of what to make and the rules to restore; the shell has the script of
`net.plan --script` and its inverse; Mininet reads a list of hosts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.questions.provisioning import topologies
from twinstack.linux import iptables
from twinstack.model import names
from twinstack.model.plan import Plan
from twinstack.namespaces import rules
from twinstack.namespaces.steps import (
    NAMESPACE_SYSCTLS,
    Bridge,
    Namespace,
    NetStep,
    Rules,
    Sysctl,
    VethPair,
    network_steps,
    script,
)


def write(work: Path, namespaces: int, instance: str) -> Path:
    """Write the files of one size; gives their directory. Raises: TopologyError."""
    directory = work / str(namespaces)
    directory.mkdir()
    for name, text in texts(topologies.plan(namespaces, instance)).items():
        (directory / name).write_text(text, encoding="utf-8")
    return directory


def texts(plan: Plan) -> dict[str, str]:
    """Give the text of each file; pure."""
    steps = network_steps(plan)
    hooks = tuple(step.hook for step in steps if isinstance(step, Rules))
    pairs = [step for step in steps if isinstance(step, VethPair)]
    inside = (
        f"inside {_path(key.removeprefix('net.'))} {value}" for key, value in NAMESPACE_SYSCTLS
    )
    world = f"world {plan.mark} {plan.mtu} {names.link_group(plan.instance)}"
    made = (line for step in steps for line in _made(step))
    # A chain goes last: another one of ours may jump to it.
    chains = (f"iptables -t {hook.table} -X {hook.chain}" for hook in hooks)
    removed = (line for step in reversed(steps) for line in _removed(step))
    return {
        "spec": _lines(world, *inside, *made),
        "up.rules": iptables.restore_text(hooks, {}),
        "down.rules": rules.removal_text(plan.instance, _present(hooks)),
        "up.sh": script(steps),
        "down.sh": _lines("set -eu", *removed, *chains, "umount /run/netns", "rmdir /run/netns"),
        "hosts": _lines(*(f"{pair.namespace} {pair.address} {pair.gateway}" for pair in pairs)),
    }


def _lines(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def _made(step: NetStep) -> Iterator[str]:
    """Write what the floor is to make. A switch "at least" so high is none of a namespace's."""
    match step:
        case Sysctl(at_least=False, held=True):
            yield f"held /proc/sys/{_path(step.key)} {step.value} 0"
        case Sysctl(at_least=False):
            yield f"switch /proc/sys/{_path(step.key)} {step.value}"
        case Bridge():
            yield f"bridge {step.link} {step.address} {int(step.filtered)}"
        case VethPair():
            ends = f"{step.host_end} {step.link} {step.bridge}"
            inside = f"{step.address} {step.gateway} {int(step.hairpin)}"
            yield f"namespace {step.namespace} {ends} {inside}"


def _removed(step: NetStep) -> Iterator[str]:
    """Write the commands that undo a step."""
    match step:
        case VethPair(host_end=link) | Bridge(link=link):
            yield f"ip link delete dev {link}"
        case Namespace():
            yield f"ip netns delete {step.namespace}"
        case Sysctl(at_least=False, held=True):
            yield f"sysctl -qw {step.key}=0"
        case Rules(hook):
            if hook.jump:
                yield f"iptables -t {hook.table} -D {hook.jump.removeprefix('-A ')}"
            yield f"iptables -t {hook.table} -F {hook.chain}"


def _present(hooks: Sequence[iptables.Hook]) -> dict[str, tuple[str, ...]]:
    """Give the rules of a host that has only these."""
    present: dict[str, tuple[str, ...]] = {}
    for hook in hooks:
        own = (f":{hook.chain} - [0:0]", *hook.lines, *filter(None, [hook.jump]))
        present[hook.table] = (*present.get(hook.table, ()), *own)
    return present


def _path(key: str) -> str:
    return key.replace(".", "/")

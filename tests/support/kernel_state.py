"""Write down what the kernel holds, by the tools of a shell alone, to compare two ways to it.

Of a whole host and each namespace of it, as a drill compares one world (twinstack.drill).
"""

from __future__ import annotations

from tests.support.sandbox import Sandbox
from twinstack.drill.difference import differences
from twinstack.drill.kernel_state import SCRIPT, PlaceState, Scope, parse
from twinstack.drill.snapshot import Snapshot
from twinstack.model.plan import HOST

_ALL = Scope(all_of_it=True)
State = dict[str, PlaceState]


def kernel_state(host: Sandbox) -> State:
    """Give all that the kernel holds of the host's network, and of each of its namespaces."""
    names = [line.split()[0] for line in host.run("ip", "netns", "list").stdout.splitlines()]
    state = {HOST: parse(host.run("sh", "-c", SCRIPT).stdout, _ALL)}
    for name in names:
        inside = host.run("nsenter", f"--net=/run/netns/{name}", "sh", "-c", SCRIPT)
        state[name] = parse(inside.stdout, _ALL)
    return state


def unlike(before: State, after: State) -> list[str]:
    """Name where two states differ, a line each."""
    found = differences(Snapshot({}, before), Snapshot({}, after), _ALL)
    return [str(each) for each in found]

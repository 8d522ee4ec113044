"""What runs on a real machine: one order on standard input, one answer on standard output.

`remote` brings it there and asks it. It resolves the very plan that its caller has, from the same
topology by the same code, and does this machine's share of it. Progress goes to standard error.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from twinstack.errors import CannotTell, TwinstackError
from twinstack.namespaces import dumps, teardown
from twinstack.namespaces import world as namespaces
from twinstack.namespaces.world import NamespaceWorld
from twinstack.overlay.spread import host_instance, host_plan, spread
from twinstack.plan import Plan, resolve
from twinstack.topology import parse

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"


def obey(order: dict[str, Any]) -> Any:
    """Do what is asked: up, plan or down. Raises: TwinstackError, also for an unknown order."""
    action = order["action"]
    if action == "down":
        own = host_instance(order["instance"], order["host"])
        removed = namespaces.down(own, progress=_say)
        return [*removed, *teardown.remove_data(own)]
    world = NamespaceWorld(_plan(order), _no_software, TEMPLATES, bare=True)
    if action == "up":
        return len(world.up(timeout_s=0, progress=_say))
    if action == "plan":
        found = world.preview()
        return {
            "planned": len(found.steps),
            "changes": [[one.step.name, one.reason] for one in found.told],
        }
    raise TwinstackError(f"order {action}", "is unknown", "", "bring both sides to one version")


def _plan(order: dict[str, Any]) -> Plan:
    """Resolve this machine's share; its uplink is the link that has its address."""
    topology = parse(order["topology"])
    plan = resolve(topology, order["shape"], order["instance"], policy=order["policy"])
    found = spread(plan, topology.hosts, None, frozenset(order["lost"]))
    host = found.host(order["host"])
    links, _ = dumps.read_host()
    for link in links.values():
        if any(one.partition("/")[0] == str(host.address) for one in link.addresses):
            mine = host_plan(plan, found, host)
            assert mine.site is not None
            return replace(mine, site=replace(mine.site, uplink=link.name))
    raise CannotTell(
        f"host {host.name}", "cannot be told", f"no link of this machine has {host.address}",
        "correct hosts.machines in topology.yml",
    )  # fmt: skip


def _no_software(_: object) -> NoReturn:
    raise TwinstackError("services", "are not started", "over ssh only networks are brought about")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main() -> None:
    """Read an order, obey, answer."""
    answer: dict[str, Any]
    try:
        answer = {"done": obey(json.load(sys.stdin))}
    except TwinstackError as error:
        answer = {"error": [error.obj, error.failure, str(error.cause), str(error.remedy)]}
        if type(error).__str__ is not TwinstackError.__str__:  # several at once
            answer = {"error": [str(error), "", "", ""]}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()

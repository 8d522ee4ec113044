"""What runs on a real machine: one order on standard input, one answer on standard output.

`remote` brings it there and asks it. It resolves the very plan that its caller has, from the same
topology by the same code, and does this machine's share of it by the namespace world, as a
simulated host does. Progress goes to standard error. When the channel is closed it stops.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from twinstack.confinement.seccomp import Filter
from twinstack.errors import CannotTell, Missing, NotHealthy, SeveralFailed, TwinstackError
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology_file import parse
from twinstack.namespaces import dumps, teardown
from twinstack.namespaces import world as namespaces
from twinstack.namespaces.launch import ProvidedSoftware
from twinstack.namespaces.world import NamespaceWorld
from twinstack.overlay.bundles import AGENTS, USERS
from twinstack.overlay.host_plans import host_instance, host_plan, spread
from twinstack.software.configs import configuration_of
from twinstack.software.secrets import drop_secrets, place_secrets
from twinstack.state.journal import read_journal
from twinstack.state.paths import InstancePaths

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
_UNBUILT = "software and secrets are to be brought there first"


def obey(order: dict[str, Any]) -> Any:
    """Do what is asked: up, status, plan, logs or down.

    Raises: TwinstackError, also for an unknown order.
    """
    action = order["action"]
    if action == "down":
        own = host_instance(order["instance"], order["host"])
        removed = namespaces.down(own, progress=_say)
        return [*removed, *teardown.remove_data(own)]
    plan = _plan(order)
    world = NamespaceWorld(
        plan,
        lambda _progress: _provide(order, plan),
        TEMPLATES,
        partial(_find, order, plan),
        bare=order["bare"],
    )
    if action == "up":
        return _up(order, plan, world)
    if action == "status":
        return {"services": [asdict(one) for one in world.status()], **_difference(world)}
    if action == "plan":
        return _difference(world)
    if action == "logs":
        return world.logs(order["replica"], lines=order["lines"])
    raise TwinstackError(f"order {action}", "is unknown", "", "bring both sides to one version")


def _up(order: dict[str, Any], plan: Plan, world: NamespaceWorld) -> list[dict[str, object]]:
    places = InstancePaths(plan.instance)
    fresh = not places.lib.exists()
    USERS.mkdir(parents=True, exist_ok=True)
    (USERS / plan.instance).touch()
    try:
        states = world.up(timeout_s=order["timeout_s"], progress=_say)
    except BaseException:
        if fresh and read_journal(places).empty:  # the world was undone: data and secrets go too
            for _ in teardown.remove_data(plan.instance):
                pass
            teardown.forget(plan.instance)
            (USERS / plan.instance).unlink(missing_ok=True)
        raise
    drop_secrets(_secrets(plan), plan.here)  # of those who have moved away
    return [asdict(one) for one in states]


def _difference(world: NamespaceWorld) -> dict[str, Any]:
    found = world.preview()
    return {
        "planned": found.total,
        "unbuilt": [_UNBUILT] if found.unbuilt else [],
        "changes": [[one.step.name, one.reason, *one.step.commands] for one in found.changes],
    }


def _plan(order: dict[str, Any]) -> Plan:
    """Resolve this machine's share; its uplink is the link that has its address."""
    topology = parse(order["topology"])
    plan = resolve(
        topology,
        order["shape"],
        order["instance"],
        limited=order["limited"],
        policy=order["policy"],
    )
    found = spread(plan, topology.hosts, None, frozenset(order["lost"]))
    host = found.host(order["host"])
    links, _ = dumps.read_host()
    for link in links.values():
        if any(one.partition("/")[0] == str(host.address) for one in link.addresses):
            mine = host_plan(plan, found, host)
            assert mine.vtep is not None
            return replace(mine, vtep=replace(mine.vtep, uplink=link.name))
    raise CannotTell(
        f"host {host.name}",
        "cannot be told",
        f"no link of this machine has {host.address}",
        "correct hosts.machines in topology.yml",
    )


def _secrets(plan: Plan) -> Path:
    return InstancePaths(plan.instance).lib / "secrets"


def _provide(order: dict[str, Any], plan: Plan) -> ProvidedSoftware:
    """Give what the services run on, as it was brought, and put their secrets in place."""
    found = _find(order, plan)
    if found is None:
        raise Missing(
            "software",
            "is not there",
            "a part of it has gone since it was brought",
            'run "invoke overlay.up --ssh" again',
        )
    place_secrets(_secrets(plan), plan.here, order["secrets"])
    return found


def _find(order: dict[str, Any], plan: Plan) -> ProvidedSoftware | None:
    """Give what the services run on if all of it is there."""
    told = order["software"]
    if told is None:
        return None
    trees = {role: AGENTS / name for role, name in told["trees"].items()}
    supervisor = AGENTS / told["supervisor"]
    srv = AGENTS / told["srv"] if told["srv"] else None
    if not all(path.is_dir() for path in (*trees.values(), supervisor, *([srv] if srv else ()))):
        return None
    # What was brought is never changed in place: its names tell it apart.
    names = json.dumps(told, sort_keys=True)
    return ProvidedSoftware(
        trees=trees,
        srv=srv or supervisor,  # where nobody has it bound into a root
        supervisor=supervisor / "supervisor",
        configs={replica.name: configuration_of(plan, replica) for replica in plan.here},
        digest=hashlib.sha256(names.encode()).hexdigest()[:12],
        seccomp=Filter(**order["seccomp"]),
    )


def _say(line: str) -> None:
    with suppress(OSError):  # nobody reads it any more: what is being undone is undone all the same
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _stop_when_left() -> None:
    """Interrupt the work, as a Ctrl-C would, once our caller closes the channel or is gone."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGINT)


def _errors(error: Exception) -> list[dict[str, Any]]:
    """Put a failure, or each of several, into what the caller makes errors of again."""
    if isinstance(error, SeveralFailed):
        return [told for one in error.failures for told in _errors(one)]
    notes = list(getattr(error, "__notes__", ()))
    if isinstance(error, TwinstackError):
        words = [error.obj, error.failure, str(error.cause), str(error.remedy)]
        return [{"words": words, "ill": isinstance(error, NotHealthy), "notes": notes}]
    words = ["agent", "failed", f"{type(error).__name__}: {error}", ""]
    return [{"words": words, "ill": False, "notes": notes}]


def main() -> None:
    """Read an order, obey, answer."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    answer: dict[str, Any]
    try:
        order = json.loads(sys.stdin.buffer.readline())
        threading.Thread(target=_stop_when_left, daemon=True).start()
        answer = {"done": obey(order)}
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        answer = {"stopped": True}
    except Exception as error:  # whatever it is, the caller is to read one line
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        answer = {"errors": _errors(error)}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

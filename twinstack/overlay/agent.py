"""What runs on a real machine: one request on standard input, one reply on standard output.

It resolves its caller's plan from the same topology by the same code, and takes this machine's
share of it as a namespace world. Progress goes to standard error. It stops when the channel is
closed.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from twinstack.confinement.seccomp import Filter
from twinstack.errors import CannotTell, Missing
from twinstack.model.placement import hosts_of
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology_file import parse
from twinstack.namespaces import dumps, teardown
from twinstack.namespaces import world as namespaces
from twinstack.namespaces.launch import ProvidedSoftware
from twinstack.namespaces.world import NamespaceWorld
from twinstack.overlay import flooding, verify
from twinstack.overlay.bundles import BUNDLES, USERS
from twinstack.overlay.host_plans import host_instance, host_plan, spread_over_hosts
from twinstack.overlay.protocol import (
    LISTENING,
    REQUEST,
    AgentRequest,
    errors_to_json,
    preview_to_json,
)
from twinstack.software.configs import configuration_of
from twinstack.software.secrets import drop_secrets, place_secrets
from twinstack.state.journal import read_journal
from twinstack.state.paths import InstancePaths


def handle(request: AgentRequest) -> Any:
    """Do what is asked and give the result. Raises: TwinstackError."""
    if request.action == "down":
        own = host_instance(request.instance, request.host)
        removed = namespaces.down(own, progress=_report)
        return [*removed, *teardown.remove_data(own)]
    plan = _plan(request)
    world = NamespaceWorld(
        plan,
        lambda _progress: _provide(request, plan),
        partial(_find, request, plan),
        bare=request.options.bare,
    )
    match request.action:
        case "up":
            return _up(request, plan, world)
        case "status":
            services = [asdict(state) for state in world.status()]
            return {"services": services, "preview": _preview(world)}
        case "plan":
            return _preview(world)
        case "logs":
            return world.logs(request.replica, lines=request.lines)
        case "listen":
            return _listen(plan)
        case "verify":
            return asdict(verify.own_verdict(plan))
        case "watch":
            begun = partial(_report, f"capturing for {request.seconds:g} s")
            machines = hosts_of(parse(request.topology).hosts)
            return asdict(flooding.watch_uplink(plan, machines, request.seconds, begun))


def _listen(plan: Plan) -> NoReturn:
    """Listen for the other machines' questions until the channel is closed."""
    with verify.listening(plan):
        _report(LISTENING)
        while True:
            time.sleep(1)  # until `_stop_at_end_of_input` interrupts


def _up(request: AgentRequest, plan: Plan, world: NamespaceWorld) -> list[dict[str, object]]:
    paths = InstancePaths(plan.instance)
    fresh = not paths.lib.exists()
    USERS.mkdir(parents=True, exist_ok=True)
    (USERS / plan.instance).touch()
    try:
        states = world.up(timeout_s=request.timeout_s, progress=_report)
    except BaseException:
        if fresh and read_journal(paths).empty:  # the world was undone: data and secrets go too
            teardown.remove_data(plan.instance)
            teardown.forget(plan.instance)
            (USERS / plan.instance).unlink(missing_ok=True)
        raise
    drop_secrets(_secrets(plan), plan.here)  # of replicas that have moved away
    return [asdict(state) for state in states]


def _preview(world: NamespaceWorld) -> dict[str, Any]:
    preview = world.preview()
    if preview.unbuilt:
        preview = replace(preview, unbuilt=("software and secrets are to be uploaded first",))
    return preview_to_json(preview)


def _plan(request: AgentRequest) -> Plan:
    """Resolve this machine's share; its uplink is the link that has its address."""
    topology = parse(request.topology)
    options = request.options
    plan = resolve(
        topology, options.shape, request.instance, limited=options.limited, policy=options.policy
    )
    spread = spread_over_hosts(plan, topology.hosts, None, frozenset(options.lost))
    host = spread.host(request.host)
    links, _ = dumps.read_host()
    for link in links.values():
        if str(host.address) in {address.partition("/")[0] for address in link.addresses}:
            share = host_plan(plan, spread, host)
            assert share.vtep is not None
            return replace(share, vtep=replace(share.vtep, uplink=link.name))
    cause = f"no link of this machine has {host.address}"
    remedy = "correct hosts.machines in topology.yml"
    raise CannotTell(f"host {host.name}", "cannot be found", cause, remedy)


def _secrets(plan: Plan) -> Path:
    return InstancePaths(plan.instance).secrets


def _provide(request: AgentRequest, plan: Plan) -> ProvidedSoftware:
    """Give the uploaded software, and put its secrets in place."""
    software = _find(request, plan)
    if software is None:
        cause, remedy = "a bundle is absent", 'run "invoke overlay.up --ssh" again'
        raise Missing("software", "is not complete", cause, remedy)
    place_secrets(_secrets(plan), plan.here, request.secrets)
    return software


def _find(request: AgentRequest, plan: Plan) -> ProvidedSoftware | None:
    """Give the uploaded software if all of it is there."""
    if request.software is None:
        return None
    paths = {part: BUNDLES / name for part, name in request.software.items()}
    if not all(path.is_dir() for path in paths.values()):
        return None
    # Bundles never change, so their names are a digest of the software.
    digest = hashlib.sha256(json.dumps(request.software, sort_keys=True).encode())
    supervisor = paths["supervisor"]
    return ProvidedSoftware(
        trees={role: paths[role] for role in {replica.role for replica in plan.here}},
        srv=paths.get("srv", supervisor),  # bound into no root without one
        supervisor=supervisor / "supervisor",
        configs={replica.name: configuration_of(plan, replica) for replica in plan.here},
        digest=digest.hexdigest()[:12],
        seccomp=Filter(**(request.seccomp or {})),
    )


def _report(line: str) -> None:
    with suppress(OSError):  # the caller may be gone; an undo must go on
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _stop_at_end_of_input() -> None:
    """Interrupt the work, as Ctrl-C would, once our caller closes the channel or is gone."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGINT)


def main() -> None:
    """Read a request, handle it, reply."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    reply: dict[str, Any]
    try:
        request = REQUEST.validate_json(sys.stdin.buffer.readline())
        threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
        reply = {"result": handle(request)}
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        reply = {"interrupted": True}
    except Exception as error:  # whatever it is, the caller reads one line
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        reply = {"errors": errors_to_json(error)}
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

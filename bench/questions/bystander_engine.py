"""A host with as much of Docker in it as a level asks for, gone with the block: see `bystander`."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from bench.questions.provisioning.host import quiet
from twinstack.compose.engine import ensure_engine
from twinstack.compose.engine_paths import EnginePaths
from twinstack.compose.engine_stop import discard
from twinstack.errors import StepFailed
from twinstack.linux import process, procfs
from twinstack.linux.waiting import until

BRIDGE_NF, _TRACKED = "net.bridge.bridge-nf-call-iptables", "net.netfilter.nf_conntrack_count"
_NAME, _HEALTHY_S = "bystander", 60.0
#: An engine without a network has neither docker0 nor rules, and forwards nothing.
_ALONE = (("bridge", "none"), ("iptables", False), ("ip-forward", False))
_PROBE = {"test": ["CMD", "/usr/bin/true"], "interval": 2 * 10**9}
_USR = [f"/{name}:/{name}:ro" for name in ("usr", "lib", "lib64")]


@contextmanager
def docker_at(
    level: int, enter: tuple[str, ...], containers: int
) -> Iterator[Callable[[], Counter[str]]]:
    """Bring a host to a level, 0 is none; gives what counts the proofs of all levels in it.

    `enter` is nsenter with the host's network namespace. Raises: StepFailed.
    """
    if not level:
        yield partial(_count, enter, None, 0.0)
        return
    name = f"twinstack-bystander-{os.getpid()}"
    engine = EnginePaths(
        socket=Path(f"/run/{name}/docker.sock"),
        data_root=Path(f"/run/{name}/data"),
        state=Path(f"/run/{name}/state"),
        cgroup_parent=f"/{name}",
        prefix=(*enter, "setpriv", "--pdeathsig", "TERM"),  # it ends with this process
        settings=_ALONE if level == 1 else (),
    )
    try:
        with closing(ensure_engine(engine, quiet)) as client:
            if level >= 2:  # the engine loads br_netfilter, which turns this on
                process.run([*enter, "sysctl", "-qw", f"{BRIDGE_NF}=1"])
                client.networks.create(_NAME)
            if level >= 3:
                _start(client, level, containers)
            yield partial(_count, enter, client, time.time())
    finally:
        discard(engine)


def _start(client: Any, level: int, containers: int) -> None:
    """Start containers that sleep, of the host's own /usr, and wait for the first probes."""
    client.api.import_image_from_data(bytes(10_240), repository=_NAME)  # an empty tar
    probe = _PROBE if level >= 4 else None
    options: dict[str, Any] = {"detach": True, "network": _NAME, "volumes": _USR}
    options |= {"stop_signal": "SIGKILL", "healthcheck": probe}
    options |= {"ports": {"80/tcp": ("127.0.0.1", None)}} if level >= 5 else {}
    for _ in range(containers):
        client.containers.run(_NAME, ["/usr/bin/sleep", "infinity"], **options)
    running = {"health": "healthy"} if level >= 4 else {}
    if not until(
        lambda: len(client.containers.list(filters=running)) >= containers, _HEALTHY_S, 0.2
    ):
        raise StepFailed("the containers", "do not run", f"within {_HEALTHY_S:g} s")


def _count(enter: tuple[str, ...], client: Any, since_s: float) -> Counter[str]:
    """Count the host's processes by name, and what proves its level; one bridge is ours."""
    seen: Counter[str] = Counter()
    own = os.stat(enter[1].removeprefix("--net="))
    for pid in procfs.pids():
        with suppress(OSError):
            if os.path.samestat(os.stat(f"/proc/{pid}/ns/net"), own):
                seen[procfs.read_status(pid)["Name"]] += 1
    bridges = process.run([*enter, "ip", "-o", "link", "show", "type", "bridge"]).stdout
    seen["bridges"] = len(bridges.splitlines()) - 1
    seen["rules"] = process.run([*enter, "iptables-save"]).stdout.count("\n-A ")
    for name, key in (("bridge-nf", BRIDGE_NF), ("conntrack", _TRACKED)):
        value = process.run([*enter, "sysctl", "-n", key], check=False).stdout
        seen[name] = int(value or 0)  # without its module the kernel does none of it
    if client:
        seen["containers"] = len(client.containers.list())
        span = {"since": f"{since_s:.9f}", "until": f"{time.time():.9f}", "decode": True}
        seen["probes"] = len(list(client.events(**span, filters={"event": "exec_start"})))
    return seen

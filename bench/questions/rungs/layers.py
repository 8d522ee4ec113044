"""Sets up a setting of the ladder's layers, in namespaces that end with this process.

Addresses, ports and the policy's chains are those of the tiered plan: nginx asks the gateway on one
bridge, or the gateway asks a product service across the host's two bridges.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bench.questions.rungs import course
from bench.questions.rungs.course import Setting
from bench.questions.rungs.pair import (
    Place,
    Proof,
    forwarded,
    inside,
    packets,
    rules,
    serving,
    standing,
)
from twinstack.confinement import seccomp
from twinstack.linux import br_netfilter, cgroup, child, iptables, procfs
from twinstack.linux.cgroup import ControlGroup
from twinstack.linux.process import run
from twinstack.model import names
from twinstack.model.plan import Plan, Replica
from twinstack.policy.chains import chains

#: The port of the host that is translated.
_PORT = 8080
_LIMITS = {"cpus": 2.0, "memory_bytes": 256 << 20, "pids": 64}
_EMPTY = "LADDER"


def network(setting: Setting, plan: Plan, client: int, server: int) -> str:
    """Write the shell script that lays the links of a setting in the network between; pure."""
    asks, answers = ends(plan, setting)
    near, far = (plan.segment(replica.segment) for replica in (asks, answers))
    lines = ["ip link set lo up"]
    if "veth" in setting:
        middle = "bridge" in setting
        for which, other, replica in (("c", client, asks), ("s", server, answers)):
            segment = plan.segment(replica.segment)
            enter = f"nsenter --net=/proc/{other}/ns/net"
            if middle:
                lines.append(f"ip link add ve-{which} type veth peer name eth0 netns {other}")
            elif which == "c":
                lines.append(
                    f"ip link add eth0 netns {client} type veth peer name eth0 netns {server}"
                )
            prefix = segment.subnet.prefixlen
            lines += [
                f"{enter} ip link set lo up",
                f"{enter} ip address add {replica.address}/{prefix} dev eth0",
            ]
        if middle:
            for segment in {near.bridge: near, far.bridge: far}.values():
                address = f"{segment.gateway}/{segment.subnet.prefixlen}"
                lines += [
                    f"ip link add {segment.bridge} type bridge mcast_snooping 0",
                    f"ip link set {segment.bridge} alias {plan.mark} up",
                    f"ip address add {address} dev {segment.bridge}",
                ]
            lines += [
                f"ip link set ve-c master {near.bridge} up",
                f"ip link set ve-s master {far.bridge} up",
                f"sysctl -qw net.bridge.bridge-nf-call-iptables={int('br_netfilter' in setting)}",
                "sysctl -qw net.ipv4.ip_forward=1",
            ]
        for other, segment in ((client, near), (server, far)):
            enter = f"nsenter --net=/proc/{other}/ns/net"
            lines.append(f"{enter} ip link set eth0 up")
            if middle:
                lines.append(f"{enter} ip route add default via {segment.gateway}")
    return "\n".join(lines)


def firewall(setting: Setting, plan: Plan) -> Iterator[str]:
    """Write the rules of a setting, which come before the policy's own; pure."""
    if "br_netfilter" in setting:
        yield f"iptables -N {_EMPTY}"
        yield f"iptables -I FORWARD -m physdev --physdev-in ve-c -j {_EMPTY}"
    if "conntrack" in setting:
        yield "iptables -I FORWARD -m conntrack --ctstate ESTABLISHED"
    if "DNAT" in setting:
        asks, answers = ends(plan, setting)
        yield (
            f"iptables -t nat -A PREROUTING -d {plan.segment(asks.segment).gateway} -p tcp"
            f" --dport {_PORT} -j DNAT --to-destination {answers.address}:{answers.port}"
        )


def ends(plan: Plan, setting: Setting) -> tuple[Replica, Replica]:
    """Say who asks whom: a flow that the policy permits; pure."""
    asks, answers = ("api-gateway", "product-service")
    if "routed" not in setting:
        asks, answers = "nginx-lb", "api-gateway"
    return plan.replicas_of(asks)[0], plan.replicas_of(answers)[0]


def address(plan: Plan, setting: Setting) -> tuple[str, str]:
    """Give what the server listens on, and what the client asks; pure."""
    asks, answers = ends(plan, setting)
    host = str(answers.address) if "veth" in setting else "127.0.0.1"
    own = f"{host}:{answers.port}"
    gateway = plan.segment(asks.segment).gateway
    return own, f"{gateway}:{_PORT}" if "DNAT" in setting else own


def root(setting: Setting) -> list[str]:
    """Give the words that a server starts under: its PID namespace and its root; pure."""
    words = []
    if "PID namespace" in setting:
        words += ["unshare", "--pid", "--fork", "--kill-child"]
    script = {
        "bind": "mount --bind / /mnt; exec chroot /mnt",
        "overlayfs": "mount -t tmpfs tmpfs /mnt; cd /mnt; mkdir upper work root; mount -t overlay"
        " -o lowerdir=/,upperdir=upper,workdir=work overlay root; exec chroot root",
    }
    chosen = next((name for name in ("overlayfs", "bind") if name in setting), "")
    if chosen:
        line = f'{script[chosen]} "$@"'
        words += ["unshare", "--mount", "--propagation", "private", "sh", "-ec", line, "sh"]
    return words


@contextmanager
def place(name: str, setting: Setting, plan: Plan) -> Iterator[Place]:
    """Give a pair in a setting. Raises: StepFailed, NotHealthy when it does not come up; Missing."""
    with ExitStack() as stack:
        pids = []
        for _ in range(3 if "veth" in setting else 1):
            holder, _ = stack.enter_context(child.staying(name, None, child.unshare_netns))
            pids.append(holder.pid)
        between, client, server = (pids * 3)[:3] if len(pids) == 1 else pids
        if "br_netfilter" in setting:
            br_netfilter.load()
        script = network(setting, plan, client, server)
        run([*inside(between), "sh", "-ec", script])
        if "policy" in setting:
            hooks = tuple(chain.hook(plan.mark) for chain in chains(plan, "net"))
            run([*inside(between), *iptables.RESTORE], stdin=iptables.restore_text(hooks, {}))
        run([*inside(between), "sh", "-ec", "\n".join(firewall(setting, plan))])
        listen, asked = address(plan, setting)
        filter_ = seccomp.compiled().program if "seccomp" in setting else ""
        log = next((kind for kind in ("json", "pipe", "file") if f"log: {kind}" in setting), "")
        words = [*root(setting), *serving(listen, log=bool(log), seccomp=filter_)]
        proofs = {layer.name: PROOFS[layer.name] for layer in course.shown(setting)}
        if "veth" not in setting:
            proofs["loopback"] = PROOFS["loopback"]
        networks = client, server, between
        up = standing(name, words, asked, networks=networks, log=log, proofs=proofs)
        if "cgroup" not in setting:
            yield stack.enter_context(up)
            return
        path = f"twinstack/{plan.instance}/ladder-{names.shortened(name, 30)}"
        group = stack.enter_context(_cgroup(path.replace(" ", "-")))
        given = stack.enter_context(up)
        for directory in group:
            (directory / "cgroup.procs").write_text(str(given.server))
        yield given


@contextmanager
def _cgroup(path: str) -> Iterator[tuple[Path, ...]]:
    """Give a cgroup with limits that are not reached. `invoke clean` removes it after a SIGKILL."""
    layout = cgroup.read_layout()
    values = cgroup.limit_values(layout, **_LIMITS)  # type: ignore[arg-type]
    directories = layout.directories(path)
    try:
        cgroup.create(path, layout, cgroup.limit_files(path, layout, values))
        yield directories
    finally:
        for directory in directories:
            _remove(directory)


def _remove(directory: Path) -> None:
    for _ in range(200):  # a killed process leaves its cgroup a moment after it left /proc
        try:
            directory.rmdir()
            break
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.01)
    for parent in list(directory.parents)[:2]:
        with suppress(OSError):
            parent.rmdir()


def _grouped(place: Place) -> float:
    group = ControlGroup.of(place.server)
    return group.cpu_us() if group.limits().cpus else 0.0


def _root(place: Place) -> procfs.MountEntry:
    mounts = procfs.read_mounts(place.server)
    return next(mount for mount in reversed(mounts) if mount.path == "/")


def _bound(place: Place) -> float:
    own = next(mount for mount in procfs.read_mounts() if mount.path == "/")
    return _root(place).number != own.number


def _size(place: Place) -> float:
    return os.fstat(place.log.fileno()).st_size if place.log else 0.0


def _read(place: Place) -> float:
    lines = Path(f"/proc/{place.reader}/io").read_text().splitlines() if place.reader else []
    return float(next((line.split()[1] for line in lines if line.startswith("rchar")), 0))


_LINE_BYTES = 20
PROOFS: Mapping[str, Proof] = {
    "loopback": Proof("lo", lambda place: packets(place.between, "lo")),
    "veth": Proof(
        "eth0, both",
        lambda place: min(packets(pid, "eth0") for pid in (place.client.pid, place.server)),
    ),
    "bridge": Proof(
        "both ports", lambda place: min(packets(place.between, f"ve-{end}") for end in "cs")
    ),
    "br_netfilter": Proof("physdev rule", lambda place: rules(place.between, "--physdev-in ve-c")),
    "conntrack": Proof("ctstate rule", lambda place: rules(place.between, "--ctstate ESTABLISHED")),
    "policy": Proof("TO- rule", lambda place: rules(place.between, "-A TS-", "-TO-", "-j ACCEPT")),
    "routed": Proof("forwarded", lambda place: forwarded(place.between)),
    "DNAT": Proof("DNAT rule", lambda place: rules(place.between, "-j DNAT")),
    "cgroup": Proof("cgroup's µs", _grouped),
    "bind": Proof("mount of /", _bound, 0),
    "overlayfs": Proof("type of /", lambda place: _root(place).kind == "overlay", 0),
    "seccomp": Proof(
        "Seccomp: 2", lambda place: procfs.read_status(place.server)["Seccomp"] == "2", 0
    ),
    "PID namespace": Proof(
        "NSpid", lambda place: len(procfs.read_status(place.server)["NSpid"].split()) - 1, 0
    ),
    "log: file": Proof("file's bytes", _size, _LINE_BYTES),
    "log: pipe": Proof("reader's bytes", _read, _LINE_BYTES),
    "log: json": Proof("file's bytes", _size, _LINE_BYTES),
}

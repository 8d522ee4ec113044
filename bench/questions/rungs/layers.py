"""Sets up the ladder's settings, in namespaces that end with this process, and proves their rungs.

Addresses, ports and the policy's chains are the tiered plan's: nginx asks the gateway on one
bridge, or the gateway asks a product service across the host's two bridges.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.questions.rungs.course import Setting, shown
from bench.questions.rungs.pair import (
    LINE_BYTES,
    LadderPlace,
    Proof,
    inside,
    serving,
    standing,
)
from twinstack.confinement import seccomp
from twinstack.linux import br_netfilter, cgroup, child, iptables, procfs
from twinstack.linux.cgroup import ControlGroup
from twinstack.linux.counters import packets, rule_packets, snmp
from twinstack.linux.process import run
from twinstack.linux.session import cleared
from twinstack.model.plan import Plan, Replica
from twinstack.policy.chains import chains

#: The port of the host that is translated.
_PORT = 8080
_ROOTS = {
    "overlayfs": "mount -t tmpfs tmpfs /mnt; cd /mnt; mkdir upper work root; mount -t overlay"
    " -o lowerdir=/,upperdir=upper,workdir=work overlay root; exec chroot root",
    "bind": "mount --bind / /mnt; exec chroot /mnt",
}


def ends(plan: Plan, setting: Setting) -> tuple[Replica, Replica]:
    """Say who asks whom: a flow that the policy permits; pure."""
    routed = "routed" in setting
    names = ("api-gateway", "product-service") if routed else ("nginx-lb", "api-gateway")
    asks, answers = (plan.replicas_of(name)[0] for name in names)
    return asks, answers


def links(setting: Setting, plan: Plan, pids: tuple[int, int]) -> Iterator[str]:
    """Give the commands that join client and server, by their pids, in the network between; pure.

    Without a bridge their veth pair is their own, and nothing is between.
    """
    yield "ip link set lo up"
    if "veth" not in setting:
        return
    if "bridge" not in setting:
        yield f"ip link add eth0 netns {pids[0]} type veth peer name eth0 netns {pids[1]}"
    replicas = ends(plan, setting)
    segments = [plan.segment(replica.segment) for replica in replicas]
    for segment in dict.fromkeys(segments) if "bridge" in setting else ():
        yield f"ip link add {segment.bridge} type bridge mcast_snooping 0"
        yield f"ip link set {segment.bridge} alias {plan.mark} up"
        prefix = segment.subnet.prefixlen
        yield f"ip address add {segment.gateway}/{prefix} dev {segment.bridge}"
    for end, pid, replica, segment in zip("cs", pids, replicas, segments, strict=True):
        enter = f"nsenter --net=/proc/{pid}/ns/net ip"
        if "bridge" in setting:
            yield f"ip link add ve-{end} type veth peer name eth0 netns {pid}"
            yield f"ip link set ve-{end} master {segment.bridge} up"
        yield f"{enter} address add {replica.address}/{segment.subnet.prefixlen} dev eth0"
        yield f"{enter} link set eth0 up"
        if "bridge" in setting:
            yield f"{enter} route add default via {segment.gateway}"
    if "bridge" in setting:
        yield "sysctl -qw net.ipv4.ip_forward=1"
        if "br_netfilter" in setting or br_netfilter.is_loaded():
            switch = int("br_netfilter" in setting)
            yield f"sysctl -qw net.bridge.bridge-nf-call-iptables={switch}"


def firewall(setting: Setting, plan: Plan) -> Iterator[str]:
    """Give the rules of a setting, which come before the policy's own; pure."""
    if "br_netfilter" in setting:
        yield "iptables -N LADDER"
        yield "iptables -I FORWARD -m physdev --physdev-in ve-c -j LADDER"
    if "conntrack" in setting:
        yield "iptables -I FORWARD -m conntrack --ctstate ESTABLISHED"
    if "DNAT" in setting:
        asks, answers = ends(plan, setting)
        yield (
            f"iptables -t nat -A PREROUTING -d {plan.segment(asks.segment).gateway} -p tcp"
            f" --dport {_PORT} -j DNAT --to-destination {answers.address}:{answers.port}"
        )


def launch(setting: Setting) -> list[str]:
    """Give the words that a server starts under: its PID namespace and its root; pure."""
    pid = ["unshare", "--pid", "--fork", "--kill-child"] if "PID namespace" in setting else []
    script = next((script for name, script in _ROOTS.items() if name in setting), "")
    own = ["unshare", "--mount", "--propagation", "private", "sh", "-ec"]
    return [*pid, *([*own, f'{script} "$@"', "sh"] if script else [])]


@contextmanager
def place(name: str, setting: Setting, plan: Plan) -> Iterator[LadderPlace]:
    """Give a pair in a setting. Raises: StepFailed, NotHealthy, Missing."""
    asks, answers = ends(plan, setting)
    with ExitStack() as stack:
        networks = stack.enter_context(child.networks(name, 3 if "veth" in setting else 1))
        between, client, server = networks if "veth" in setting else networks * 3
        if "br_netfilter" in setting:
            br_netfilter.load()
        _sh(between, links(setting, plan, (client, server)))
        if "policy" in setting:
            hooks = tuple(chain.hook(plan.mark) for chain in chains(plan, "net"))
            run([*inside(between), *iptables.RESTORE], stdin=iptables.restore_text(hooks, {}))
        _sh(between, firewall(setting, plan))
        listen = f"{answers.address if 'veth' in setting else '127.0.0.1'}:{answers.port}"
        asked = f"{plan.segment(asks.segment).gateway}:{_PORT}" if "DNAT" in setting else listen
        program = seccomp.compiled().program if "seccomp" in setting else ""
        log = next((kind for kind in ("json", "pipe", "file") if f"log: {kind}" in setting), "")
        words = [*launch(setting), *serving(listen, log=bool(log), seccomp=program)]
        rungs = [*shown(setting), *([] if "veth" in setting else ["loopback"])]
        proofs = {rung: PROOFS[rung] for rung in rungs}
        into = stack.enter_context(_cgroup(name, plan)) if "cgroup" in setting else ()
        nets = client, server, between
        up = stack.enter_context(standing(name, words, asked, proofs, networks=nets, log=log))
        for directory in into:
            (directory / "cgroup.procs").write_text(str(up.server))
        yield up


def _sh(pid: int, commands: Iterator[str]) -> None:
    run([*inside(pid), "sh", "-ec", "\n".join(commands)])


@contextmanager
def _cgroup(name: str, plan: Plan) -> Iterator[tuple[Path, ...]]:
    """Give a cgroup with limits that are not reached."""
    layout = cgroup.read_layout()
    path = f"twinstack/{plan.instance}/ladder-{name.replace(' ', '-')}"
    values = cgroup.limit_values(layout, 2.0, 256 << 20, 64)
    # A killed process leaves its cgroup a moment after it left /proc.
    removal = (
        f"cd {mount}; for try in $(seq 50); do rmdir -p {path}; [ -d {path} ] || break; sleep 0.1;"
        " done"
        for mount in dict.fromkeys(layout.mounts.values())
    )
    with cleared("\n".join(removal)):
        cgroup.create(path, layout, cgroup.limit_files(path, layout, values))
        yield layout.directories(path)


def _root(pid: int | str) -> procfs.MountEntry:
    return [mount for mount in procfs.read_mounts(pid) if mount.path == "/"][-1]


def _status(place: LadderPlace, key: str) -> list[str]:
    return procfs.read_status(place.server)[key].split()


def _limited_us(place: LadderPlace) -> float:
    group = ControlGroup.of(place.server)
    return group.cpu_us() if group.limits().cpus == 2.0 else 0.0


def _read_bytes(place: LadderPlace) -> float:
    return float(Path(f"/proc/{place.reader}/io").read_text().split()[1])


def _size(place: LadderPlace) -> float:
    return os.fstat(place.log.fileno()).st_size if place.log else 0.0


def _counted(noun: str, *words: str) -> Proof:
    return Proof(f"{noun} rule", lambda place: rule_packets(place.between, *words))


PROOFS: Mapping[str, Proof] = {
    "loopback": Proof("lo", lambda place: packets(place.between, "lo")),
    "veth": Proof(
        "eth0, both", lambda at: min(packets(pid, "eth0") for pid in (at.client.pid, at.server))
    ),
    "bridge": Proof(
        "both ports", lambda place: min(packets(place.between, f"ve-{end}") for end in "cs")
    ),
    "br_netfilter": _counted("physdev", "--physdev-in ve-c"),
    "conntrack": _counted("ctstate", "--ctstate ESTABLISHED"),
    "policy": _counted("TO-", "-j ACCEPT", "-A TS-", "-TO-"),
    "routed": Proof("forwarded", lambda place: snmp(place.between)["Ip", "ForwDatagrams"]),
    "DNAT": _counted("DNAT", "-j DNAT"),
    "cgroup": Proof("cgroup's µs", _limited_us),
    "bind": Proof("mount of /", lambda at: _root(at.server).number != _root("self").number, 0),
    "overlayfs": Proof("type of /", lambda place: _root(place.server).kind == "overlay", 0),
    "seccomp": Proof("Seccomp: 2", lambda place: _status(place, "Seccomp") == ["2"], 0),
    "PID namespace": Proof("NSpid", lambda place: len(_status(place, "NSpid")) - 1, 0),
    "log: file": Proof("its bytes", _size, LINE_BYTES),
    "log: pipe": Proof("reader's bytes", _read_bytes, LINE_BYTES),
    "log: json": Proof("its bytes", _size, LINE_BYTES),
}

"""Rungs beside the ladder, each compared with one of its places: other links, rootless, gVisor."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.questions.rungs.course import SIDE, Edge
from bench.questions.rungs.pair import CPU, LadderPlace, Proof, inside, serving, standing
from twinstack.errors import NotHealthy
from twinstack.linux import child, procfs
from twinstack.linux.counters import cpu_us, packets
from twinstack.linux.process import run
from twinstack.linux.session import Session, started
from twinstack.linux.waiting import until
from twinstack.model.vxlan import OVERLAY_MTU, VXLAN_PORT

Make = Callable[[str], AbstractContextManager[LadderPlace]]
#: Of no network: for documentation (RFC 5737).
CLIENT, SERVER = "198.51.100.1", "198.51.100.2"
_PORT, _START_S = 5000, 10.0
ASKED, _LOCAL = f"{SERVER}:{_PORT}", f"127.0.0.1:{_PORT}"
#: Not an identifier that Swarm gives, which are 4096 and more.
BRIDGE, VTEP, _VNI = "br-raw", "vx-raw", 3999


@dataclass(frozen=True, slots=True)
class SideRung:
    """A rung beside the ladder."""

    name: str
    lower: str  # the place that it is compared with
    place: Make
    program: str = ""  # that it needs
    package: str = ""  # Debian's, which has it

    @property
    def edge(self) -> Edge:
        """Give what is compared."""
        return Edge(SIDE, self.name, self.name, self.lower)

    def lacks(self) -> str:
        """Say what keeps it from being measured; empty when nothing does."""
        missing = self.program and shutil.which(self.program) is None
        return f"{self.program} (package {self.package}) is missing" if missing else ""

    def version(self) -> str:
        """Name the version of its package, else of its program."""
        asked = run(["dpkg-query", "-W", self.package], check=False).stdout.split()
        return " ".join(asked or run([self.program, "--version"], check=False).stdout.split()[:3])


@contextmanager
def laid(name: str, count: int, script: Callable[..., str]) -> Iterator[list[int]]:
    """Give networks, by pids of processes in them, when a script has run in the first."""
    with child.networks(name, count) as pids:
        run([*inside(pids[0]), "sh", "-ec", script(*pids)])
        yield pids


def _addressed(pid: int, link: str, address: str) -> str:
    enter = f"nsenter --net=/proc/{pid}/ns/net ip"
    return f"{enter} address add {address}/24 dev {link}\n{enter} link set {link} up\n"


@contextmanager
def _linked(
    name: str, *, count: int, script: Callable[..., str], link: str, counted: slice
) -> Iterator[LadderPlace]:
    """Give a place whose client and server, the last two networks, a script joins."""
    with laid(name, count, script) as pids:
        read = Proof(f"{link}, both", lambda _: min(packets(p, link) for p in pids[counted]))
        nets = pids[-2], pids[-1], pids[0]
        with standing(name, serving(ASKED), ASKED, {name: read}, networks=nets) as up:
            yield up


def _macvlan(_: int, *ends: int) -> str:
    script = "ip link add ground type veth peer name peer\nip link set peer up\n"
    for pid, address in zip(ends, (CLIENT, SERVER), strict=True):
        script += f"ip link add link ground name mac0 netns {pid} type macvlan mode bridge\n"
        script += _addressed(pid, "mac0", address)
    return script + "ip link set ground up"


def vxlan_end(enter: str, own: object, other: object, end: int, address: str) -> str:
    """Write what joins a network to a VXLAN from a host to another; `enter` leads into it."""
    commands = (
        f"add {BRIDGE} type bridge mcast_snooping 0",
        f"add {VTEP} type vxlan id {_VNI} dstport {VXLAN_PORT} local {own} remote {other}",
        f"add ve-0 mtu {OVERLAY_MTU} type veth peer name eth0 mtu {OVERLAY_MTU} netns {end}",
        *(f"set {link} master {BRIDGE} up" for link in (VTEP, "ve-0")),
        f"set {BRIDGE} up",
    )
    lines = (f"{enter} ip link {command}\n" for command in commands)
    return "".join(lines) + _addressed(end, "eth0", address)


def _vxlan(near: int, far: int, client: int, server: int) -> str:
    script = f"ip link add under netns {near} type veth peer name under netns {far}\n"
    for host, own, other, end, address in (
        (near, "192.0.2.1", "192.0.2.2", client, CLIENT),
        (far, "192.0.2.2", "192.0.2.1", server, SERVER),
    ):
        script += _addressed(host, "under", own)
        script += vxlan_end(shlex.join(inside(host)), own, other, end, address)
    return script


def _host(_: int, *__: int) -> str:
    return (
        "ip link add up0 type veth peer name up1\n"
        "for link in lo up0 up1; do ip link set $link up; done\n"
        "ip address add 192.0.2.2/24 dev up0\nip route add default via 192.0.2.1"
    )


@contextmanager
def unix(name: str) -> Iterator[LadderPlace]:
    """Ask by a Unix socket: no TCP, no IP, no link."""
    with laid(name, 1, _host) as (own,):
        address, table = "twinstack-ladder", Path(f"/proc/{own}/net/unix")
        proof = Proof("in net/unix", lambda _: f"@{address}" in table.read_text(), 0)
        nets = own, own, own
        with standing(name, serving(address), address, {name: proof}, networks=nets) as place:
            yield place


@contextmanager
def rootless(name: str, *, words: str, asked: str) -> Iterator[LadderPlace]:
    """Give a place whose client reaches the host by a program's TCP stack, as rootless engines do.

    `words` start it in the host's network; PID in them is the client's, and its network is open as
    descriptor 3 for a program that may not open it.
    """
    with laid(name, 2, _host) as (host, client):
        opened = f"exec {words.replace('PID', str(client))} 3</proc/{client}/ns/net"
        with started([*inside(host), *_pinned("sh", "-c", opened)]) as program:
            _await(name, "tap0", Path(f"/proc/{client}/net/dev"), "tap0:")
            proofs = {
                name: Proof("tap0", lambda _: packets(client, "tap0")),
                f"{name}'s own": Proof("its µs", lambda _: cpu_us(program.pid)),
            }
            nets, also = (client, host, host), [program.pid]
            with standing(name, serving(_LOCAL), asked, proofs, networks=nets, also=also) as up:
                yield up


@contextmanager
def gvisor(name: str) -> Iterator[LadderPlace]:
    """Ask a server in gVisor's sandbox, which uses the network that it is started in."""

    with laid(name, 1, _host) as (own,):

        def find(leader: Session) -> Sequence[int]:
            _await(name, "listener", Path(f"/proc/{own}/net/tcp"), f":{_PORT:04X} 00000000:0000 0A")
            return procfs.descendants(leader.pid)

        sandbox = "runsc --platform=ptrace --network=host --ignore-cgroups --rootless do"
        words = _pinned(*shlex.split(sandbox), *serving(_LOCAL))
        proof = Proof("its µs", lambda at: sum(map(cpu_us, at.parts.keys() - {at.client.pid})))
        nets = own, own, own
        with standing(name, words, _LOCAL, {name: proof}, networks=nets, find=find) as place:
            yield place


def _pinned(*words: str) -> list[str]:
    return ["taskset", "--cpu-list", str(CPU), "setpriv", "--pdeathsig", "KILL", *words]


def _await(name: str, noun: str, file: Path, text: str) -> None:
    if not until(lambda: text in file.read_text(), _START_S, 0.02):
        raise NotHealthy(name, "does not start", f"no {noun} within {_START_S:g} s")
    time.sleep(0.2)  # what it sets up with it comes a moment later


_SLIRP = "slirp4netns --configure --mtu=65520 PID tap0"
_PASTA = (
    "pasta --foreground --runas 0 --config-net --ns-ifname tap0 --netns-only"
    " --netns /proc/self/fd/3"
)
_BY_SLIRP = partial(rootless, words=_SLIRP, asked="10.0.2.2:5000")
_BY_PASTA = partial(rootless, words=_PASTA, asked="192.0.2.1:5000")
_BY_MACVLAN = partial(_linked, count=3, script=_macvlan, link="mac0", counted=slice(1, 3))
_BY_VXLAN = partial(_linked, count=4, script=_vxlan, link=VTEP, counted=slice(2))
SIDES = (
    SideRung("unix socket", "loopback", unix),
    SideRung("macvlan", "veth", _BY_MACVLAN),
    SideRung("VXLAN", "bridge", _BY_VXLAN),
    SideRung("slirp4netns", "veth", _BY_SLIRP, "slirp4netns", "slirp4netns"),
    SideRung("pasta", "veth", _BY_PASTA, "pasta", "passt"),
    SideRung("gVisor", "loopback", gvisor, "runsc", "runsc"),
)

"""Rungs beside the ladder, each compared with one of its places: other links, rootless, gVisor."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load.programs import Running, cpu_us
from bench.questions.rungs.course import SIDE, Edge
from bench.questions.rungs.pair import CPU, Place, Proof, inside, packets, serving, standing
from twinstack.errors import NotHealthy
from twinstack.linux import child
from twinstack.linux.process import run
from twinstack.model.vxlan import VXLAN_PORT

#: Of no network: for documentation (RFC 5737).
_CLIENT, _SERVER, _PORT = "198.51.100.1", "198.51.100.2", 5000
_ASKED = f"{_SERVER}:{_PORT}"
_START_S = 10.0


@dataclass(frozen=True, slots=True)
class SideRung:
    """A rung beside the ladder."""

    name: str
    adds: str
    lower: str  # the place that it is compared with
    place: Callable[[str], AbstractContextManager[Place]]  # by its name
    program: str = ""  # that it needs
    package: str = ""  # Debian's, which has it

    @property
    def edge(self) -> Edge:
        return Edge(SIDE, self.name, self.adds, self.name, self.lower)

    def lacks(self) -> str:
        """Say what keeps it from being measured; empty when nothing does."""
        if self.program and shutil.which(self.program) is None:
            return f"{self.name}: not measured: {self.program} (package {self.package}) is missing"
        return ""

    def version(self) -> str:
        """Name the program's version, for the table's note."""
        words = [self.program, "--version"]
        text = "" if self.lacks() or not self.program else run(words, check=False).stdout
        return " ".join(text.split("\n")[0].split())[:60]


@contextmanager
def _networks(count: int, name: str) -> Iterator[list[int]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(child.staying(name, None, child.unshare_netns))[0].pid
            for _ in range(count)
        ]


def _lay(pid: int, script: str) -> None:
    run([*inside(pid), "sh", "-ec", script])


def _addressed(pid: int, link: str, address: str) -> str:
    enter = f"nsenter --net=/proc/{pid}/ns/net ip"
    return f"{enter} address add {address}/24 dev {link}\n{enter} link set {link} up\n"


@contextmanager
def unix(name: str) -> Iterator[Place]:
    """Ask by a Unix socket: no TCP, no IP, no link."""
    with _networks(1, name) as (own,):
        table = Path(f"/proc/{own}/net/unix")
        proof = Proof("in net/unix", lambda place: "@twinstack-ladder" in table.read_text(), 0)
        address = "twinstack-ladder"
        with standing(
            name, serving(address), address, networks=(own, own, own), proofs={name: proof}
        ) as place:
            yield place


@contextmanager
def macvlan(name: str) -> Iterator[Place]:
    """Ask over two macvlans of one parent, which the host does not see."""
    with _networks(3, name) as (between, client, server):
        _lay(
            between,
            "ip link add ground type veth peer name peer\n"
            "ip link set peer up\nip link set ground up\n"
            + "".join(
                f"ip link add link ground name mac0 netns {pid} type macvlan mode bridge\n"
                + _addressed(pid, "mac0", address)
                for pid, address in ((client, _CLIENT), (server, _SERVER))
            ),
        )
        proof = Proof("mac0", lambda place: min(packets(pid, "mac0") for pid in (client, server)))
        networks = client, server, between
        with standing(
            name, serving(_ASKED), _ASKED, networks=networks, proofs={name: proof}
        ) as place:
            yield place


@contextmanager
def vxlan(name: str) -> Iterator[Place]:
    """Ask across two hosts, each with a bridge, joined by a VXLAN over a veth pair."""
    with _networks(4, name) as (near, far, client, server):
        script = f"ip link add under netns {near} type veth peer name under netns {far}\n"
        for pid, own, other, end, address in (
            (near, "192.0.2.1", "192.0.2.2", client, _CLIENT),
            (far, "192.0.2.2", "192.0.2.1", server, _SERVER),
        ):
            enter = f"nsenter --net=/proc/{pid}/ns/net"
            script += _addressed(pid, "under", own)
            for command in (
                "ip link add br0 type bridge mcast_snooping 0",
                f"ip link add vx0 type vxlan id 1 dstport {VXLAN_PORT} local {own} remote {other}",
                f"ip link add ve-0 mtu 1450 type veth peer name eth0 mtu 1450 netns {end}",
                *(f"ip link set {link} master br0 up" for link in ("vx0", "ve-0")),
                "ip link set br0 up",
            ):
                script += f"{enter} {command}\n"
            script += _addressed(end, "eth0", address)
        _lay(near, script)
        proof = Proof("vx0, both", lambda place: min(packets(pid, "vx0") for pid in (near, far)))
        networks = client, server, near
        with standing(
            name, serving(_ASKED), _ASKED, networks=networks, proofs={name: proof}
        ) as place:
            yield place


def rootless(words: Sequence[str], link: str, asked: str) -> Callable[[str], AbstractContextManager[Place]]:
    """Give a place whose client reaches the host by a program's TCP stack, as rootless engines do.

    `words` start it in the host's network; "PID" in them is the client's, and its network is open
    as descriptor 3 for a program that may not open it.
    """

    @contextmanager
    def place(name: str) -> Iterator[Place]:
        with ExitStack() as stack:
            between, client = stack.enter_context(_networks(2, name))
            host = "ip link add up0 type veth peer name up1\n"
            host += "".join(f"ip link set {link} up\n" for link in ("lo", "up0", "up1"))
            host += "ip address add 192.0.2.2/24 dev up0\nip route add default via 192.0.2.1"
            _lay(between, host)
            given = shlex.join(word.replace("PID", str(client)) for word in words)
            opened = ["sh", "-c", f"exec {given} 3</proc/{client}/ns/net"]
            pids = stack.enter_context(_program([*inside(between), *_pinned(), *opened]))
            _await_link(name, client, link)
            proofs = {
                name: Proof(link, lambda place: packets(client, link)),
                f"{name}'s program": Proof("its µs", lambda place: sum(map(cpu_us, pids))),
            }
            networks = client, between, between
            listen = f"127.0.0.1:{_PORT}"
            up = standing(
                name, serving(listen), asked, networks=networks, also=pids, proofs=proofs
            )
            yield stack.enter_context(up)

    return place


@contextmanager
def gvisor(name: str) -> Iterator[Place]:
    """Ask a server in gVisor's sandbox, which uses the host's network."""
    with _networks(1, name) as (own,):
        _lay(own, "ip link set lo up")
        listen = f"127.0.0.1:{_PORT}"
        sandbox = "runsc --platform=ptrace --network=host --ignore-cgroups --rootless do".split()
        def find(started: Running) -> Sequence[int]:
            time.sleep(1.5)  # the sandbox and its gofer start
            return started.pids() or (started.pid,)

        words, networks = [*_pinned(), *sandbox, *serving(listen)], (own, own, own)
        proof = Proof("runsc's µs", lambda place: sum(map(cpu_us, place.parts)))
        up = standing(name, words, listen, networks=networks, find=find, proofs={name: proof})
        with up as place:
            yield place


def _pinned() -> list[str]:
    return ["taskset", "--cpu-list", str(CPU), "setpriv", "--pdeathsig", "KILL"]


@contextmanager
def _program(words: Sequence[str]) -> Iterator[list[int]]:
    """Run a program meanwhile; gives its pids."""
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as started:
        try:
            yield [started.pid]
        finally:
            started.kill()


def _await_link(name: str, pid: int, link: str) -> None:
    deadline = time.monotonic() + _START_S
    while f"{link}:" not in Path(f"/proc/{pid}/net/dev").read_text():
        if time.monotonic() > deadline:
            raise NotHealthy(name, "does not start", f"no {link} within {_START_S:g} s")
        time.sleep(0.02)
    time.sleep(0.2)  # its addresses come a moment later


SLIRP = "slirp4netns --configure --mtu=65520 PID tap0".split()
PASTA = (
    "pasta --foreground --runas 0 --config-net --ns-ifname tap0 --netns-only --netns /proc/self/fd/3"
).split()
SIDES = (
    SideRung("unix socket", "instead of TCP on loopback", "loopback", unix),
    SideRung("macvlan", "instead of a veth pair", "veth", macvlan),
    SideRung("VXLAN", "another host, instead of a bridge on one", "bridge", vxlan),
    SideRung(
        "slirp4netns", "instead of a veth pair", "veth",
        rootless(SLIRP, "tap0", f"10.0.2.2:{_PORT}"), "slirp4netns", "slirp4netns",
    ),
    SideRung(
        "pasta", "instead of a veth pair", "veth",
        rootless(PASTA, "tap0", f"192.0.2.1:{_PORT}"), "pasta", "passt",
    ),
    SideRung("gVisor", "the server in its sandbox (ptrace)", "loopback", gvisor, "runsc", "runsc"),
)

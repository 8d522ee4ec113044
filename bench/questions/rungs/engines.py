"""Rungs of an engine that runs here: its container, log, network and published ports.

The container has an empty image and the host's /usr, read-only: the server's Python. It ends with
its standard input, which its client, our child, holds.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from bench.engine import published_ports
from bench.load.programs import free_port
from bench.questions.rungs.pair import (
    LINE_BYTES,
    LadderPlace,
    Proof,
    serving,
    standing,
)
from bench.questions.rungs.sides import Make, SideRung
from twinstack.compose import userland_proxy
from twinstack.compose.engine import connect
from twinstack.compose.engine_paths import DEFAULT
from twinstack.compose.render import KIND_LABEL
from twinstack.errors import CannotTell, NotHealthy, TwinstackError
from twinstack.linux import process
from twinstack.linux.counters import cpu_us, packets, rule_packets
from twinstack.linux.procfs import read_status
from twinstack.linux.session import Session, cleared
from twinstack.model.plan import Plan
from twinstack.stack import Stack
from twinstack.swarm.client import client_of
from twinstack.swarm.world import SwarmWorld

_PORT, _START_S = 5000, 20.0
HOST = "this host"


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine's client."""

    title: str
    words: tuple[str, ...]
    mark: str

    @property
    def image(self) -> str:
        """Name the empty image."""
        return f"{self.mark}-ladder:empty"

    def inspect(self, container: str, form: str) -> str:
        """Read fields of a container; empty when there is no such container yet."""
        words = [*self.words, "inspect", "--format", form, container]
        return process.run(words, check=False).stdout.strip()

    def programs(self, asked: str) -> Iterator[int]:
        """Give the pids of the daemon, where there is one, and of its proxy for a port."""
        if self.title == "Docker":
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(DEFAULT.url.removeprefix("unix://"))
                credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            yield int.from_bytes(credentials[:4], sys.byteorder)
            yield from userland_proxy.pids(int(asked.rpartition(":")[2]))

    def place(
        self,
        options: str,
        asked: str,
        proof: Callable[[str], Proof],
        listen: str = f"0.0.0.0:{_PORT}",
        log: str = "none",
    ) -> Make:
        """Give a place whose server is in a container; "IP" in what is asked is its address."""

        @contextmanager
        def place(name: str) -> Iterator[LadderPlace]:
            own = f"{self.mark}-{os.getpid()}-{name.lower().replace(' ', '-')}"
            mounts = " ".join(f"--volume=/{each}:/{each}:ro" for each in ("usr", "lib", "lib64"))
            run = shlex.split(
                f"run --interactive --attach stdin --rm --name {own} --log-driver {log} {mounts}"
                f" {options} {self.image}"
            )

            def find(_: Session) -> list[int]:
                deadline = time.monotonic() + _START_S
                while (pid := self.inspect(own, "{{.State.Pid}}")) in {"", "0"}:
                    if time.monotonic() > deadline:
                        raise NotHealthy(name, "does not start", f"not within {_START_S:g} s")
                    time.sleep(0.1)
                shim = int(read_status(int(pid))["PPid"])
                return [*self.programs(asked), shim, int(pid)]

            def address() -> str:
                return asked.replace("IP", self.inspect(own, "{{.NetworkSettings.IPAddress}}"))

            server = [*self.words, *run, *serving(listen, log=log != "none")]
            words = ["setpriv", "--pdeathsig", "KILL", *server]
            with (
                cleared(shlex.join([*self.words, "rm", "--force", own])),
                standing(name, words, address, {name: proof(own)}, find=find) as up,
            ):
                yield up

        return place

    def rungs(self, plan: Plan) -> Iterator[SideRung]:
        """Give this engine's rungs."""
        bare, bridged = f"{self.title} container", f"{self.title} bridge"
        local, other = (f"127.0.0.1:{free_port()}" for _ in range(2))
        host, path = "--network host", "{{.HostConfig.LogConfig.Type}} {{.LogPath}}"

        def confined(_: str) -> Proof:
            return Proof("Seccomp: 2", lambda at: read_status(at.server)["Seccomp"] == "2", 0)

        def logged(own: str) -> Proof:
            def size(_: LadderPlace) -> float:
                kind, _space, file = self.inspect(own, path).partition(" ")
                return Path(file).stat().st_size if kind == "json-file" else 0.0

            return Proof("its bytes", size, LINE_BYTES)

        yield SideRung(bare, HOST, self.place(host, local, confined, local))
        json = self.place(host, other, logged, other, "json-file")
        yield SideRung(f"{self.title} json-file", bare, json)
        eth0 = Proof("its eth0", lambda place: packets(place.server, "eth0"))
        bridge = self.place("", f"IP:{_PORT}", lambda _: eth0)
        yield SideRung(bridged, bare, bridge)
        if self.title == "Docker":
            for name, where in (
                ("Docker DNAT", published_ports.host_address(plan)),
                ("docker-proxy", "127.0.0.1"),
            ):
                if where:
                    yield SideRung(name, bridged, self.published(where))

    def published(self, host: str) -> Make:
        """Give a place asked by a port that is published on an address of the host."""
        with socket.create_server((host, 0)) as server:
            port = server.getsockname()[1]

        proof = Proof("DNAT rule", lambda _: rule_packets("self", f"--dport {port} ", "-j DNAT"))
        if host == "127.0.0.1":
            proof = Proof("its µs", lambda _: sum(map(cpu_us, userland_proxy.pids(port))))
        return self.place(f"--publish={host}:{port}:{_PORT}", f"{host}:{port}", lambda _: proof)


@contextmanager
def loopback(name: str) -> Iterator[LadderPlace]:
    """Ask a server on this host's own loopback: what an engine's container is compared with."""
    own, proof = f"127.0.0.1:{free_port()}", Proof("lo", lambda _: packets("self", "lo"))
    with standing(name, serving(own), own, {name: proof}) as place:
        yield place


def swarm(stack: Stack) -> SideRung:
    """Give the rung of a Swarm that is up: from host to host. Raises: CannotTell."""
    world = stack.swarm()
    if not world.facts().tasks:
        raise CannotTell("Swarm", "is not up", "", 'run "invoke swarm.up"')
    own, _, across = swarm_ends(world)
    return SideRung("Swarm overlay", "VXLAN", partial(between, own=own, other=across))


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """A Swarm's task as the end of a path."""

    pid: int
    address: IPv4Address


def between(name: str, *, own: TaskEnd, other: TaskEnd) -> AbstractContextManager[LadderPlace]:
    """Give a place whose client is in one task's network, and its server in another's."""
    asked, nets = f"{other.address}:{_PORT + 1}", (own.pid, other.pid, own.pid)
    links = [f"eth{number}" for number in range(4)]
    proof = Proof("its eth*", lambda _: sum(packets(own.pid, link) for link in links))
    return standing(name, serving(asked), asked, {name: proof}, networks=nets)


def swarm_ends(world: SwarmWorld) -> tuple[TaskEnd, TaskEnd, TaskEnd]:
    """Find three tasks of one network: two on the first host, one on the second.

    Raises: CannotTell when Swarm has placed none so.
    """
    tasks = [task for task in world.facts().tasks if task.state == "running"]
    first, second = world.nodes[:2]
    for segment in world.plan.segments:
        near, far = (
            [
                (node, task, address)
                for task in tasks
                if task.node == node.name
                for address in map(IPv4Address, task.addresses)
                if address in segment.docker_subnet
            ]
            for node in (first, second)
        )
        if len(near) > 1 and far:
            ends = []
            for node, task, address in (*near[:2], far[0]):
                with client_of(node) as client:
                    state = client.containers.get(task.container).attrs["State"]
                ends.append(TaskEnd(int(state["Pid"]), address))
            return ends[0], ends[1], ends[2]
    cause = f"no network has two on {first.name} and one on {second.name}"
    raise CannotTell("Swarm's tasks", "are not placed as needed", cause, 'run "invoke swarm.up"')


@contextmanager
def running(mark: str) -> Iterator[tuple[list[Engine], dict[str, str]]]:
    """Give the engines that run here, each with an empty image, and what others lack."""
    engines, lacking = [], {}
    with ExitStack() as stack:
        for title, words in (
            ("Docker", ("docker", "--host", DEFAULT.url)),
            ("Podman", ("podman",)),
        ):
            engine = Engine(title, words, mark.replace(":", "-"))
            try:
                _require(engine)
                stack.enter_context(cleared(shlex.join([*words, "rmi", "--force", engine.image])))
                label = f"LABEL {KIND_LABEL}=build"  # what a kill leaves, `clean` takes
                imported = [*words, "import", "--change", label, "-", engine.image]
                process.run(imported, stdin="\0" * 10_240)
                engines.append(engine)
            except TwinstackError as error:
                lacking[title] = str(error)
        yield engines, lacking


def _require(engine: Engine) -> None:
    if shutil.which(engine.words[0]) is None:
        raise CannotTell(engine.words[0], "is missing")
    if engine.title == "Docker":
        client = connect()
        if client is None:
            raise CannotTell("Docker engine", "does not run", "", 'run "invoke docker.up"')
        client.close()

"""Eight causes of a slow stack, planted in the namespace world and taken away again.

Each can be planted, taken away from whatever is there, and proven; `planted` restores all of it,
whatever happens. `counted` adds to a load what `symptoms` names causes by.

Source: proc(5): /proc/PID/io, /proc/PID/net/snmp; nginx's ngx_http_core_module: resolver.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from bench.engine import worlds
from bench.engine.arm import PROGRAMS
from bench.load import Tally
from bench.load.programs import Program, await_port, free_port, running
from bench.questions.redis_stats import command_calls, forgetting
from bench.questions.symptoms import COLD, DNS, KEEPALIVE, LOG, PROXY, QUOTA, REPLICA, RULES
from twinstack.compose.render import secrets_directory
from twinstack.errors import CannotTell, Missing, StepFailed
from twinstack.linux import cgroup, process
from twinstack.linux.cgroup import ControlGroup
from twinstack.linux.iptables import RESTORE
from twinstack.namespaces import supervisor
from twinstack.namespaces.launch import log_path
from twinstack.software.secrets import secret_path
from twinstack.stack import Stack
from twinstack.state.paths import InstancePaths
from twinstack.world import Endpoint, LocalWorld

#: The keys that hold the catalogue in Redis.
_CATALOGUE = "catalogue:list"
_FORGET_S, _POLL_S, _BOUND_S, _REST_S = 0.01, 0.05, 15.0, 2.0
_RULES = 2_000
_LEAST_CORES = 0.02
_DNS_PORT = 5353
#: A DNS server that gives one address for every name, for no time.
_DNS = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", int(sys.argv[2])))
server_address = socket.inet_aton(sys.argv[1])
while True:
    query, client = server.recvfrom(512)
    end = query.index(0, 12) + 5
    head = query[:2] + b"\\x85\\x80\\0\\1\\0\\1\\0\\0\\0\\0"
    answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\0\\0\\4" + server_address
    server.sendto(head + query[12:end] + answer, client)
"""


@dataclass
class Place:
    """Where causes are planted: the namespace world that is up, and what runs for them."""

    world: LocalWorld
    redis_password: str
    entry: Endpoint = field(init=False)  # where the load enters now
    running: dict[str, ExitStack] = field(init=False, default_factory=dict)  # by cause
    used_cores: dict[str, float] = field(init=False, default_factory=dict)  # in the last window

    def __post_init__(self) -> None:
        self.entry = self.world.endpoint(worlds.EDGE)

    @property
    def paths(self) -> InstancePaths:
        return InstancePaths(self.world.plan.instance)

    @property
    def redis(self) -> tuple[Endpoint, str]:
        return self.world.endpoint("redis-cache"), self.redis_password

    @property
    def redis_network(self) -> Path:
        return Path(f"/proc/{self.world.main_pids()['redis-cache']}/ns/net")

    def end(self, cause: str) -> None:
        """End what runs for a cause."""
        self.running.pop(cause, ExitStack()).close()


def place_in(stack: Stack, world: LocalWorld) -> Place:
    """Give a world as a place. Raises: OSError when it was never up."""
    if world.name == "net":
        return Place(world, stack.redis_password())
    directory = secrets_directory(world.plan.instance)
    password = secret_path(directory, "product-service", "redis_password")
    return Place(world, password.read_text().strip())


class Cause(Protocol):
    """One thing that makes a stack slower."""

    @property
    def name(self) -> str: ...

    def plant(self, place: Place) -> Mapping[int, str]:
        """Bring it about; gives the parts of the processes that it needs."""

    def restore(self, place: Place) -> None:
        """Bring about what the plan says, whatever is there."""

    def is_there(self, place: Place) -> bool:
        """Tell, by what the kernel or the program shows, whether it is at work."""


@contextmanager
def planted(place: Place, cause: Cause) -> Iterator[Mapping[int, str]]:
    """Hold a cause planted while the block lasts. Raises: StepFailed where it does not hold."""
    try:
        parts = cause.plant(place)
        _prove(place, cause, expected=True)
        yield parts
    finally:
        cause.restore(place)
        _prove(place, cause, expected=False)


def _prove(place: Place, cause: Cause, *, expected: bool) -> None:
    deadline = time.monotonic() + _BOUND_S
    while cause.is_there(place) != expected:
        if time.monotonic() > deadline:
            failure = "cannot be planted" if expected else "cannot be taken away"
            raise StepFailed(cause.name, failure, "", 'run "invoke net.up"')
        time.sleep(_POLL_S)


@dataclass(frozen=True, slots=True)
class HalvedQuota:
    """Give a service half of its CPU quota, or of what it last used where that is less.

    A quota that nobody reaches is no cause: one client does not use up a whole core of a service.
    """

    service: str = "api-gateway"
    name: str = QUOTA

    def plant(self, place: Place) -> Mapping[int, str]:
        limits = place.world.plan.replica(self.service).limits
        allowed = limits.cpus if limits else 1.0
        used = place.used_cores.get(self.service, allowed)
        set_cpus(place.world, self.service, max(min(allowed, used) / 2, _LEAST_CORES))
        return {}

    def restore(self, place: Place) -> None:
        limits = place.world.plan.replica(self.service).limits
        set_cpus(place.world, self.service, limits.cpus if limits else None)

    def is_there(self, place: Place) -> bool:
        limits = place.world.plan.replica(self.service).limits
        now = _group(place.world, self.service).limits().cpus
        return now is not None and (limits is None or now < limits.cpus)


def set_cpus(world: LocalWorld, replica: str, cpus: float | None) -> None:
    """Write a replica's CPU quota, in either world; None: no limit. Raises: OSError."""
    _write_cpus(_group(world, replica), cpus)


def _write_cpus(group: ControlGroup, cpus: float | None) -> None:
    values = cgroup.limit_values(group.layout, cpus, None, None)
    name, value = next((key, value) for key, value in values.items() if key.startswith("cpu."))
    unlimited = name == "cpu.cfs_quota_us" and value == cgroup.UNLIMITED
    (group.directory("cpu") / name).write_text("-1" if unlimited else value)


@contextmanager
def cpu_quota(pids: Sequence[int]) -> Iterator[Callable[[float | None], None]]:
    """Hold processes in a cgroup of their own; gives what sets its quota. Raises: OSError."""
    layout = cgroup.read_layout()
    group = ControlGroup.at(f"twinstack-bench/{pids[0]}", layout)
    own, place = ControlGroup.of(os.getpid()).directory("cpu"), group.directory("cpu")

    def move(directory: Path) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                (directory / "cgroup.procs").write_text(str(pid))

    cgroup.create(group.paths["cpu"], layout, {})
    try:
        move(place)
        yield partial(_write_cpus, group)
    finally:
        move(own)
        for directory in layout.directories(group.paths["cpu"]):
            directory.rmdir()
            with suppress(OSError):  # another one is still in it
                directory.parent.rmdir()


def _group(world: LocalWorld, replica: str) -> ControlGroup:
    return ControlGroup.at(world.cgroup_paths()[replica].strip("/"), cgroup.read_layout())


@dataclass(frozen=True, slots=True)
class ProxyEntry:
    """Enter through Docker's userland proxy, as by a port published at 127.0.0.1."""

    name: str = PROXY

    def plant(self, place: Place) -> Mapping[int, str]:
        place.running[self.name] = stack = ExitStack()
        place.entry = stack.enter_context(by_proxy(place.entry))
        return {}  # known by its name

    def restore(self, place: Place) -> None:
        place.entry = place.world.endpoint(worlds.EDGE)
        place.end(self.name)

    def is_there(self, place: Place) -> bool:
        return place.entry.address == "127.0.0.1"


@contextmanager
def by_proxy(entry: Endpoint) -> Iterator[Endpoint]:
    """Run a docker-proxy of our own before an entry point. Raises: Missing; NotHealthy."""
    program = shutil.which("docker-proxy")
    if program is None:
        raise Missing("docker-proxy", "is not installed", "", "install docker.io")
    port = free_port()
    inner = f"-container-ip {entry.address} -container-port {entry.port}"
    words = f"{program} -proto tcp -host-ip 127.0.0.1 -host-port {port} {inner}"
    # It tells its parent by descriptor 3 that it is ready, and closes that.
    shell = ("/bin/sh", "-c", f"exec {words} 3> /dev/null")
    with running([Program(PROXY, shell)]) as started:
        await_port(started[PROXY], "127.0.0.1", port)
        yield Endpoint("127.0.0.1", port)


@dataclass(frozen=True, slots=True)
class ReplicaLess:
    """Stop the last replica of a service; its supervisor does not start it again."""

    service: str = "product-service"
    name: str = REPLICA

    def _replica(self, place: Place) -> str:
        return place.world.plan.replicas_of(self.service)[-1].name

    def plant(self, place: Place) -> Mapping[int, str]:
        supervisor.end_programs(place.paths, {self._replica(place)})
        return {}

    def restore(self, place: Place) -> None:
        if self.is_there(place):
            supervisor.start_program(place.paths, self._replica(place))
        deadline = time.monotonic() + _BOUND_S
        while any(state.state != "healthy" for state in place.world.status()):
            if time.monotonic() > deadline:
                raise StepFailed(self.name, "cannot be taken away", "it does not become healthy")
            time.sleep(_POLL_S)

    def is_there(self, place: Place) -> bool:
        return self._replica(place) not in place.world.main_pids()


@dataclass(frozen=True, slots=True)
class EdgeDirectives:
    """Replace directives in the edge's nginx.conf, in place, and have nginx read it again."""

    name: str
    edits: tuple[tuple[str, str], ...]  # what the plan renders → what is planted

    def plant(self, place: Place) -> Mapping[int, str]:
        parts = self._start(place)
        self._rewrite(place, self.edits)
        return parts

    def restore(self, place: Place) -> None:
        self._rewrite(place, [(planted, original) for original, planted in self.edits])
        place.end(self.name)
        if self.name == LOG:
            process.run(["chattr", "-S", str(log_path(place.paths, worlds.EDGE))], check=False)

    def is_there(self, place: Place) -> bool:
        text = _nginx_conf(place).read_text(encoding="utf-8")
        return all(planted in text for _, planted in self.edits)

    def _start(self, place: Place) -> Mapping[int, str]:
        if self.name == LOG:  # where the file system can: each write waits for the disk
            process.run(["chattr", "+S", str(log_path(place.paths, worlds.EDGE))], check=False)
        if self.name != DNS:
            return {}
        gateway = place.world.endpoint("api-gateway").address
        words = ("/usr/bin/python3", "-c", _DNS, gateway, str(_DNS_PORT))
        network = place.world.main_pids()[worlds.EDGE]
        place.running[self.name] = stack = ExitStack()
        started = stack.enter_context(running([Program(DNS, words, network=network)]))
        return {started[DNS].pid: PROGRAMS}

    def _rewrite(self, place: Place, edits: object) -> None:
        """Write the same inode, which nginx has mounted, and wait for new workers."""
        file = _nginx_conf(place)
        before = text = file.read_text(encoding="utf-8")
        for original, planted in edits:  # type: ignore[attr-defined]
            text = text.replace(original, planted)
        if text == before:
            return
        main, workers = place.world.main_pids()[worlds.EDGE], _workers(place)
        file.write_text(text, encoding="utf-8")
        os.kill(main, signal.SIGHUP)
        deadline = time.monotonic() + _BOUND_S
        while not (now := _workers(place)) or now & workers:
            if time.monotonic() > deadline:
                raise StepFailed("nginx", "does not read its file again", "", "see its log")
            time.sleep(_POLL_S)


def _nginx_conf(place: Place) -> Path:
    return place.paths.run / "conf" / f"{worlds.EDGE}-nginx.conf"


def _workers(place: Place) -> set[int]:
    main = place.world.main_pids()[worlds.EDGE]
    pids = {each.pid for each in place.world.processes() if each.replica == worlds.EDGE}
    return pids - {main}


@dataclass(frozen=True, slots=True)
class ExtraRules:
    """Put rules that match nothing before all others, for every packet that iptables sees."""

    name: str = RULES

    def plant(self, place: Place) -> Mapping[int, str]:
        chain = _chain(place)
        rules = (
            f"-A {chain} -s 192.0.2.{number % 250 + 1}/32 -p tcp --dport {number} -j DROP"
            for number in range(1, _RULES + 1)
        )
        jumps = (f"-I {builtin} 1 -j {chain}" for builtin in ("FORWARD", "OUTPUT", "INPUT"))
        lines = ["*filter", f":{chain} - [0:0]", *rules, *jumps, "COMMIT", ""]
        process.run(list(RESTORE), stdin="\n".join(lines))
        return {}

    def restore(self, place: Place) -> None:
        if self.is_there(place):
            chain = _chain(place)
            jumps = (f"-D {builtin} -j {chain}" for builtin in ("FORWARD", "OUTPUT", "INPUT"))
            lines = ["*filter", *jumps, f"-F {chain}", f"-X {chain}", "COMMIT", ""]
            process.run(list(RESTORE), stdin="\n".join(lines))

    def is_there(self, place: Place) -> bool:
        return f":{_chain(place)} " in _saved()


def _chain(place: Place) -> str:
    return f"BENCH-{place.world.plan.instance}"[:28]


def _saved() -> str:
    return process.run(["iptables-save", "-t", "filter"]).stdout


@dataclass(frozen=True, slots=True)
class ColdCache:
    """Delete the catalogue from Redis again and again."""

    name: str = COLD

    def plant(self, place: Place) -> Mapping[int, str]:
        place.running[self.name] = stack = ExitStack()
        emptied = forgetting(*place.redis, _CATALOGUE, _FORGET_S, place.redis_network)
        stack.enter_context(emptied)
        return {}

    def restore(self, place: Place) -> None:
        place.end(self.name)

    def is_there(self, place: Place) -> bool:
        return self.name in place.running


_KEPT = "        keepalive 64;\n        keepalive_requests 100000;\n"
_BUFFERED = "access_log /dev/stdout json buffer=16k flush=1s if=$logged;"
_NAMED = "proxy_pass http://gateway;"
_ASKED = (
    f"resolver 127.0.0.1:{_DNS_PORT} ipv6=off;\n"
    "            proxy_pass http://$request_id.gateway.internal:3000;"
)
CAUSES: tuple[Cause, ...] = (
    HalvedQuota(),
    ProxyEntry(),
    ReplicaLess(),
    EdgeDirectives(
        KEEPALIVE,
        (
            (_KEPT, "        # nothing is kept\n"),
            ('proxy_set_header Connection "";', 'proxy_set_header Connection "close";'),
        ),
    ),
    EdgeDirectives(DNS, ((_NAMED, _ASKED),)),
    ExtraRules(),
    EdgeDirectives(LOG, ((_BUFFERED, "access_log /dev/stdout json if=$logged;"),)),
    ColdCache(),
)


def counted(place: Place, load: Callable[[], Tally]) -> Callable[[], Tally]:
    """Give a load whose tally has the counters that causes are known by, per request.

    What they count at rest (probes, heartbeats) is measured first and taken off.
    """
    before = _counters(place)
    time.sleep(_REST_S)
    after = _counters(place)
    rest = {name: (after[name] - before[name]) / _REST_S for name in after}
    expected = len(place.world.plan.replicas)

    def run() -> Tally:
        before, used_us, start_s = _counters(place), place.world.cpu_us(), time.monotonic()
        tally = load()
        seconds, after, now_us = time.monotonic() - start_s, _counters(place), place.world.cpu_us()
        place.used_cores = {of: (now_us[of] - us) / seconds / 1e6 for of, us in used_us.items()}
        figures = {
            name: (after[name] - before[name] - rest[name] * seconds) / max(tally.done, 1)
            for name in after
        }
        levels = {
            "rules": float(_saved().count("\n-A ")),
            "missing": float(expected - len(place.world.main_pids())),
        }
        return Tally(tally.done, tally.failed, {**tally.figures, **figures, **levels})

    return run


def _counters(place: Place) -> dict[str, float]:
    """Read counters that only grow, in every replica's own network. Raises: CannotTell."""
    counters = dict.fromkeys(("opened", "datagrams", "waited_lines"), 0.0)
    try:
        for replica, pid in place.world.main_pids().items():
            kinds = parse_snmp(Path(f"/proc/{pid}/net/snmp").read_text(encoding="ascii"))
            if replica != worlds.EDGE:  # those are its clients'
                counters["opened"] += kinds["Tcp", "PassiveOpens"]
            counters["datagrams"] += kinds["Udp", "OutDatagrams"]
        for pid in _workers(place):
            io = Path(f"/proc/{pid}/io").read_text(encoding="ascii")
            counters["waited_lines"] += int(io.split("syscw:")[1].split()[0])
    except OSError as error:
        raise CannotTell("a replica", "has no counters", str(error), "measure again") from error
    calls = command_calls(*place.redis, namespace=place.redis_network)
    return {**counters, "fills": float(calls.get("set", 0))}


def parse_snmp(text: str) -> dict[tuple[str, str], int]:
    """Read /proc/net/snmp: a line of names and a line of values for each protocol; pure."""
    lines = [line.split() for line in text.splitlines()]
    return {
        (names[0].rstrip(":"), name): int(value)
        for names, values in zip(lines[::2], lines[1::2], strict=True)
        for name, value in zip(names[1:], values[1:], strict=True)
    }

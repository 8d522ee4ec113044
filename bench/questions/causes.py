"""Eight causes of a slow stack, planted in the namespace world and taken away again.

Each can be planted, taken away from whatever is there, and proven; `planted` restores all of it,
whatever happens. A quota that nobody reaches is no cause: it is half of what the service used. Name
servers are asked for each call by nginx, as its template for a Swarm does, but for other names.

Source: nginx, ngx_http_core_module: resolver; chattr(1): S.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from bench.engine import worlds
from bench.engine.arm import PROGRAMS
from bench.load.programs import Program, await_port, free_port, running
from twinstack.errors import CannotTell, Missing, StepFailed
from twinstack.linux import cgroup, process
from twinstack.linux.cgroup import ControlGroup, set_cpus
from twinstack.linux.iptables import RESTORE
from twinstack.linux.waiting import until
from twinstack.observe.redis import command_calls, operated
from twinstack.software.secrets import operator_password
from twinstack.state.paths import InstancePaths
from twinstack.world import Endpoint, LocalWorld

QUOTA, PROXY, REPLICA = "halved quota", "proxy entry", "one replica less"
KEEPALIVE, DNS = "no upstream keep-alive", "DNS per call"
RULES, LOG, COLD = "extra iptables rules", "synchronous log", "cold cache"
#: The service with half a quota, and the one that lacks its last replica.
LIMITED, _LACKING = "api-gateway", "product-service"
_LEAST_CORES, _RULES, _DNS_PORT = 0.02, 2_000, 5353
_FORGET_S, _BOUND_S = 0.01, 15.0
#: Gives one address for every name, for no time.
_DNS_SERVER = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", int(sys.argv[2])))
while True:
    query, client = server.recvfrom(512)
    head = query[:2] + b"\\x85\\x80\\0\\1\\0\\1\\0\\0\\0\\0" + query[12 : query.index(0, 12) + 5]
    answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\0\\0\\4" + socket.inet_aton(sys.argv[1])
    server.sendto(head + answer, client)
"""
T = TypeVar("T")


@dataclass
class PlantedWorld:
    """Where causes are planted: a world that is up, and what runs for them."""

    world: LocalWorld
    redis_password: str
    entry: Endpoint = field(init=False)  # where the load enters now
    used_cores: Mapping[str, float] = field(init=False, default_factory=dict)  # in the last window
    _held: dict[str, ExitStack] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.entry = self.world.endpoint(worlds.EDGE)

    @property
    def paths(self) -> InstancePaths:
        return InstancePaths(self.world.plan.instance)

    @property
    def redis_network(self) -> Path:
        return Path(f"/proc/{self.world.main_pids()['redis-cache']}/ns/net")

    @property
    def nginx_conf(self) -> Path:
        return self.paths.run / "conf" / f"{worlds.EDGE}-nginx.conf"

    def workers(self) -> set[int]:
        """Give the edge's processes but its main one."""
        pids = {each.pid for each in self.world.processes() if each.replica == worlds.EDGE}
        return pids - {self.world.main_pids()[worlds.EDGE]}

    def hold(self, cause: str, context: AbstractContextManager[T]) -> T:
        """Hold a context until its cause ends."""
        return self._held.setdefault(cause, ExitStack()).enter_context(context)

    def end(self, cause: str) -> None:
        self._held.pop(cause, ExitStack()).close()

    def holds(self, cause: str) -> bool:
        return cause in self._held


def place_in(world: LocalWorld) -> PlantedWorld:
    """Give a world as a place. Raises: OSError when it was never up."""
    return PlantedWorld(world, operator_password(world.secrets))


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that makes a stack slower."""

    name: str
    plant: Callable[[PlantedWorld], Mapping[int, str] | None]  # gives the parts of what it starts
    restore: Callable[[PlantedWorld], None]  # brings about what the plan says, whatever is there
    is_there: Callable[[PlantedWorld], bool]  # by what the kernel or the program shows


@contextmanager
def planted(place: PlantedWorld, cause: Cause) -> Iterator[Mapping[int, str] | None]:
    """Hold a cause planted while the block lasts. Raises: StepFailed where it does not hold."""
    try:
        parts = cause.plant(place)
        _await(cause.name, "be planted", lambda: cause.is_there(place))
        yield parts
    finally:
        cause.restore(place)
        _await(cause.name, "be taken away", lambda: not cause.is_there(place))


def _await(name: str, what: str, done: Callable[[], bool]) -> None:
    if not until(done, _BOUND_S):
        cause = f"not within {_BOUND_S:g} s"
        raise StepFailed(name, f"cannot {what}", cause, 'run "invoke net.up"')


def group_of(world: LocalWorld, replica: str) -> ControlGroup:
    """Give a replica's cgroup, in either world."""
    return ControlGroup.at(world.cgroup_paths()[replica].strip("/"), cgroup.read_layout())


def _planned_cpus(place: PlantedWorld) -> float | None:
    limits = place.world.plan.replica(LIMITED).limits
    return limits.cpus if limits else None


def _halve(place: PlantedWorld) -> None:
    allowed = _planned_cpus(place) or 1.0
    used = min(allowed, place.used_cores.get(LIMITED, allowed))
    set_cpus(group_of(place.world, LIMITED), max(used / 2, _LEAST_CORES))


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


def _enter_by_proxy(place: PlantedWorld) -> None:
    place.entry = place.hold(PROXY, by_proxy(place.entry))


def _enter_by_edge(place: PlantedWorld) -> None:
    place.entry = place.world.endpoint(worlds.EDGE)
    place.end(PROXY)


def _last(place: PlantedWorld) -> str:
    return place.world.plan.replicas_of(_LACKING)[-1].name


def _lacks(place: PlantedWorld) -> bool:
    return _last(place) not in place.world.main_pids()


def _stop_last(place: PlantedWorld) -> None:
    place.world.stop(_last(place))


def _start_last(place: PlantedWorld) -> None:
    if _lacks(place):
        place.world.start(_last(place))
        states = place.world.status
        _await(REPLICA, "be taken away", lambda: all(s.state == "healthy" for s in states()))


def _rewrite(place: PlantedWorld, edits: Sequence[tuple[str, str]]) -> None:
    """Replace directives in the file that nginx has mounted; wait for workers that read it."""
    before = text = place.nginx_conf.read_text(encoding="utf-8")
    for original, planted in edits:
        text = text.replace(original, planted)
    if text != before:
        workers = place.workers()
        place.nginx_conf.write_text(text, encoding="utf-8")
        os.kill(place.world.main_pids()[worlds.EDGE], signal.SIGHUP)
        _await("nginx", "read its file", lambda: bool(now := place.workers()) and not now & workers)


def _start_dns(place: PlantedWorld) -> Mapping[int, str]:
    gateway = place.world.endpoint("api-gateway").address
    words = ("/usr/bin/python3", "-c", _DNS_SERVER, gateway, str(_DNS_PORT))
    network = place.world.main_pids()[worlds.EDGE]
    started = place.hold(DNS, running([Program(DNS, words, network=network)]))
    return {started[DNS].pid: PROGRAMS}


def _sync_log(place: PlantedWorld, sign: str = "+") -> None:
    """Have each write to the edge's log wait for the disk, where the file system can."""
    process.run(["chattr", f"{sign}S", str(place.paths.log_of(worlds.EDGE))], check=False)


def edge_directives(
    name: str,
    edits: Sequence[tuple[str, str]],
    start: Callable[[PlantedWorld], Mapping[int, str] | None] = lambda _: None,
    end: Callable[[PlantedWorld], None] = lambda _: None,
) -> Cause:
    """Give a cause that is other directives in the edge's nginx.conf."""

    def plant(place: PlantedWorld) -> Mapping[int, str] | None:
        parts = start(place)
        _rewrite(place, edits)
        return parts

    def restore(place: PlantedWorld) -> None:
        _rewrite(place, [(planted, original) for original, planted in edits])
        place.end(name)
        end(place)

    def is_there(place: PlantedWorld) -> bool:
        text = place.nginx_conf.read_text(encoding="utf-8")
        return all(planted in text for _, planted in edits)

    return Cause(name, plant, restore, is_there)


def _chain(place: PlantedWorld) -> str:
    return f"BENCH-{place.world.plan.instance}"[:28]


def saved_rules() -> str:
    """Give the filter table as iptables-save prints it."""
    return process.run(["iptables-save", "-t", "filter"]).stdout


def _has_rules(place: PlantedWorld) -> bool:
    return f":{_chain(place)} " in saved_rules()


def _restore_tables(*lines: str) -> None:
    process.run(list(RESTORE), stdin="\n".join(["*filter", *lines, "COMMIT", ""]))


def _add_rules(place: PlantedWorld) -> None:
    chain, form = _chain(place), "-A {} -s 192.0.2.1/32 -p tcp --dport {} -j DROP"
    rules = (form.format(chain, port + 1) for port in range(_RULES))
    jumps = (f"-I {builtin} 1 -j {chain}" for builtin in ("FORWARD", "OUTPUT", "INPUT"))
    _restore_tables(f":{chain} - [0:0]", *rules, *jumps)


def _remove_rules(place: PlantedWorld) -> None:
    if _has_rules(place):
        chain = _chain(place)
        jumps = (f"-D {builtin} -j {chain}" for builtin in ("FORWARD", "OUTPUT", "INPUT"))
        _restore_tables(*jumps, f"-F {chain}", f"-X {chain}")


@contextmanager
def forgetting(
    redis: Endpoint, password: str, key: str, every_s: float, namespace: Path | None = None
) -> Iterator[None]:
    """Delete a key again and again while the block lasts. Raises: CannotTell."""
    command_calls(redis, password, namespace)  # it answers, and knows the password
    ended = threading.Event()

    def forget() -> None:
        with suppress(CannotTell), operated(redis, password, namespace) as ask:
            while not ended.wait(every_s):
                ask("DEL", key)

    forgets = threading.Thread(target=forget)
    forgets.start()
    try:
        yield
    finally:
        ended.set()
        forgets.join()


def _forget_catalogue(place: PlantedWorld) -> None:
    redis = place.world.endpoint("redis-cache")
    key, network = "catalogue:list", place.redis_network
    place.hold(COLD, forgetting(redis, place.redis_password, key, _FORGET_S, network))


#: What the plan renders → what is planted.
NOT_KEPT = (
    ("        keepalive 64;\n        keepalive_requests 100000;\n", "        # none is kept\n"),
    ('proxy_set_header Connection "";', 'proxy_set_header Connection "close";'),
)
_ASK = f"resolver 127.0.0.1:{_DNS_PORT} ipv6=off; "
ASKED = (("proxy_pass http://gateway;", f"{_ASK}proxy_pass http://$request_id.gateway:3000;"),)
WAITED = (
    (
        "access_log /dev/stdout json buffer=16k flush=1s if=$logged;",
        "access_log /dev/stdout json if=$logged;",
    ),
)
CAUSES = (
    Cause(
        QUOTA,
        _halve,
        lambda place: set_cpus(group_of(place.world, LIMITED), _planned_cpus(place)),
        lambda place: group_of(place.world, LIMITED).limits().cpus != _planned_cpus(place),
    ),
    Cause(PROXY, _enter_by_proxy, _enter_by_edge, lambda place: place.holds(PROXY)),
    Cause(REPLICA, _stop_last, _start_last, _lacks),
    edge_directives(KEEPALIVE, NOT_KEPT),
    edge_directives(DNS, ASKED, _start_dns),
    Cause(RULES, _add_rules, _remove_rules, _has_rules),
    edge_directives(LOG, WAITED, _sync_log, partial(_sync_log, sign="-")),
    Cause(COLD, _forget_catalogue, lambda place: place.end(COLD), lambda place: place.holds(COLD)),
)

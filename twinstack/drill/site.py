"""What the commands of a drill may name: a running world's replicas, as the host's shell sees them.

`{order-service.enter} ip link set {order-service.link} down` is written once for either world.
Where a replica has several links (Docker's tiers), `{order-service[postgres-db].link}` is the one
by which it talks to another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from twinstack.compose.client import compose_program
from twinstack.compose.observe import compose_file
from twinstack.compose.render import project_name
from twinstack.drill import host_files
from twinstack.errors import CannotTell, WrongUse
from twinstack.linux import procfs
from twinstack.linux.cgroup import ControlGroup, read_layout
from twinstack.model import names
from twinstack.model.topology import Limits
from twinstack.namespaces import supervisor
from twinstack.policy.permissions import addresses
from twinstack.state.paths import InstancePaths
from twinstack.world import LocalWorld


@dataclass(frozen=True, slots=True)
class Place:
    """A replica, seen from the host, with the link by which it talks to `towards`."""

    world: LocalWorld
    replica: str
    towards: str = ""

    def __getitem__(self, towards: str) -> Place:
        return replace(self, towards=towards)

    def _joined(self) -> tuple[str, str]:
        plan = self.world.plan
        own = addresses(plan.replica(self.replica), self.world.name)
        met = plan.replica(self.towards or self.replica).segment
        segment, address = next((pair for pair in own if pair[0] == met), own[0])
        return segment, str(address)

    @property
    def address(self) -> str:
        """Its IPv4 address on that link."""
        return self._joined()[1]

    @property
    def segment(self) -> str:
        return self._joined()[0]

    @property
    def bridge(self) -> str:
        """The bridge of that link, on the host."""
        return self.world.plan.segment(self.segment).bridge_in(self.world.name)

    @property
    def gateway(self) -> str:
        """The host's own address on that bridge."""
        return str(self.world.plan.segment(self.segment).gateway_in(self.world.name))

    @property
    def prefix(self) -> int:
        """The length of its network's prefix, in bits."""
        return self.world.plan.segment(self.segment).subnet_in(self.world.name).prefixlen

    @property
    def unused(self) -> str:
        """An address of that network that nobody has: its last."""
        return str(self.world.plan.segment(self.segment).subnet_in(self.world.name)[-2])

    @property
    def default_route(self) -> str:
        """The default route by that link, as `ip route add` takes it and the world made it."""
        made_by_us = " proto static" if self.world.name == "net" else ""
        return f"default via {self.gateway} dev {self.link}{made_by_us}"

    @property
    def askers(self) -> str:
        """The chain of the host's filter table that lists who may ask its service."""
        plan = self.world.plan
        return names.chain(
            plan.instance, f"TO-{plan.replica(self.replica).service}", self.world.name
        )

    @property
    def port(self) -> int:
        return self.world.plan.replica(self.replica).port

    @property
    def published(self) -> int:
        """The host's port that leads to it."""
        plan = self.world.plan
        found = plan.published_port(self.world.name, plan.replica(self.replica).service)
        if found is None:
            raise WrongUse("drill", "cannot be done", f"{self.replica} is not published")
        return found.port

    @property
    def end(self) -> str:
        """The host's end of the link."""
        return self._link("host end")

    @property
    def link(self) -> str:
        """The link inside the replica's network namespace."""
        return self._link("inside")

    def _link(self, kind: str) -> str:
        wanted = (kind, self.replica, self.segment)
        for link in self.world.links():
            if (link.kind, link.replica, link.segment) == wanted:
                return link.name
        raise CannotTell(self.replica, "cannot be named", f"it has no link in {self.segment}")

    @property
    def enter(self) -> str:
        """The words that run a command in its network namespace."""
        return f"nsenter --net={self.world.namespaces()[self.replica]}"

    @property
    def pid(self) -> int:
        """Its main process, as the host numbers it."""
        try:
            return self.world.main_pids()[self.replica]
        except KeyError:
            remedy = f'see "invoke {self.world.name}.status"'
            raise CannotTell(
                self.replica, "has no process to be named", "it does not run", remedy
            ) from None

    @property
    def pids(self) -> str:
        """All its processes."""
        own = (each.pid for each in self.world.processes() if each.replica == self.replica)
        return " ".join(map(str, own))

    @property
    def unit(self) -> str:
        """Its name to what runs it, see `runner`."""
        return self.replica if self.world.name == "net" else f"{self._project}-{self.replica}"

    @property
    def _project(self) -> str:
        return project_name(self.world.plan.instance)

    @property
    def root(self) -> str:
        """Its root directory, as the host reaches it."""
        return f"/proc/{self.pid}/root"

    @property
    def user(self) -> int:
        """The number of its user and group."""
        return self.world.plan.replica(self.replica).user

    @property
    def secrets(self) -> Path:
        """The directory of its secrets, on the host."""
        return self.world.secrets / self.world.plan.replica(self.replica).service

    @property
    def hosts(self) -> Path:
        """The file of the host that it sees as /etc/hosts; in the namespace world all see one."""
        return host_files.hosts(self.world, self.replica)

    @property
    def config(self) -> Path:
        """The file of the host that nginx or Redis sees as its configuration."""
        return host_files.configuration(self.world, self.replica)

    @property
    def data(self) -> Path:
        """The directory of the host in which its data is."""
        return host_files.data(self.world, self.replica)

    @property
    def launch(self) -> Path:
        """The script that starts it; in the namespace world only."""
        return InstancePaths(self.world.plan.instance).run / "launch" / self.replica

    @property
    def network(self) -> str:
        """The Docker network of that link."""
        return self.world.plan.segment(self.segment).docker_network

    def _group(self, controller: str) -> Path:
        path = self.world.cgroup_paths()[self.replica]
        return ControlGroup.at(path, read_layout()).directory(controller)

    @property
    def cgroup(self) -> Path:
        """Its cgroup's directory, which lists its processes: that of the pids controller."""
        return self._group("pids")

    @property
    def cpu_quota(self) -> Path:
        """The file of its CPU quota, in microseconds of each 100 ms."""
        return self._limit("cpu", "cpu.cfs_quota_us", "cpu.max")

    @property
    def memory_limit(self) -> Path:
        return self._limit("memory", "memory.limit_in_bytes", "memory.max")

    @property
    def pids_limit(self) -> Path:
        return self.cgroup / "pids.max"

    def _limit(self, controller: str, *names: str) -> Path:
        """Give version 1's file, or version 2's."""
        return self._group(controller) / names[read_layout().version[controller] - 1]

    @property
    def unlimited(self) -> str:
        """What lifts a quota of CPU or memory."""
        return "-1" if read_layout().version["cpu"] == 1 else "max"

    @property
    def cpu_declared(self) -> int:
        """Its CPU quota as declared, in microseconds of each 100 ms."""
        return round(self._limits.cpus * 100_000)

    @property
    def memory_declared(self) -> int:
        return self._limits.memory_bytes

    @property
    def pids_declared(self) -> int:
        return self._limits.pids

    @property
    def _limits(self) -> Limits:
        limits = self.world.plan.replica(self.replica).limits
        if limits is None:
            cause, remedy = "the world is up without limits", f'run "invoke {self.world.name}.up"'
            raise WrongUse(self.replica, "has no limits to name", cause, remedy)
        return limits


#: What stands in braces and is no replica.
_OWN_NAMES = frozenset({"instance", "url", "runner", "vault", "seccomp", "compose", "compose_file"})


@dataclass(frozen=True, slots=True)
class Site:
    """A running world as a drill's commands name it."""

    world: LocalWorld
    target: str = ""  # the replica that the seed drew

    def __getitem__(self, name: str) -> object:
        """Give what a name in braces stands for. Raises: KeyError."""
        if name == "target" and self.target:
            return Place(self.world, self.target)
        if name in _OWN_NAMES:
            return getattr(self, name)
        if any(name == replica.name for replica in self.world.plan.here):
            return Place(self.world, name)
        raise KeyError(name)

    @property
    def instance(self) -> str:
        return self.world.plan.instance

    @property
    def vault(self) -> Path:
        """The directory of the host's own copies of all passwords."""
        return self.world.secrets / ".vault"

    @property
    def seccomp(self) -> Path:
        """The filter of system calls that each replica loads; in the namespace world only."""
        return InstancePaths(self.world.plan.instance).run / "conf" / "seccomp.hex"

    @property
    def compose_file(self) -> Path:
        """The file that `docker.up` renders."""
        return compose_file(self.world.plan.instance)

    @property
    def compose(self) -> str:
        """The words of Compose, on the engine that DOCKER_HOST names. Raises: Missing."""
        project = f"--project-name {project_name(self.world.plan.instance)}"
        where = f"--project-directory {self.compose_file.parent} --file {self.compose_file}"
        return f"{compose_program()} {project} {where}"

    @property
    def runner(self) -> str:
        """What runs the world: words before start, stop or restart, and a replica's `unit`."""
        if self.world.name == "docker":
            return "docker"
        paths = InstancePaths(self.world.plan.instance)
        pid = supervisor.pid(paths)
        if pid is None:
            raise CannotTell("supervisord", "cannot be named", "it does not run")
        packages = procfs.environment(pid).get("PYTHONPATH", "")
        program = f"/usr/bin/python3 -m supervisor.supervisorctl -c {supervisor.conf_path(paths)}"
        return f"env PYTHONPATH={packages} {program}"

    @property
    def url(self) -> str:
        """The published port of the edge, as a client on this host uses it."""
        published = self.world.published("nginx-lb")
        if published is None:
            raise WrongUse("drill", "cannot be done", "nginx-lb is not published", "declare it")
        return published.url("").rstrip("/")

    def written(self, command: str) -> str:
        """Put what the names in braces mean into a command; {{ and }} stand for braces."""
        return command.format_map(self)

"""Where on the host a replica's files are, in either world.

A container's own root is read-only for its processes; the host reaches it where the engine mounted
it. Nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from twinstack.compose.engine import connect_or_fail
from twinstack.compose.render import container_name, volume_name
from twinstack.compose.world import DockerWorld
from twinstack.errors import CannotTell
from twinstack.linux import procfs
from twinstack.linux.procfs import MountEntry
from twinstack.model.runtimes import NGINX_CONF, REDIS_CONF
from twinstack.state.paths import InstancePaths
from twinstack.world import LocalWorld

_CONFIGURATIONS = {"nginx": NGINX_CONF, "redis": REDIS_CONF}


def hosts(world: LocalWorld, replica: str) -> Path:
    """Give the file that a replica sees as /etc/hosts. Raises: Missing."""
    if isinstance(world, DockerWorld):
        name = container_name(world.plan, world.plan.replica(replica))
        with closing(connect_or_fail(world.engine)) as client:
            return Path(client.api.inspect_container(name)["HostsPath"])
    return InstancePaths(world.plan.instance).run / "conf/hosts"


def configuration(world: LocalWorld, replica: str) -> Path:
    """Give the file that a replica sees as its configuration. Raises: CannotTell."""
    path = Path(_CONFIGURATIONS[world.plan.replica(replica).runtime])
    if isinstance(world, DockerWorld):
        pid = world.main_pids()[replica]
        return on_host(procfs.read_mounts(pid), procfs.read_mounts()) / path.relative_to("/")
    return InstancePaths(world.plan.instance).run / "conf" / f"{replica}-{path.name}"


def data(world: LocalWorld, replica: str) -> Path:
    """Give the directory in which a replica's data is. Raises: Missing."""
    if isinstance(world, DockerWorld):
        name = volume_name(world.plan, world.plan.replica(replica))
        with closing(connect_or_fail(world.engine)) as client:
            return Path(client.api.inspect_volume(name)["Mountpoint"])
    return InstancePaths(world.plan.instance).lib / replica


def on_host(inside: Sequence[MountEntry], outside: Sequence[MountEntry]) -> Path:
    """Find where the host can write to the root of a mount namespace. Raises: CannotTell. Pure."""
    root = [mount for mount in inside if mount.path == "/"][-1]
    for mount in outside:
        same = mount.device == root.device and "rw" in mount.options
        within = root.root == mount.root or root.root.startswith(mount.root.rstrip("/") + "/")
        if same and within:
            return Path(mount.path) / root.root.removeprefix(mount.root).lstrip("/")
    raise CannotTell("the container's root", "cannot be named", "the host has no mount of it")

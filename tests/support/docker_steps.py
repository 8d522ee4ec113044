"""What the checks of the Docker world share: its engine, a child to kill, and snapshots of it.

The engine is that of tests/docker, in a network namespace that plays the host. Its images are
built once and stay; each check starts from a state that it makes, and leaves the world down.
"""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from docker import DockerClient

from tests.support import own_engine
from tests.support.own_engine import engine_paths, print_nothing
from tests.support.own_engine import in_namespace as in_namespace_of
from tests.support.project import ROOT
from tests.support.step_proxy import WatchedProject
from twinstack.compose import apply, observe
from twinstack.compose.client import ComposeProject
from twinstack.compose.engine import connect
from twinstack.compose.engine_paths import EnginePaths
from twinstack.compose.render import INSTANCE_LABEL, state_directory
from twinstack.compose.steps import ContainerStart
from twinstack.compose.teardown import clean, down
from twinstack.compose.world import DockerWorld
from twinstack.errors import TwinstackError
from twinstack.model.plan import resolve
from twinstack.model.topology_file import parse
from twinstack.reconcile import Watch
from twinstack.software.building import remove_tree
from twinstack.state.paths import InstancePaths

NAME = str(own_engine.RUN)
ENGINE, INSTANCE = own_engine.ENGINE, own_engine.INSTANCE
UP_TIMEOUT_S = 90.0
Edit = Callable[[dict[str, Any]], object]


def small(written: dict[str, Any]) -> None:
    """Declare one replica of each service: every kind of step is left."""
    service = written["services"]["product-service"]
    service["replicas"] = 1
    service["addresses"] = service["addresses"][:1]


def only_images() -> None:
    """Take all away but the images; where no engine was ever started, none is."""
    down(INSTANCE, progress=print_nothing, engine=ENGINE)
    with connect_or_none() as client:
        if client:
            for volume in client.volumes.list(filters={"label": f"{INSTANCE_LABEL}={INSTANCE}"}):
                volume.remove()
    remove_tree(state_directory(INSTANCE))


def in_namespace(*command: str, check: bool = True) -> str:
    return in_namespace_of(*command, check=check, prefix=ENGINE.prefix)


def world(shape: str = "flat", edit: Edit = small, instance: str = INSTANCE) -> DockerWorld:
    written = yaml.safe_load((ROOT / "topology.yml").read_text())
    edit(written)
    topology = parse(yaml.safe_dump(written, sort_keys=False))
    return DockerWorld(resolve(topology, shape, instance), ENGINE, ROOT)


def first_start(shape: str) -> str:
    """Name the step that starts the first container."""
    changes = world(shape).preview().changes
    return next(change.step.name for change in changes if isinstance(change.step, ContainerStart))


def up(docker: DockerWorld) -> None:
    states = docker.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
    assert {state.state for state in states} == {"healthy"}


def client_of(engine: EnginePaths = ENGINE) -> DockerClient:
    client = connect(engine)
    assert client is not None
    return client


def identities(client: DockerClient) -> dict[str, tuple[str, str]]:
    """Give each container's id and when it was started, by its name."""
    return {
        str(name.name): (str(name.id), str(name.attrs["State"]["StartedAt"]))
        for name in client.containers.list(all=True, ignore_removed=True)
    }


def snapshot(instance: str = INSTANCE) -> dict[str, object]:
    """Look at every class of object that a Docker world makes, on its host and in its engine."""
    with connect_or_none() as client:
        seen: dict[str, object] = {}
        if client:
            seen |= {
                "containers": identities(client),
                # Those that the engine itself makes at each of its starts, by name alone.
                "networks": sorted(
                    (
                        network["Name"],
                        network["Id"]
                        if network["Driver"] == "bridge" and network["Name"] != "bridge"
                        else "",
                    )
                    for network in client.api.networks()
                ),
                "volumes": sorted(
                    volume["Name"] for volume in client.api.volumes()["Volumes"] or []
                ),
                "images": sorted(
                    (image["Id"], *sorted(image["RepoTags"] or ())) for image in client.api.images()
                ),
            }
    seen |= {
        "links": _links(),
        "addresses": _addresses(),
        "routes": _ip("route", "show", "table", "all"),
        "neighbours": _ip("neigh", "show"),
        "sockets": in_namespace("ss", "-Hltn"),
        "mounts": [
            line.split()[4]
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if ENGINE.data_root.parent.name in line
        ],
        "processes": len(_processes()),
        "run": _tree(InstancePaths(instance).run),
        "state": _tree(state_directory(instance).parent),
    }
    for family in ("iptables", "ip6tables"):
        # The engine's own rules are in the order of its last network, not of its start. The jump to
        # DOCKER-USER, which it takes out and puts in with each network, is at times there twice.
        rules = (
            re.sub(r"\[\d+:\d+\]", "", line)
            for line in in_namespace(f"{family}-save").splitlines()
            # A table that was looked at stays, empty: that is no rule.
            if line.startswith("-") or (line.startswith(":") and " ACCEPT " not in line)
        )
        counts = Counter(rules)
        counts["-A FORWARD -j DOCKER-USER"] = min(counts["-A FORWARD -j DOCKER-USER"], 1)
        seen[family] = sorted(counts.elements())
    return seen


def difference(before: dict[str, object], after: dict[str, object]) -> dict[str, object]:
    """Give what is not alike, by its class: of lists what is gone and what is new."""
    differing: dict[str, object] = {}
    for name, was in before.items():
        now = after.get(name)
        if isinstance(was, list) and isinstance(now, list) and was != now:
            # One that is there twice is new once.
            gone, new = (Counter(map(repr, each)) for each in (was, now))
            differing[name] = sorted((gone - new).elements()), sorted((new - gone).elements())
        elif was != now:
            differing[name] = (was, now)
    return differing


@contextmanager
def connect_or_none() -> Iterator[DockerClient | None]:
    client = connect(ENGINE)
    try:
        yield client
    finally:
        if client:
            client.close()


def _ip(*words: str) -> list[str]:
    """List what `ip` prints, but routes that a bridge has since it once carried something."""
    entries = json.loads(in_namespace("ip", "-j", *words) or "[]")
    return sorted(
        json.dumps(entry, sort_keys=True)
        for entry in entries
        if not str(entry["dst"]).startswith(("fe80:", "ff00:"))
    )


def _addresses() -> list[tuple[str, str]]:
    """List the addresses but those that follow from a link's random MAC."""
    links = json.loads(in_namespace("ip", "-j", "address", "show"))
    return sorted(
        (link["ifname"], f"{address['local']}/{address['prefixlen']}")
        for link in links
        for address in link["addr_info"]
        if not address["local"].startswith("fe80:")
    )


def _links() -> list[tuple[str, ...]]:
    links = json.loads(in_namespace("ip", "-j", "link", "show"))
    return sorted((link["ifname"], link["link_type"], str(link["mtu"])) for link in links)


def _processes() -> list[int]:
    cgroups = Path("/sys/fs/cgroup").glob(f"*/{ENGINE.cgroup_parent.strip('/')}*/**/cgroup.procs")
    return sorted({int(pid) for file in cgroups for pid in _read(file).split()})


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _tree(directory: Path) -> list[str]:
    """List the files; secrets are data, and stay."""
    paths = (path for path in directory.rglob("*") if "secrets" not in path.parts)
    return sorted(str(path) for path in paths if not path.is_dir())


Fault = str  # before, after: killed there; during: a call of the step's own fails


@dataclass(frozen=True)
class Point:
    """Where a command is struck: at a step, and how."""

    step: str
    fault: Fault


class Striker:
    """A watch that logs the steps that it sees, and strikes at one of them."""

    def __init__(self, log: Path | None = None, point: Point | None = None) -> None:
        self.log = log
        self.point = point

    def before(self, step: str) -> None:
        if self.log:
            with self.log.open("a") as file:
                file.write(f"{step}\n")
        self._strike("before", step)

    def during(self, step: str) -> None:
        if self.point == Point(step, "during"):
            raise OSError(5, f"made to fail: {step}")

    def after(self, step: str) -> None:
        self._strike("after", step)

    def _strike(self, fault: Fault, step: str) -> None:
        if self.point == Point(step, fault):
            os.killpg(0, signal.SIGKILL)


def watched_compose(watch: Watch, engine: EnginePaths = ENGINE) -> Callable[..., ComposeProject]:
    """Give what stands in for `ComposeProject`, so that a watch sees what Compose does too."""
    socket = engine.socket.with_name("gate.sock")
    return functools.partial(WatchedProject, watch=watch, socket=socket)


def run_child(
    verb: str, shape: str, log: Path, point: Point | None = None, lacking: tuple[str, ...] = ()
) -> tuple[int, str]:
    """Run a command of the world in a process group of its own; give its exit code and last line.

    `lacking`: what the child does not find at its first look; the next one at its second too.
    """
    words = {
        "verb": verb,
        "shape": shape,
        "log": str(log),
        "instance": INSTANCE,
        "engine": NAME,
        "point": [point.step, point.fault] if point else None,
        "lacking": lacking,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.docker_steps", json.dumps(words)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=UP_TIMEOUT_S * 2,
        check=False,
    )
    assert done.returncode in {0, 1, -signal.SIGKILL}, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr


def _child(words: dict[str, Any]) -> None:
    """Be the command: on the parent's engine and instance, in a process of its own."""
    instance, engine = words["instance"], engine_paths(words["engine"])
    point = Point(*words["point"]) if words["point"] else None
    watch = Striker(Path(words["log"]), point)
    for looks, name in enumerate(words["lacking"], start=1):
        _overlook(name, looks)
    try:
        if words["verb"] == "up":
            docker = world(words["shape"], instance=instance)
            docker.engine, docker.watch = engine, watch
            setattr(apply, ComposeProject.__name__, watched_compose(watch, engine))
            docker.up(timeout_s=UP_TIMEOUT_S, progress=print_nothing)
        else:  # without a plan: as when the topology is gone
            verb = {"down": down, "clean": clean}[words["verb"]]
            verb(instance, progress=print_nothing, engine=engine, watch=watch)
    except TwinstackError as error:
        sys.exit(str(error))


def _overlook(name: str, blind: int) -> None:
    """Let the first looks not find the root trees, or the wheelhouse."""
    seeing = getattr(observe, name)
    looks: list[object] = []

    def see(*words: object) -> object:
        looks.append(words)
        return seeing(*words) if len(looks) > blind else None

    setattr(observe, name, see)


if __name__ == "__main__":
    _child(json.loads(sys.argv[1]))

"""The files that start a replica: launch scripts, configuration, supervisord's programs; pure.

A launch script is the lesson of this world: it does in a dozen plain commands what a container
engine does. Its text is templates/launch.sh.j2; what goes into it is decided here.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

from twinstack.confinement.seccomp import Filter
from twinstack.linux.cgroup import Layout
from twinstack.model.plan import Plan, Replica
from twinstack.model.runtimes import SECRETS, SRV, Role
from twinstack.namespaces import cgroups
from twinstack.namespaces.process_steps import (
    InstanceDirectory,
    InstanceFile,
    ReplicaProcess,
    Supervisor,
    file_facts,
)
from twinstack.namespaces.steps import NetStep
from twinstack.state.paths import InstancePaths

OPEN_FILES = 65_536
SCRATCH = "64m"
LOG_BYTES = 8_000_000
ROTATOR = "log-rotator"
_PINS = "/run/netns"
#: What an engine makes read-only below /proc, and what it hides there.
_KNOBS = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_MASKED = (
    "acpi",
    "asound",
    "scsi",
    "interrupts",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "timer_list",
    "timer_stats",
)


@dataclass(frozen=True, slots=True)
class ProvidedSoftware:
    """Where the software lies on this host.

    `trees` maps a role to its root tree; `srv` is what a service sees as /srv/twinstack;
    `supervisor` holds supervisord's packages; `configs` maps a replica to its rendered files by
    their path in its root; `digest` changes whenever any of these does. `seccomp` is the filter
    that every process runs under.
    """

    trees: Mapping[Role, Path]
    srv: Path
    supervisor: Path
    configs: Mapping[str, Mapping[str, str]]
    digest: str
    seccomp: Filter


def steps(
    plan: Plan, software: ProvidedSoftware, layout: Layout, templates: Path
) -> tuple[NetStep, ...]:
    """List what must be there, in order, for every replica to run."""
    return tuple(_steps(plan, software, layout, templates))


def _steps(
    plan: Plan, software: ProvidedSoftware, layout: Layout, templates: Path
) -> Iterator[NetStep]:
    places = InstancePaths(plan.instance)
    engine = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # shell, not HTML: every word is quoted below
    )
    for path, mode in (
        (places.run, 0o755),
        (places.lib, 0o755),
        (places.log, 0o750),
        (places.run / "launch", 0o700),
        (places.run / "root", 0o755),
        (places.run / "conf", 0o755),
    ):
        yield InstanceDirectory(str(path), mode, 0)
    hosts = _file(places.run / "conf" / "hosts", _hosts(plan), in_place=True)
    yield hosts
    seccomp = _file(places.run / "conf" / "seccomp.hex", software.seccomp.program)
    yield seccomp
    programs: list[dict[str, str]] = []
    processes: list[ReplicaProcess] = []
    for replica in plan.here:
        yield cgroups.step(plan, replica.name, replica.limits, layout)
        configured: list[tuple[str, str]] = [(hosts.path, "/etc/hosts")]
        digests = [software.digest, seccomp.digest, _looked_up_once(plan, replica)]
        for target, content in software.configs.get(replica.name, {}).items():
            file = _file(places.run / "conf" / f"{replica.name}-{Path(target).name}", content)
            configured.append((file.path, target))
            digests.append(file.digest)
            yield file
        if replica.launch.data:
            yield InstanceDirectory(str(_data(places, replica)), 0o700, replica.user)
        script = _script(engine, plan, replica, software, layout, configured, digests)
        yield script
        digest = _launch_digest(script.content)
        programs.append(
            {
                "name": replica.name,
                "script": script.path,
                "digest": digest,
                "stop_signal": replica.launch.stop_signal,
            }
        )
        processes.append(_process(replica.name, script, digest, replica.name))
    yield cgroups.step(plan, ROTATOR, None, layout)
    rotator = _file(
        places.run / "launch" / ROTATOR,
        engine.get_template("rotate.sh.j2").render(
            log=places.log,
            most_bytes=LOG_BYTES,
            cgroups=layout.directories(cgroups.path_of(plan.instance, ROTATOR)),
        ),
    )
    yield rotator
    programs.append(
        {"name": ROTATOR, "script": rotator.path, "digest": rotator.digest, "stop_signal": "KILL"}
    )
    conf = engine.get_template("supervisord.conf.j2").render(
        instance=plan.instance, run=places.run, programs=programs
    )
    supervisord = _file(places.run / "supervisord.conf", conf)
    yield supervisord
    processes.append(_process(ROTATOR, rotator, rotator.digest, None))
    yield Supervisor(
        (
            str(software.supervisor),
            "/usr/bin/python3",
            "-m",
            "supervisor.supervisord",
            "--configuration",
            supervisord.path,
        ),
        frozenset(process.replica for process in processes),
    )
    yield from processes


def _process(name: str, script: InstanceFile, digest: str, namespace: str | None) -> ReplicaProcess:
    written = file_facts(script.digest, script.mode)
    return ReplicaProcess(name, script.path, digest, written, namespace)


def log_path(places: InstancePaths, replica: str) -> Path:
    """Give the file that a replica writes its output to."""
    return places.log / f"{replica}.log"


def _data(places: InstancePaths, replica: Replica) -> Path:
    return places.lib / replica.name


def _script(
    engine: jinja2.Environment,
    plan: Plan,
    replica: Replica,
    software: ProvidedSoftware,
    layout: Layout,
    configured: list[tuple[str, str]],
    digests: list[str],
) -> InstanceFile:
    places = InstancePaths(plan.instance)
    read_only = list(configured)
    if replica.role in {"python", "postgres"}:
        read_only.append((str(software.srv), SRV))
    if replica.secrets:
        read_only.append((str(places.lib / "secrets" / replica.service), SECRETS))
    writable = []
    if replica.launch.data:
        writable.append((str(_data(places, replica)), replica.launch.data))
    environment = {**replica.environment_in("net"), "TWINSTACK_LAUNCH": "@DIGEST@"}

    def render(words: Mapping[str, str]) -> str:
        return engine.get_template("launch.sh.j2").render(
            name=replica.name,
            cgroups=layout.directories(cgroups.path_of(plan.instance, replica.name)),
            log=log_path(places, replica.name),
            pin=f"{_PINS}/{replica.name}",
            root=places.run / "root",
            tree=software.trees[replica.role],
            filter=places.run / "conf" / "seccomp.hex",
            prctl=software.seccomp.prctl,
            knobs=_KNOBS,
            masked=_MASKED,
            scratch=SCRATCH,
            user=replica.user,
            read_only=read_only,
            writable=writable,
            open_files=OPEN_FILES,
            environment=" ".join(f"{key}={shlex.quote(value)}" for key, value in words.items()),
            command=shlex.join(replica.launch.command),
        )

    # The process carries the digest of what started it, so that an `up` can tell from the
    # process itself whether it is the one that is wanted now.
    digest = _digest(render(environment) + "".join(digests))
    content = render({**environment, "TWINSTACK_LAUNCH": digest})
    return _file(places.run / "launch" / replica.name, content, 0o700)


def _launch_digest(script: str) -> str:
    return script.partition("TWINSTACK_LAUNCH=")[2].split()[0]


def _looked_up_once(plan: Plan, replica: Replica) -> str:
    """Name the addresses that a process keeps from its start on: nginx's upstreams."""
    if replica.runtime != "nginx":
        return ""
    reached = {flow.destination for flow in plan.flows if flow.source == replica.service}
    return " ".join(str(one.address) for one in plan.replicas if one.service in reached)


def _hosts(plan: Plan) -> str:
    lines = [f"{address} {name}" for name, address in plan.hosts("net").items()]
    return "\n".join(["127.0.0.1 localhost", *lines, ""])


def _file(path: Path, content: str, mode: int = 0o644, *, in_place: bool = False) -> InstanceFile:
    return InstanceFile(str(path), content, _digest(content), mode, in_place)


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:12]

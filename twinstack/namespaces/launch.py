"""The files that start a replica: launch scripts, configuration, supervisord's programs; pure.

A launch script is the lesson of this world: it does in a dozen plain commands what a container
engine does. Its text is templates/launch.sh.j2; what goes into it is decided here.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from twinstack.confinement.seccomp import Filter
from twinstack.linux import netns
from twinstack.linux.cgroup import Layout
from twinstack.model import releases
from twinstack.model.plan import Plan, Replica
from twinstack.model.runtimes import SECRETS, SRV, Role
from twinstack.namespaces import cgroups
from twinstack.namespaces.process_steps import (
    InstanceDirectory,
    InstanceFile,
    ReplicaProcess,
    Supervisor,
)
from twinstack.namespaces.process_steps import digest as digest_of
from twinstack.namespaces.steps import NetStep
from twinstack.reconcile import Described
from twinstack.software.configs import render
from twinstack.state.paths import InstancePaths

OPEN_FILES = 65_536
SCRATCH = "64m"
LOG_BYTES = 8_000_000
ROTATOR = "log-rotator"
#: What an engine makes read-only below /proc, and what it hides there.
_READ_ONLY_PROC = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_MASKED_PROC = (
    *("acpi", "asound", "scsi", "interrupts", "kcore", "keys", "latency_stats"),
    *("sched_debug", "timer_list", "timer_stats"),
)


@dataclass(frozen=True, slots=True)
class ProvidedSoftware:
    """Where the software is on this host."""

    trees: Mapping[Role, Path]  # root trees
    srv: Path  # a service sees it as /srv/twinstack
    supervisor: Path  # supervisord's packages
    configs: Mapping[str, Mapping[str, str]]  # by replica: path in its root → content
    digest: str  # of trees and packages
    seccomp: Filter  # every process runs under it
    stale_secrets: frozenset[str] = frozenset()  # services with secrets to be made


@dataclass(frozen=True, slots=True)
class StaleSecrets(Described):
    """Secrets that are missing or wrong: `up` makes them before any step."""

    NAME = "secrets"


def steps(plan: Plan, software: ProvidedSoftware, layout: Layout) -> tuple[NetStep, ...]:
    """List what must be there, in order, for every replica to run."""
    return tuple(_Launcher(plan, software, layout).steps())


@dataclass(frozen=True)
class _Launcher:
    """Renders the files of a plan's processes: shell, in which every word is quoted."""

    plan: Plan
    software: ProvidedSoftware
    layout: Layout

    @property
    def paths(self) -> InstancePaths:
        return InstancePaths(self.plan.instance)

    def steps(self) -> Iterator[NetStep]:
        run, plan = self.paths.run, self.plan
        for path, mode in (
            (run, 0o755),
            (self.paths.lib, 0o755),
            (self.paths.log, 0o750),
            (run / "launch", 0o700),
            (run / "root", 0o755),
            (run / "conf", 0o755),
        ):
            yield InstanceDirectory(str(path), mode, 0)
        if versions := sorted(releases.named(plan.releases)):
            for name in ("", *versions):  # their content came with the release
                yield InstanceDirectory(str(self.paths.versions / name), 0o755, 0)
        hosts = _file(run / "conf" / "hosts", _hosts(plan), in_place=True)
        seccomp = _file(run / "conf" / "seccomp.hex", self.software.seccomp.program)
        yield from (hosts, seccomp)
        programs: list[dict[str, str]] = []
        processes: list[ReplicaProcess] = []

        def add(name: str, script: InstanceFile, digest: str, stop_signal: str) -> None:
            program = {"name": name, "script": script.path, "digest": digest}
            programs.append({**program, "stop_signal": stop_signal})
            namespace = None if name == ROTATOR else name
            processes.append(
                ReplicaProcess(name, script.path, digest, script.as_written, namespace)
            )

        for replica in plan.here:
            yield cgroups.step(plan, replica.name, replica.limits, self.layout)
            mounts: list[tuple[str, str]] = [(hosts.path, "/etc/hosts")]
            digests = [self.software.digest, seccomp.digest, _read_once(plan, replica)]
            for target, content in self.software.configs.get(replica.name, {}).items():
                file = _file(run / "conf" / f"{replica.name}-{Path(target).name}", content)
                mounts.append((file.path, target))
                digests.append(file.digest)
                yield file
            if replica.launch.data:
                yield InstanceDirectory(str(self._data(replica)), 0o700, replica.user)
            digest, script = self._script(replica, mounts, digests)
            yield script
            add(replica.name, script, digest, replica.launch.stop_signal)
        yield cgroups.step(plan, ROTATOR, None, self.layout)
        rotate = render(
            "rotate.sh.j2", log=self.paths.log, most_bytes=LOG_BYTES, cgroups=self._cgroups(ROTATOR)
        )
        rotator = _file(run / "launch" / ROTATOR, rotate)
        yield rotator
        add(ROTATOR, rotator, rotator.digest, "KILL")
        conf = render("supervisord.conf.j2", instance=plan.instance, run=run, programs=programs)
        supervisord = _file(run / "supervisord.conf", conf)
        yield supervisord
        words = f"/usr/bin/python3 -m supervisor.supervisord --configuration {supervisord.path}"
        yield Supervisor(
            (str(self.software.supervisor), *words.split()),
            frozenset(process.replica for process in processes),
        )
        yield from processes

    def _data(self, replica: Replica) -> Path:
        return self.paths.lib / replica.name

    def _cgroups(self, name: str) -> tuple[Path, ...]:
        return self.layout.directories(cgroups.path_of(self.plan.instance, name))

    def _script(
        self, replica: Replica, mounts: list[tuple[str, str]], digests: list[str]
    ) -> tuple[str, InstanceFile]:
        """Render a launch script; gives the digest of all that it starts with, and the file."""
        paths, software = self.paths, self.software
        read_only = list(mounts)
        if replica.role in {"python", "postgres"}:
            read_only.append((str(software.srv), SRV))
        if replica.version:
            of_version = paths.versions / replica.version / "services"
            read_only.append((str(of_version), f"{SRV}/services"))
        if replica.secrets:
            read_only.append((str(paths.secrets / replica.service), SECRETS))
        data = replica.launch.data

        def launch(digest: str) -> str:
            environment = {**replica.environment_in("net"), "TWINSTACK_LAUNCH": digest}
            words = " ".join(f"{key}={shlex.quote(value)}" for key, value in environment.items())
            return render(
                "launch.sh.j2",
                name=replica.name,
                cgroups=self._cgroups(replica.name),
                log=paths.log_of(replica.name),
                pin=netns.PINS / replica.name,
                root=paths.run / "root",
                tree=software.trees[replica.role],
                filter=paths.run / "conf" / "seccomp.hex",
                prctl=software.seccomp.prctl,
                knobs=_READ_ONLY_PROC,
                masked=_MASKED_PROC,
                scratch=SCRATCH,
                user=replica.user,
                read_only=read_only,
                writable=[(str(self._data(replica)), data)] if data else [],
                open_files=OPEN_FILES,
                environment=words,
                command=shlex.join(replica.launch.command),
            )

        # The process carries the digest of what started it: so `up` can tell from the process
        # itself whether it is current.
        digest = digest_of(launch("@DIGEST@") + "".join(digests))
        return digest, _file(paths.run / "launch" / replica.name, launch(digest), 0o700)


def _read_once(plan: Plan, replica: Replica) -> str:
    """List what a process learns only when it starts: nginx its upstreams, a store its users."""
    if replica.is_store:
        password = f"{replica.runtime}_password"
        users = {each.service for each in plan.replicas if password in each.secrets}
        return " ".join(sorted(users))
    if replica.runtime != "nginx":
        return ""
    reached = {flow.destination for flow in plan.flows if flow.source == replica.service}
    return " ".join(str(each.address) for each in plan.replicas if each.service in reached)


def _hosts(plan: Plan) -> str:
    lines = [f"{address} {name}" for name, address in plan.hosts("net").items()]
    return "\n".join(["127.0.0.1 localhost", *lines, ""])


def _file(path: Path, content: str, mode: int = 0o644, *, in_place: bool = False) -> InstanceFile:
    return InstanceFile(str(path), content, mode, in_place)

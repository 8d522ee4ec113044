"""Bring a Prometheus up beside the worlds, look at it, and remove it with everything it kept.

All of it is in a directory and in cgroups that bear the instance's name, so tear-down needs no
record, and works after a crash at any moment. `up` does what is missing: files, then what does not
run as planned.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import TypeAdapter

from twinstack.errors import Missing, NotHealthy, WrongUse
from twinstack.linux import cgroup, cgroup_removal, files
from twinstack.observe.prometheus import processes
from twinstack.observe.prometheus.files import (
    ADDRESS,
    JOB,
    USER,
    KeptProgram,
    MetricsPaths,
    Options,
    configuration,
    engine_variables,
    programs,
)
from twinstack.reconcile import Progress, Teardown
from twinstack.state import paths, records
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths

_OPTIONS = TypeAdapter(Options)
_LOCK = "metrics"
_POLL_S = 0.1
#: When the last sample is older than this and four intervals, none is stored.
_STORED_S = 10.0
_CANNOT_READ = 'look at it, then run "invoke metrics.down"'
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class MetricsPart:
    """A program beside the worlds."""

    name: str
    state: Literal["up", "starting", "down", "absent"]
    address: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FiringAlert:
    """An alert that fires."""

    name: str
    severity: str
    summary: str
    command: str  # looks closer


@dataclass(frozen=True, slots=True)
class MetricsStatus:
    """What measures the worlds, and the alerts that fire."""

    parts: tuple[MetricsPart, ...]
    alerts: tuple[FiringAlert, ...]

    @property
    def is_up(self) -> bool:
        return all(part.state == "up" for part in self.parts)

    @property
    def is_absent(self) -> bool:
        return all(part.state == "absent" for part in self.parts)


class InstanceMetrics:
    """The Prometheus of one instance; `dashboard` is the command that serves its page."""

    def __init__(
        self, instance: str, directory: Path, dashboard: Sequence[str], topology: Path
    ) -> None:
        self._at = MetricsPaths(instance)
        self._directory = directory
        self._dashboard = tuple(dashboard)
        self._topology = topology

    def up(
        self,
        *,
        port: int | None,
        metrics_port: int | None,
        interval_s: int | None,
        timeout_s: float,
        progress: Progress,
    ) -> MetricsStatus:
        """Start what does not run as asked, and wait until Prometheus has scraped.

        An option that is None keeps the running value. Raises: Missing without prometheus; Locked;
        WrongUse for equal ports, TwinstackError for one that is taken; NotHealthy.
        """
        if shutil.which("prometheus") is None:
            cause, remedy = "no such program", 'run "make setup" (or "invoke doctor")'
            raise Missing("prometheus", "cannot be run", cause, remedy)
        asked = {"port": port, "metrics_port": metrics_port, "interval_s": interval_s}
        self._as_asked(asked)  # what is refused leaves no lock
        with locked(InstancePaths(self._at.instance), _LOCK):
            former, options = self._as_asked(asked)
            layout = cgroup.read_layout()
            planned = self._programs(options, layout)
            states = {program: processes.observe(program, layout) for program in planned}
            stale = [each for each in planned if states[each].shells != (each.command,)]
            running = any(state.pids for state in states.values())
            own_ports = {former.port, former.metrics_port} if running else set()
            for program in stale:  # what runs must not end for a port that cannot be had
                if program.port not in own_ports:
                    processes.check_port(program)
            for program in stale:
                if states[program].pids:
                    progress(f"{program.name}: ends, to start as asked")
                    processes.end(program, layout)
            if stale:
                self._write(options, planned)
            for program in stale:
                processes.start(program, layout)
                progress(f"{program.name}: started, http://{ADDRESS}:{program.port}/")
            self._await(planned, layout, options, timeout_s)
        return self.status()

    def down(self) -> tuple[str, ...]:
        """Remove its processes, cgroups, data and files, and name them.

        Raises: Locked; the failure, or SeveralFailed, after everything else was removed.
        """
        instance = InstancePaths(self._at.instance)
        with locked(instance, _LOCK):
            layout, teardown = cgroup.read_layout(), Teardown(remedy='run "invoke metrics.down"')
            for name in cgroup_removal.children(self._at.cgroup, layout):
                path = f"{self._at.cgroup}/{name}"
                teardown.remove(f"process {name}", partial(cgroup_removal.remove, path, layout))
            teardown.tidy("cgroup", lambda: cgroup_removal.remove_empty(self._at.cgroup, layout))
            directory = self._at.directory
            if directory.exists():
                teardown.remove(f"data {directory}", lambda: shutil.rmtree(directory))
            for parent in (directory.parent, directory.parent.parent):
                with suppress(OSError):  # it holds more than ours
                    parent.rmdir()
            removed = teardown.finish("metrics.down")
            remove_run(instance, _LOCK)
        return removed

    def removable(self) -> tuple[str, ...]:
        """Name what `down` would remove; changes nothing."""
        names = cgroup_removal.children(self._at.cgroup, cgroup.read_layout())
        data = [f"data {self._at.directory}"] if self._at.directory.exists() else []
        return (*(f"process {name}" for name in names), *data)

    def status(self) -> MetricsStatus:
        """Look at what runs and answers, and ask Prometheus which alerts fire."""
        options, layout = self._running_options(), cgroup.read_layout()
        planned = self._programs(options or Options(), layout)
        parts = tuple(self._part(program, layout, options) for program in planned)
        port = planned[-1].port
        found = processes.query(port, "alerts").get("alerts", []) if parts[-1].state == "up" else []
        return MetricsStatus(parts, tuple(_firing(each) for each in found if _fires(each)))

    def _part(
        self, program: KeptProgram, layout: cgroup.Layout, options: Options | None
    ) -> MetricsPart:
        address = f"http://{ADDRESS}:{program.port}/"
        running = processes.observe(program, layout)
        if options is None and not running.pids:
            return MetricsPart(program.name, "absent", "")
        if not running.pids:
            return MetricsPart(program.name, "down", address, 'run "invoke metrics.up"')
        if not processes.answers(program, running.pids):
            return MetricsPart(
                program.name, "starting", address, processes.log_tail(program.script)
            )
        if not running.shells:
            return MetricsPart(program.name, "down", address, "nothing keeps it running")
        detail = ""
        if program.name == "prometheus":
            detail = _target_error(program.port) or _storage_error(program, options)
        return MetricsPart(program.name, "down" if detail else "up", address, detail)

    def _running_options(self) -> Options | None:
        return records.read(self._at.options, _OPTIONS, _CANNOT_READ)

    def _as_asked(self, asked: Mapping[str, int | None]) -> tuple[Options, Options]:
        """Give the options until now, and those from now on. Raises: WrongUse for equal ports."""
        former = self._running_options() or Options()
        given = {name: value for name, value in asked.items() if value is not None}
        options = replace(former, **given)
        if options.port == options.metrics_port:
            cause, remedy = "--metrics-port is the same", "choose another"
            raise WrongUse("--port", f"cannot be {options.port}", cause, remedy)
        return former, options

    def _programs(self, options: Options, layout: cgroup.Layout) -> tuple[KeptProgram, ...]:
        environment = {
            **engine_variables(os.environ),
            "PATH": _PATH,
            "LANG": "C.UTF-8",
            "TWINSTACK_INSTANCE": self._at.instance,
            "TWINSTACK_TOPOLOGY": str(self._topology.resolve()),
        }
        return programs(
            self._at,
            options,
            layout,
            dashboard=self._dashboard,
            environment=environment,
            directory=self._directory,
        )

    def _write(self, options: Options, planned: Sequence[KeptProgram]) -> None:
        """Write the files; their directory is the mark, so it comes first."""
        directory = self._at.directory
        for level in (paths.LIB, directory.parent, directory):
            level.mkdir(exist_ok=True)
            level.chmod(0o755)
        self._at.data.mkdir(mode=0o700, exist_ok=True)
        os.chown(self._at.data, USER, USER)
        records.write(self._at.options, _OPTIONS, options)
        for path, text in configuration(self._at, options).items():
            files.write(path, text)
        for program in planned:
            files.write(program.script, program.text)

    def _await(
        self,
        planned: Sequence[KeptProgram],
        layout: cgroup.Layout,
        options: Options,
        timeout_s: float,
    ) -> None:
        deadline_s = time.monotonic() + timeout_s
        while True:
            parts = [self._part(program, layout, options) for program in planned]
            waiting = [part for part in parts if part.state != "up"]
            if not waiting:
                return
            if time.monotonic() > deadline_s:
                name, detail = waiting[0].name, waiting[0].detail or "it does not answer"
                log = self._at.directory / f"{name}.log"
                raise NotHealthy(name, f"is not up within {timeout_s:g} s", detail, f"see {log}")
            time.sleep(_POLL_S)


def _target_error(port: int) -> str:
    """Say why Prometheus has nothing of /metrics; "" when it has."""
    for target in processes.query(port, "targets?state=active").get("activeTargets", []):
        if target["labels"].get("job") == JOB:
            if target["health"] == "up":
                return ""
            return target["lastError"] or "it has not scraped yet"
    return "it does not know its target yet"


def _storage_error(program: KeptProgram, options: Options | None) -> str:
    """Say why Prometheus stores nothing, as with a full disk; "" while it does."""
    oldest_s = _STORED_S + 4 * (options or Options()).interval_s
    head = processes.query(program.port, "status/tsdb").get("headStats", {})
    ahead_s = head.get("maxTime", 0) / 1000 - time.time()
    if ahead_s > oldest_s:  # it takes no sample that is older than the series' last one
        return f"the clock was set back: it stores nothing for {ahead_s:,.0f} s more"
    query = quote(f'timestamp(up{{job="{JOB}"}})')
    found = processes.query(program.port, f"query?query={query}").get("result", [])
    if found and time.time() - float(found[0]["value"][1]) <= oldest_s:
        return ""
    return f"it stores nothing: {processes.log_tail(program.script)}"


def _fires(alert: dict[str, object]) -> bool:
    return alert.get("state") == "firing"


def _firing(alert: dict[str, dict[str, str]]) -> FiringAlert:
    labels, notes = alert["labels"], alert["annotations"]
    return FiringAlert(labels["alertname"], labels["severity"], notes["summary"], notes["command"])

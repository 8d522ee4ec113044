"""What is written for a Prometheus of ours: where, its configuration, and the programs. Pure."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from twinstack.linux.cgroup import Layout
from twinstack.observe.prometheus.alerts import rules
from twinstack.software.configs import render
from twinstack.state import paths

#: The job by which the alert rules know our own /metrics.
JOB = "twinstack"
ADDRESS = "127.0.0.1"
#: The uid and gid of Prometheus: no service's.
USER = 30900
#: What is kept at most: the older goes first.
RETENTION_TIME, RETENTION_SIZE = "2d", "256MB"
_MIB = 1 << 20
_LOG_BYTES = 1 << 20
_LONGEST_PAUSE_S = 30
#: Prometheus refuses a longer text, and more series.
_BODY_LIMIT, _SAMPLE_LIMIT = "16MB", 50_000
#: By which Docker's SDK finds an engine. Every user of this machine can read the exporter's script
#: and command: other variables of Docker's may hold passwords (DOCKER_AUTH_CONFIG).
_ENGINE_VARIABLES = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
_MEMORY_SOFT = "300MiB"  # Go's collector works harder from there on; the cgroup kills at 384


@dataclass(frozen=True, slots=True)
class Options:
    """What `metrics.up` was last asked for."""

    port: int = 9090  # of Prometheus
    metrics_port: int = 7701  # of /metrics and the dashboard's page
    interval_s: int = 5  # between two scrapes


@dataclass(frozen=True, slots=True)
class MetricsPaths:
    """Where an instance's Prometheus is. Its name in each path is the mark of what is ours."""

    instance: str

    @property
    def directory(self) -> Path:
        return paths.LIB / self.instance / "metrics"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def options(self) -> Path:
        return self.directory / "options.json"

    @property
    def cgroup(self) -> str:
        """Give the path below each mount; no instance's name holds a dot."""
        return f"twinstack/{self.instance}.metrics"


@dataclass(frozen=True, slots=True)
class KeptProgram:
    """One process that is kept running: a shell that starts it again when it ends."""

    name: str
    port: int
    ready_path: str  # answers 200 once it works
    cgroup: str
    limits: tuple[float, int, int]  # cores, bytes, processes and threads
    script: Path
    text: str  # of the script

    @property
    def command(self) -> tuple[str, ...]:
        """Give the shell's command: it shows by which script, of which content, it was started."""
        digest = hashlib.sha256(self.text.encode()).hexdigest()[:12]
        return ("/bin/sh", str(self.script), digest)


def configuration(at: MetricsPaths, options: Options) -> dict[Path, str]:
    """Write Prometheus' configuration and its alert rules."""
    rules_file = at.directory / "alerts.yml"
    return {
        at.directory / "prometheus.yml": scrape(options, str(rules_file), at.instance),
        rules_file: rules(at.instance, options.interval_s),
    }


def scrape(options: Options, rules_file: str, instance: str) -> str:
    """Write what Prometheus scrapes, and how often."""
    interval = f"{options.interval_s}s"
    document = {
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": interval,
            "evaluation_interval": interval,
            "external_labels": {"stack": instance},
        },
        "rule_files": [rules_file],
        "scrape_configs": [
            {
                "job_name": JOB,
                "body_size_limit": _BODY_LIMIT,
                "sample_limit": _SAMPLE_LIMIT,
                "static_configs": [{"targets": [f"{ADDRESS}:{options.metrics_port}"]}],
            }
        ],
    }
    return yaml.safe_dump(document, sort_keys=False)


def engine_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Choose what the exporter needs to find the engine that the user's environment names."""
    return {name: environment[name] for name in _ENGINE_VARIABLES if name in environment}


def programs(
    at: MetricsPaths,
    options: Options,
    layout: Layout,
    *,
    dashboard: tuple[str, ...],
    environment: Mapping[str, str],
    directory: Path,
) -> tuple[KeptProgram, ...]:
    """Decide the programs: what answers /metrics, and Prometheus.

    `dashboard` is the command that serves the page, without its port; `environment` and `directory`
    are those that it runs in.
    """
    files = configuration(at, options)
    digest = hashlib.sha256("".join(files.values()).encode()).hexdigest()[:12]
    variables = [f"{name}={value}" for name, value in sorted(environment.items())]
    serve = (*dashboard, "--port", str(options.metrics_port))
    exporter = ("/usr/bin/env", "-i", *variables, *serve)
    prometheus = (
        *("/usr/bin/setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"),
        *("--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"),
        *("/usr/bin/env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"),
        *(f"GOMEMLIMIT={_MEMORY_SOFT}", f"TWINSTACK_CONFIGURATION={digest}"),
        *("prometheus", f"--config.file={at.directory / 'prometheus.yml'}"),
        f"--web.listen-address={ADDRESS}:{options.port}",
        f"--web.cors.origin=http://{ADDRESS}:{options.port}",
        f"--storage.tsdb.path={at.data}",
        f"--storage.tsdb.retention.time={RETENTION_TIME}",
        f"--storage.tsdb.retention.size={RETENTION_SIZE}",
        "--log.level=error",
    )
    parts = (
        ("exporter", options.metrics_port, "/metrics", exporter, directory, 256),
        ("prometheus", options.port, "/-/ready", prometheus, at.directory, 384),
    )
    found = []
    for name, port, ready, command, where, memory in parts:
        cgroup, script = f"{at.cgroup}/{name}", at.directory / f"{name}.sh"
        text = render(
            "prometheus/program.sh.j2",
            name=name,
            instance=at.instance,
            cgroups=[shlex.quote(str(each)) for each in layout.directories(cgroup)],
            log=shlex.quote(str(at.directory / f"{name}.log")),
            directory=shlex.quote(str(where)),
            command=shlex.join(command),
            most_bytes=_LOG_BYTES,
            longest_s=_LONGEST_PAUSE_S,
        )
        limits = (1.0, memory * _MIB, 256)
        found.append(KeptProgram(name, port, ready, cgroup, limits, script, text))
    return tuple(found)

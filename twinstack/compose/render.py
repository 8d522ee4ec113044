"""A Plan as Dockerfiles and a compose file: pure text, nothing is decided in the templates.

`render_files` gives what is committed under dockerfiles/ and compose/ for the plan of instance
main in its flat shape; any other plan's files differ only in names, addresses and limits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from twinstack.plan import Plan, Replica
from twinstack.runtimes import Role
from twinstack.software.configs import configuration_of, render
from twinstack.software.roots import STATE
from twinstack.software.secrets import secret_path

COMPOSE_FILE = "compose/docker-compose.yml"
INSTANCE_LABEL = "twinstack.instance"
KIND_LABEL = "twinstack.kind"
DIGEST_LABEL = "twinstack.digest"
REPLICA_LABEL = "twinstack.replica"
SERVICE_LABEL = "twinstack.service"
SHAPE_LABEL = "twinstack.shape"
BASE_PREFIX = "twinstack-base-"
_MIB = 1024**2
_DESCRIPTIONS = {
    "nginx": "nginx, the edge load balancer",
    "asgi": "the gateway of the platform's API",
    "wsgi": "a Flask application of the platform",
    "redis": "Redis, cache and session store",
    "postgres": "PostgreSQL, catalogue and orders",
}
#: Below it, binding needs a capability or this sysctl; containers here have no capability.
_FIRST_FREE_PORT = 1024


def project_name(instance: str) -> str:
    """Name the compose project of an instance."""
    return f"twinstack-{instance}"


def container_name(plan: Plan, replica: Replica) -> str:
    """Name a replica's container."""
    return f"{project_name(plan.instance)}-{replica.name}"


def image_name(plan: Plan, service: str) -> str:
    """Name a service's image; its replicas share it."""
    return f"{image_prefix(plan.instance)}{service}:latest"


def image_prefix(instance: str) -> str:
    """Give what the names of an instance's images start with."""
    return f"twinstack-{instance}/"


def volume_name(plan: Plan, replica: Replica) -> str:
    """Name the volume that outlives a replica's container."""
    return f"{project_name(plan.instance)}-{replica.name}-data"


def state_directory(instance: str) -> Path:
    """Give the directory of what the Docker world of an instance keeps on the host."""
    return STATE / instance / "docker"


def secrets_directory(instance: str) -> Path:
    """Give the directory of the Docker world's own secrets."""
    return state_directory(instance) / "secrets"


def base_name(role: Role, tag: str = "host") -> str:
    """Name our own base image of a role; the tag `host` follows the host's suite."""
    return f"{BASE_PREFIX}{role}:{tag}"


def dockerfile_path(service: str) -> str:
    """Give a service's Dockerfile, relative to the repository."""
    return f"dockerfiles/{service}/Dockerfile"


def render_files(plan: Plan) -> dict[str, str]:
    """Give every file of the Docker world: path relative to the repository → text."""
    files = {COMPOSE_FILE: compose_text(plan)}
    for replica in plan.replicas:
        if replica.number == 1:
            files[dockerfile_path(replica.service)] = dockerfile_text(plan, replica)
            for path, text in configuration_of(plan, replica).items():
                name = PurePosixPath(path).name
                files[f"dockerfiles/{replica.service}/{name}"] = text
    return dict(sorted(files.items()))


def dockerfile_text(plan: Plan, replica: Replica) -> str:
    """Render the Dockerfile of a service."""
    launch, health = replica.launch, replica.health
    return render(
        f"dockerfiles/{replica.role}.j2",
        title=replica.service,
        description=_DESCRIPTIONS[replica.runtime],
        base=dict(plan.bases).get(replica.role, base_name(replica.role)),
        directory=f"dockerfiles/{replica.service}",
        user=replica.user,
        data=launch.data,
        data_parent=str(PurePosixPath(launch.data).parent) if launch.data else None,
        environment=launch.environment,
        port=replica.port,
        stop_signal=launch.stop_signal,
        interval=_duration(health.interval_s),
        timeout=_duration(health.timeout_s),
        retries=health.retries,
        probe=_words(health.command),
        command=_words(launch.command),
    )


def compose_text(plan: Plan, context: str | None = "..") -> str:
    """Render the compose file; `context` is the build context as seen from it, None for none."""
    return render(
        "docker-compose.yml.j2",
        project=project_name(plan.instance),
        shape=plan.shape,
        mtu=plan.mtu,
        labels=json.dumps({INSTANCE_LABEL: plan.instance}),
        hosts=[(name, str(address)) for name, address in plan.hosts("docker").items()],
        services=[_service(plan, replica, context) for replica in plan.replicas],
        networks=[
            {"key": one.name, "name": one.docker_network, "bridge": one.docker_bridge,
             "subnet": one.docker_subnet, "gateway": one.docker_gateway}
            for one in plan.segments
        ],
        volumes=[
            {"key": f"{one.name}-data", "name": volume_name(plan, one)}
            for one in plan.replicas
            if one.launch.data
        ],
        secrets=[
            {"key": one.key, "file": secret_path(secrets_directory(plan.instance), *one.where)}
            for one in sorted(set(_secrets(plan.replicas)), key=lambda one: one.key)
        ],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Secret:
    service: str
    name: str

    @property
    def key(self) -> str:
        return f"{self.service}-{self.name}".replace(".", "-").replace("_", "-")

    @property
    def where(self) -> tuple[str, str]:
        return self.service, self.name


def _secrets(replicas: Sequence[Replica]) -> Iterator[_Secret]:
    for replica in replicas:
        for name in replica.secrets:
            yield _Secret(replica.service, name)


def _service(plan: Plan, replica: Replica, context: str | None) -> dict[str, object]:
    inherited = dict(replica.launch.environment)
    labels = {
        INSTANCE_LABEL: plan.instance,
        SERVICE_LABEL: replica.service,
        REPLICA_LABEL: replica.name,
        SHAPE_LABEL: plan.shape,
    }
    limits = replica.limits
    low = replica.port < _FIRST_FREE_PORT
    return {
        "name": replica.name,
        "container": container_name(plan, replica),
        "image": image_name(plan, replica.service),
        "build": {"context": context, "dockerfile": dockerfile_path(replica.service)}
        if context
        else None,
        "labels": json.dumps(labels),
        "environment": [
            (name, value)
            for name, value in replica.environment_in("docker").items()
            if inherited.get(name) != value
        ],
        "networks": [{"name": one.segment, "address": one.address} for one in replica.attachments],
        "ports": json.dumps(
            [
                f"{door.bind}:{door.port}:{door.replica_port}"
                for door in plan.host_ports
                if door.world == "docker" and door.replica == replica.name
            ]
        ).replace("[]", ""),
        "sysctls": '{net.ipv4.ip_unprivileged_port_start: "0"}' if low else None,
        "limits": {
            "cpus": limits.cpus,
            "memory": _size(limits.memory_bytes),
            "pids": limits.pids,
        }
        if limits
        else None,
        "volumes": json.dumps([f"{replica.name}-data:{replica.launch.data}"])
        if replica.launch.data
        else None,
        "secrets": [{"source": one.key, "target": one.name} for one in _secrets([replica])],
        "depends_on": list(_stores(plan, replica)),
    }


def _stores(plan: Plan, replica: Replica) -> Iterator[str]:
    """List the stores that a replica talks to: only they are worth waiting for.

    The services find each other by the registry whenever they come.
    """
    reached = {flow.destination for flow in plan.flows if flow.source == replica.service}
    for other in plan.replicas:
        if other.service in reached and other.runtime in {"redis", "postgres"}:
            yield other.name


def _words(command: Sequence[str]) -> str:
    """Give a command in the JSON form of CMD and HEALTHCHECK, which no shell reads."""
    return json.dumps(list(command), ensure_ascii=False)


def _size(count: int) -> str:
    return f"{count}b" if count % _MIB else f"{count // _MIB}m"


def _duration(seconds: float) -> str:
    return f"{seconds:g}s"

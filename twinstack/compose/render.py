"""A Plan as Dockerfiles and a compose file: pure text, nothing is decided in the templates.

`render_files` gives what is committed under dockerfiles/ and compose/ for the plan of instance
main in its flat shape; any other plan's files differ only in names, addresses and limits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import yaml

from twinstack.model.plan import Plan, Replica
from twinstack.model.runtimes import Role
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
REPLACED = "replaced-"
_MIB = 1024**2
_DESCRIPTIONS = {
    "nginx": "nginx, the edge load balancer",
    "asgi": "the gateway of the platform's API",
    "wsgi": "a Flask application of the platform",
    "redis": "Redis, cache and session store",
    "postgres": "PostgreSQL, catalogue and orders",
}
#: As long, a service that has never been healthy is starting, not ill: PostgreSQL's first start
#: takes more than three probes on a busy machine, and compose gives a store up that is ill.
_START_PERIOD = "30s"
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


def replaced_name(name: str, image: str) -> str:
    """Name the image (by id) that is losing its name to a newer build, to remove it by."""
    return f"{name.rpartition(':')[0]}:{REPLACED}{image.partition(':')[2][:12]}"


def image_digest(context: str, base: str) -> str:
    """Digest what an image is built from: its context's digest and its base's id."""
    return hashlib.sha256(f"{context} {base}".encode()).hexdigest()[:16]


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
        start=_START_PERIOD,
        probe=_words(health.command),
        command=_words(launch.command),
    )


def compose_text(plan: Plan, context: str | None = "..") -> str:
    """Render the compose file; `context` is the build context as seen from it, None for none."""
    return _compose_text(plan, context, definition_digests(plan))


@cache
def definition_digests(plan: Plan) -> Mapping[str, str]:
    """Digest all that the compose file says of a replica: its container is replaced if it differs.

    The build context is left out, so the committed file and that of `docker.up` say the same.
    """
    nothing = {replica.name: "" for replica in plan.replicas}
    written = yaml.safe_load(_compose_text(plan, None, nothing))["services"]
    return {
        name: hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
        for name, said in written.items()
    }


def _compose_text(plan: Plan, context: str | None, digests: Mapping[str, str]) -> str:
    return render(
        "docker-compose.yml.j2",
        project=project_name(plan.instance),
        shape=plan.shape,
        mtu=plan.mtu,
        labels=json.dumps({INSTANCE_LABEL: plan.instance}),
        hosts=_hosts(plan, None),
        services=[
            _service(plan, replica, context, digests[replica.name]) for replica in plan.replicas
        ],
        networks=[
            {
                "key": one.name,
                "name": one.docker_network,
                "bridge": one.docker_bridge,
                "subnet": one.docker_subnet,
                "gateway": one.docker_gateway,
                "internal": one.internal,
            }
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
    )


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


def _hosts(plan: Plan, replica: Replica | None) -> list[tuple[str, str]] | None:
    """Give the names that are looked up in /etc/hosts; None where those of all containers do.

    They are the services' own. A further replica is found by its address, in the registry, and
    its name is answered by Docker; were it in every container's file, one replica more would
    replace them all. nginx alone asks by name for each replica that it leads to.
    """
    nginx = replica is not None and replica.runtime == "nginx"
    reached = {
        flow.destination
        for flow in plan.flows
        if nginx and replica and flow.source == replica.service
    }
    named = [one for one in plan.replicas if one.number == 1 or one.service in reached]
    if replica and all(one.number == 1 for one in named):
        return None
    return [(one.name, str(one.docker_address)) for one in named]


def _service(plan: Plan, replica: Replica, context: str | None, digest: str) -> dict[str, object]:
    inherited = dict(replica.launch.environment)
    labels = {
        INSTANCE_LABEL: plan.instance,
        SERVICE_LABEL: replica.service,
        REPLICA_LABEL: replica.name,
        SHAPE_LABEL: plan.shape,
        DIGEST_LABEL: digest,
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
        "hosts": _hosts(plan, replica),
        "environment": [
            (name, value)
            for name, value in replica.environment_in("docker").items()
            if inherited.get(name) != value
        ],
        "networks": [{"name": one.segment, "address": one.address} for one in replica.attachments],
        "ports": json.dumps(
            [
                f"{door.bind}:{door.port}:{door.replica_port}"
                for door in plan.published_ports
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

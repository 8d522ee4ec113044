"""A Plan as Dockerfiles and a compose file: pure text; the templates decide nothing.

`render_files` gives what is committed under dockerfiles/ and compose/ for the plan of instance
main in its flat shape; the files of any other plan differ only in names, addresses and limits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath

import yaml
from pydantic import TypeAdapter

from twinstack.model.plan import Plan, Replica
from twinstack.model.releases import CHECKOUT, Releases
from twinstack.model.runtimes import Role
from twinstack.model.scale import Scale
from twinstack.software.configs import configuration_of, render
from twinstack.software.secrets import secret_path
from twinstack.state.paths import LIB

COMPOSE_FILE = "compose/docker-compose.yml"
INSTANCE_LABEL = "twinstack.instance"
KIND_LABEL = "twinstack.kind"
DIGEST_LABEL = "twinstack.digest"
REPLICA_LABEL = "twinstack.replica"
SERVICE_LABEL = "twinstack.service"
SHAPE_LABEL = "twinstack.shape"
BASE_PREFIX = "twinstack-base-"
REPLACED = "replaced-"
VERSION = "version-"
_MIB = 1024**2
#: Compose leaves a key that begins with "x-" to its users.
_SCALE_KEY = "x-twinstack-scale:"
_RELEASES_KEY = "x-twinstack-releases:"
_SCALE: TypeAdapter[Scale] = TypeAdapter(Scale)
_RELEASES: TypeAdapter[Releases] = TypeAdapter(Releases)
_DESCRIPTIONS = {
    "nginx": "nginx, the edge load balancer",
    "asgi": "the gateway of the platform's API",
    "wsgi": "a Flask application of the platform",
    "redis": "Redis, cache and session store",
    "postgres": "PostgreSQL, catalogue and orders",
}
#: Until then a service that was never healthy is starting, not unhealthy: PostgreSQL's first start
#: takes more than three probes on a busy machine, and Compose gives up on an unhealthy store.
_START_PERIOD = "30s"


def project_name(instance: str) -> str:
    """Name the compose project of an instance."""
    return f"twinstack-{instance}"


def container_name(plan: Plan, replica: Replica) -> str:
    """Name a replica's container."""
    return f"{project_name(plan.instance)}-{replica.name}"


def image_name(plan: Plan, service: str, version: str = CHECKOUT) -> str:
    """Name a service's image; the replicas of a version share it."""
    tag = f"{VERSION}{version}" if version else "latest"
    return f"{image_prefix(plan.instance)}{service}:{tag}"


def image_prefix(instance: str) -> str:
    """Give what the names of an instance's images start with."""
    return f"twinstack-{instance}/"


def replaced_name(name: str, image: str) -> str:
    """Name an image that loses its name to a newer build, to remove it by."""
    return f"{name.rpartition(':')[0]}:{REPLACED}{image.partition(':')[2][:12]}"


def image_digest(context: str, base: str) -> str:
    """Digest what an image is built from: its context's digest and its base's id."""
    return hashlib.sha256(f"{context} {base}".encode()).hexdigest()[:16]


def volume_name(plan: Plan, replica: Replica) -> str:
    """Name the volume that outlives a replica's container."""
    return f"{project_name(plan.instance)}-{replica.name}-data"


def state_directory(instance: str) -> Path:
    """Give the directory of an instance's Docker world on the host."""
    return LIB / instance / "docker"


def versions_directory(instance: str) -> Path:
    """Give the directory of the versions of services that are not this checkout's."""
    return state_directory(instance) / "versions"


def secrets_directory(instance: str) -> Path:
    """Give the directory of the Docker world's secrets."""
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
        interval=f"{health.interval_s:g}s",
        timeout=f"{health.timeout_s:g}s",
        retries=health.retries,
        start=_START_PERIOD,
        probe=_words(health.command),
        command=_words(launch.command),
    )


def compose_text(plan: Plan, context: str | None = "..") -> str:
    """Render the compose file; `context` is the build context as seen from it, None for none."""
    return _compose_text(plan, context, definition_digests(plan))


@dataclass(frozen=True, slots=True)
class Recorded:
    """In what the plan that a compose file was rendered from differs from the declared one."""

    scale: Scale = ()
    releases: Releases = ()


def _record(plan: Plan) -> Iterator[str]:
    if plan.scale:
        yield f"{_SCALE_KEY} {json.dumps(plan.scale)}"
    if plan.releases:
        yield f"{_RELEASES_KEY} {_RELEASES.dump_json(plan.releases).decode()}"


def recorded_in(text: str) -> Recorded:
    """Read a compose file's record. Raises: ValueError."""
    record = Recorded()
    for line in text.splitlines():
        if line.startswith(_SCALE_KEY):
            scale = _SCALE.validate_json(line.removeprefix(_SCALE_KEY))
            record = replace(record, scale=scale)
        elif line.startswith(_RELEASES_KEY):
            releases = _RELEASES.validate_json(line.removeprefix(_RELEASES_KEY))
            record = replace(record, releases=releases)
    return record


@cache
def definition_digests(plan: Plan) -> Mapping[str, str]:
    """Digest each replica's part of the compose file: its container is replaced if it differs.

    The build context is left out, so that the committed file and that of `docker.up` agree.
    """
    empty = {replica.name: "" for replica in plan.replicas}
    definitions = yaml.safe_load(_compose_text(plan, None, empty))["services"]
    return {
        name: hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:16]
        for name, definition in definitions.items()
    }


def _compose_text(plan: Plan, context: str | None, digests: Mapping[str, str]) -> str:
    directory = secrets_directory(plan.instance)
    secrets = {
        secret_key(replica, name): secret_path(directory, replica.service, name)
        for replica in plan.replicas
        for name in replica.secrets
    }
    return render(
        "docker-compose.yml.j2",
        project=project_name(plan.instance),
        shape=plan.shape,
        recorded=_record(plan),
        mtu=plan.mtu,
        context=context,
        labels=json.dumps({INSTANCE_LABEL: plan.instance}),
        hosts=_hosts(plan, None),
        services=[_service(plan, replica, digests[replica.name]) for replica in plan.replicas],
        segments=plan.segments,
        volumes={
            f"{replica.name}-data": volume_name(plan, replica)
            for replica in plan.replicas
            if replica.launch.data
        },
        secrets=dict(sorted(secrets.items())),
    )


def _service(plan: Plan, replica: Replica, digest: str) -> dict[str, object]:
    labels = {
        INSTANCE_LABEL: plan.instance,
        SERVICE_LABEL: replica.service,
        REPLICA_LABEL: replica.name,
        SHAPE_LABEL: plan.shape,
        DIGEST_LABEL: digest,
    }
    inherited = dict(replica.launch.environment)
    environment = replica.environment_in("docker")
    # The services find each other by the registry whenever they come: only stores are waited for.
    reached = {flow.destination for flow in plan.flows if flow.source == replica.service}
    return {
        "replica": replica,
        "container": container_name(plan, replica),
        "image": image_name(plan, replica.service, replica.version),
        "dockerfile": dockerfile_path(replica.service),
        "labels": json.dumps(labels),
        "hosts": _hosts(plan, replica),
        "environment": {
            name: value for name, value in environment.items() if inherited.get(name) != value
        },
        "ports": published_ports(plan, replica),
        "memory": _size(replica.limits.memory_bytes) if replica.limits else None,
        "secrets": {secret_key(replica, name): name for name in replica.secrets},
        "stores": [
            other.name for other in plan.replicas if other.service in reached and other.is_store
        ],
    }


def _hosts(plan: Plan, replica: Replica | None) -> dict[str, str] | None:
    """Give a container's names in /etc/hosts; None where those of all containers are enough.

    They are the services' own. Of a further replica, the registry gives the address and Docker
    answers the name; in every container's file, one more replica would replace them all. Only
    nginx looks up each replica of its upstreams by name.
    """
    upstreams: set[str] = set()
    if replica and replica.runtime == "nginx":
        upstreams = {flow.destination for flow in plan.flows if flow.source == replica.service}
    named = [each for each in plan.replicas if each.number == 1 or each.service in upstreams]
    if replica and all(each.number == 1 for each in named):
        return None
    return {each.name: str(each.docker_address) for each in named}


def published_ports(plan: Plan, replica: Replica) -> list[str]:
    """Give a replica's published ports as the document has them: ADDRESS:PORT:CONTAINER_PORT."""
    return [
        f"{published.bind}:{published.port}:{published.replica_port}"
        for published in plan.published_ports
        if published.world == "docker" and published.replica == replica.name
    ]


def secret_key(replica: Replica, name: str) -> str:
    """Name a service's own copy of a secret in the document."""
    return f"{replica.service}-{name}".replace(".", "-").replace("_", "-")


def _words(command: Sequence[str]) -> str:
    """Give a command in the JSON form of CMD and HEALTHCHECK, which no shell reads."""
    return json.dumps(list(command), ensure_ascii=False)


def _size(count: int) -> str:
    return f"{count}b" if count % _MIB else f"{count // _MIB}m"

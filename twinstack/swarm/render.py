"""A Plan as a Swarm stack file: pure text, nothing is decided in the template."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import yaml

from twinstack.compose.render import (
    DIGEST_LABEL,
    INSTANCE_LABEL,
    SERVICE_LABEL,
    SHAPE_LABEL,
    image_name,
)
from twinstack.model.plan import Plan, Replica
from twinstack.model.runtimes import NGINX_CONF
from twinstack.software.configs import nginx_conf, render
from twinstack.software.secrets import secret_path
from twinstack.swarm.exposure import VXLAN_BYTES, Exposure, doors
from twinstack.swarm.nodes import data_directory, secrets_directory, stack_name

IMAGE_LABEL = "twinstack.image"
#: Docker's own name server, in every container.
_RESOLVER = "127.0.0.11"
_FIRST_FREE_PORT = 1024
_STORES = frozenset({"redis", "postgres"})


def _none() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True)
class Contents:
    """What the file names by what it holds: service → image id, secret → digest of its value.

    Empty where it is only looked at: then nothing is named so.
    """

    images: Mapping[str, str] = field(default_factory=_none)
    secrets: Mapping[str, str] = field(default_factory=_none)


NOTHING = Contents()


def services(plan: Plan) -> tuple[Replica, ...]:
    """Give the first replica of each service: it stands for the Swarm service."""
    return tuple(one for one in plan.replicas if one.number == 1)


def is_store(replica: Replica) -> bool:
    """Say whether a service keeps data: it stays where they are, on the manager."""
    return replica.runtime in _STORES


def is_everywhere(plan: Plan, replica: Replica, how: Exposure) -> bool:
    """Say whether a service runs once on each node."""
    published = {door.replica for door in doors(plan)}
    return how.everywhere and replica.name in published and not is_store(replica)


def config_file(instance: str) -> Path:
    """Give the file of nginx's configuration, which Swarm hands to its tasks."""
    return data_directory(instance) / "nginx.conf"


def config_text(plan: Plan) -> str | None:
    """Render nginx's configuration for tasks that come and go; None without nginx."""
    for replica in services(plan):
        if replica.runtime == "nginx":
            return nginx_conf(plan, replica, _RESOLVER)
    return None


def digest(text: str) -> str:
    """Digest a text, short enough for a name."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def stack_text(plan: Plan, how: Exposure, contents: Contents = NOTHING) -> str:
    """Render the stack file; each service bears the digest of all that the file says of it."""
    plain = _stack_text(plan, how, contents, "")
    return _stack_text(plan, how, contents, digest(plain))


def object_names(text: str, instance: str) -> frozenset[str]:
    """Name the networks, configs and secrets of a rendered file, as the cluster has them."""
    written = yaml.safe_load(text)
    named = [
        one["name"] for kind in ("configs", "secrets") for one in (written[kind] or {}).values()
    ]
    return frozenset([*named, *(f"{stack_name(instance)}_{key}" for key in written["networks"])])


def deployed_digest(text: str) -> str:
    """Give the digest that the services of a rendered file bear."""
    return text.partition(f'"{DIGEST_LABEL}": "')[2].partition('"')[0]


def _stack_text(plan: Plan, how: Exposure, contents: Contents, mark: str) -> str:
    config = config_text(plan)
    return render(
        "docker-stack.yml.j2",
        shape=plan.shape,
        labels=json.dumps({INSTANCE_LABEL: plan.instance}),
        mtu=plan.mtu - VXLAN_BYTES,
        services=[_service(plan, replica, how, contents, mark) for replica in services(plan)],
        networks=[
            {"key": one.name, "subnet": one.docker_subnet, "internal": one.internal}
            for one in plan.segments
        ],
        volumes=[{"key": f"{one.name}-data"} for one in services(plan) if one.launch.data],
        configs=[
            {
                "key": "nginx",
                "file": config_file(plan.instance),
                "name": f"{stack_name(plan.instance)}_nginx-{digest(config)}",
            }
        ]
        if config
        else [],
        secrets=[
            {
                "key": _key(name),
                "name": _secret_name(plan, name, contents),
                "file": secret_path(secrets_directory(plan.instance), service, name),
            }
            for name, service in secret_owners(plan).items()
        ],
    )


def secret_owners(plan: Plan) -> dict[str, str]:
    """Map each secret to a service that has a copy: in Swarm there is one object for all."""
    return {name: one.service for one in reversed(services(plan)) for name in one.secrets}


def _key(secret: str) -> str:
    return secret.replace(".", "-").replace("_", "-")


def _secret_name(plan: Plan, name: str, contents: Contents) -> str:
    tail = contents.secrets.get(name)
    return f"{stack_name(plan.instance)}_{_key(name)}" + (f"-{tail}" if tail else "")


def _service(
    plan: Plan, replica: Replica, how: Exposure, contents: Contents, mark: str
) -> dict[str, object]:
    limits = replica.limits
    everywhere = is_everywhere(plan, replica, how)
    published = [door for door in doors(plan) if door.replica == replica.name]
    labels = {
        INSTANCE_LABEL: plan.instance,
        SERVICE_LABEL: replica.service,
        SHAPE_LABEL: plan.shape,
    }
    name = image_name(plan, replica.service)
    moves = not (is_store(replica) or (published and how.ports == "host"))
    return {
        "name": replica.service,
        # A node's task bears the node's name; that of a service with replicas its slot's number.
        "replica": f"{replica.service}-"
        + ("{{.Node.Hostname}}" if everywhere else "{{.Task.Slot}}"),
        # By its id: of a name, Swarm would first ask a registry, whose image of that name would
        # be somebody else's. And a new build is a change of the task, which Swarm rolls out.
        "image": contents.images.get(replica.service, name),
        "labels": json.dumps(labels | {IMAGE_LABEL: name}),
        "service_labels": json.dumps(labels | {DIGEST_LABEL: mark}),
        "environment": list(_environment(plan, replica, everywhere)),
        "networks": [one.segment for one in replica.attachments],
        "ports": [
            {"target": door.replica_port, "published": door.port, "mode": how.ports}
            for door in published
        ],
        "sysctls": '{net.ipv4.ip_unprivileged_port_start: "0"}'
        if replica.port < _FIRST_FREE_PORT
        else None,
        "volume": {"source": f"{replica.name}-data", "target": replica.launch.data}
        if replica.launch.data
        else None,
        "configs": [{"source": "nginx", "target": NGINX_CONF}]
        if replica.runtime == "nginx"
        else [],
        "secrets": [{"source": _key(name), "target": name} for name in replica.secrets],
        "user": replica.user,
        "mode": "global" if everywhere else "replicated",
        "replicas": len(plan.replicas_of(replica.service)),
        "endpoint": how.endpoint,
        "constraints": '["node.role == manager"]' if is_store(replica) else None,
        "limits": {"cpus": limits.cpus, "memory": f"{limits.memory_bytes}b", "pids": limits.pids}
        if limits
        else None,
        # Two tasks cannot hold one port of a host, nor one store's data.
        "order": "start-first" if moves else "stop-first",
    }


def _environment(plan: Plan, replica: Replica, everywhere: bool) -> Iterator[tuple[str, str]]:
    inherited = dict(replica.launch.environment)
    for name, value in replica.environment:
        if inherited.get(name) != value and name != "TWINSTACK_REPLICA":
            yield name, value
    slot = "{{.Node.Hostname}}" if everywhere else "{{.Task.Slot}}"
    yield "TWINSTACK_REPLICA", f"{replica.service}-{slot}"
    # Swarm gives the address: an instance finds it out by its route to its own tier.
    home = plan.segment(replica.segment)
    yield "TWINSTACK_TOWARDS", str(home.docker_gateway)

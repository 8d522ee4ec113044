"""A Plan as a Swarm stack file; pure, and the template decides nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from twinstack.compose.render import (
    DIGEST_LABEL,
    INSTANCE_LABEL,
    SERVICE_LABEL,
    SHAPE_LABEL,
    image_name,
)
from twinstack.model.names import shortened
from twinstack.model.plan import Plan, Replica
from twinstack.model.runtimes import NGINX_CONF
from twinstack.model.vxlan import VXLAN_BYTES
from twinstack.software.configs import nginx_conf, render
from twinstack.software.secrets import secret_id, secret_path
from twinstack.swarm.exposure import Exposure, published_ports
from twinstack.swarm.nodes import SwarmPaths, stack_name

IMAGE_LABEL = "twinstack.image"
#: Of a secret's name, in characters.
_NAME_LIMIT = 64
#: Docker's name server, the same in every container.
_RESOLVER = "127.0.0.11"


@dataclass(frozen=True, slots=True)
class Contents:
    """What objects are named by in the file; where it is only shown, nothing is."""

    images: Mapping[str, str] = field(default_factory=dict)  # service → image ID
    secrets: Mapping[str, str] = field(default_factory=dict)  # secret → digest of its value


NO_CONTENTS = Contents()


def services(plan: Plan) -> tuple[Replica, ...]:
    """Give the first replica of each service: it stands for the Swarm service."""
    return tuple(replica for replica in plan.replicas if replica.number == 1)


def is_global(plan: Plan, replica: Replica, how: Exposure) -> bool:
    """Say whether a service runs one task on each node."""
    published = {port.replica for port in published_ports(plan)}
    return how.everywhere and replica.name in published and not replica.is_store


def rendered_files(plan: Plan, how: Exposure, contents: Contents) -> dict[Path, str]:
    """Render the files that `docker stack deploy` reads."""
    paths, config = SwarmPaths(plan.instance), config_text(plan)
    files = {paths.stack_file: stack_text(plan, how, contents)}
    return files | ({paths.nginx_conf: config} if config else {})


def config_text(plan: Plan) -> str | None:
    """Render nginx's configuration for tasks that come and go; None without nginx."""
    for replica in services(plan):
        if replica.runtime == "nginx":
            return nginx_conf(plan, replica, _RESOLVER)
    return None


def digest(content: bytes) -> str:
    """Digest a content, short enough for a name."""
    return hashlib.sha256(content).hexdigest()[:12]


def stack_text(plan: Plan, how: Exposure, contents: Contents = NO_CONTENTS) -> str:
    """Render the stack file; each service is labelled with the digest of the whole file."""
    unlabelled = _stack_text(plan, how, contents, "")
    return _stack_text(plan, how, contents, digest(unlabelled.encode()))


def object_names(text: str, instance: str) -> frozenset[str]:
    """Name the networks, configs and secrets of a rendered file as the cluster has them."""
    written = yaml.safe_load(text)
    named = [
        entry["name"] for kind in ("configs", "secrets") for entry in (written[kind] or {}).values()
    ]
    return frozenset([*named, *(f"{stack_name(instance)}_{key}" for key in written["networks"])])


def deployed_digest(text: str) -> str:
    """Give the digest that the services of a rendered file are labelled with."""
    return text.partition(f'"{DIGEST_LABEL}": "')[2].partition('"')[0]


def _stack_text(plan: Plan, how: Exposure, contents: Contents, label: str) -> str:
    config, paths, prefix = config_text(plan), SwarmPaths(plan.instance), stack_name(plan.instance)
    digests = contents.secrets
    name = f"{prefix}_nginx-{digest(config.encode())}" if config else ""
    return render(
        "docker-stack.yml.j2",
        shape=plan.shape,
        labels=json.dumps({INSTANCE_LABEL: plan.instance}),
        mtu=plan.mtu - VXLAN_BYTES,
        services=[_service(plan, replica, how, contents, label) for replica in services(plan)],
        how=how,
        segments=plan.segments,
        config={"file": paths.nginx_conf, "target": NGINX_CONF, "name": name} if config else None,
        secrets=[
            {
                "key": _key(secret),
                "name": _secret_name(f"{prefix}_{_key(secret)}", digests.get(secret)),
                "file": file,
            }
            for secret, file in secret_files(plan, paths.secrets).items()
        ],
    )


def secret_files(plan: Plan, directory: Path) -> dict[str, Path]:
    """Map each secret to a service's copy of it: Swarm has one object for all that share it."""
    return {
        secret_id(replica.service, name): secret_path(directory, replica.service, name)
        for replica in reversed(services(plan))
        for name in replica.secrets
    }


def _secret_name(name: str, content: str | None) -> str:
    return f"{shortened(name, _NAME_LIMIT - len(content) - 1)}-{content}" if content else name


def _key(secret: str) -> str:
    return secret.replace(".", "-").replace("_", "-")


def _service(
    plan: Plan, replica: Replica, how: Exposure, contents: Contents, label: str
) -> dict[str, object]:
    image, everywhere = image_name(plan, replica.service), is_global(plan, replica, how)
    # A global service's task is named by its node, a replicated one's by its slot.
    task = replica.service + ("-{{.Node.Hostname}}" if everywhere else "-{{.Task.Slot}}")
    published = [port for port in published_ports(plan) if port.replica == replica.name]
    labels = {
        INSTANCE_LABEL: plan.instance,
        SERVICE_LABEL: replica.service,
        SHAPE_LABEL: plan.shape,
    }
    moves = not (replica.is_store or replica.launch.data or (published and how.ports == "host"))
    return {
        "replica": replica,
        "task": task,
        # By ID: Swarm looks a name up in a registry first, whose image of that name would not be
        # ours. A new build also changes the ID, and so the task: Swarm rolls it out.
        "image": contents.images.get(replica.service, image),
        "labels": json.dumps(labels | {IMAGE_LABEL: image}),
        "service_labels": json.dumps(labels | {DIGEST_LABEL: label}),
        "environment": list(_environment(plan, replica, task)),
        "ports": published,
        "secrets": {_key(secret_id(replica.service, name)): name for name in replica.secrets},
        "mode": "global" if everywhere else "replicated",
        "replicas": len(plan.replicas_of(replica.service)),
        # Two tasks cannot share one port of a host, nor one store's data.
        "order": "start-first" if moves else "stop-first",
    }


def _environment(plan: Plan, replica: Replica, task: str) -> Iterator[tuple[str, str]]:
    inherited = dict(replica.launch.environment)
    for name, value in replica.environment:
        if inherited.get(name) != value and name != "TWINSTACK_REPLICA":
            yield name, value
    yield "TWINSTACK_REPLICA", task
    # Swarm chooses addresses: an instance finds its own by the route to its tier. The registry must
    # see that address: a service's virtual IP is left by the node's.
    yield "TWINSTACK_TOWARDS", str(plan.segment(replica.segment).docker_gateway)
    yield "TWINSTACK_NETWORKS", dict(replica.networks)["docker"]
    if url := inherited.get("REGISTRY_URL"):
        yield "REGISTRY_URL", url.replace("//", "//tasks.")

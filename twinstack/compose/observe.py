"""Look at what is there: the facts that `up`, `down` and `clean` start from; changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import docker
from docker.utils import version_lt

from twinstack.compose import apply_policy
from twinstack.compose.engine_paths import EnginePaths
from twinstack.compose.facts import (
    Attached,
    ContainerFacts,
    Facts,
    Holding,
    ImageFacts,
    NetworkFacts,
)
from twinstack.compose.images import (
    contexts,
    find_base,
    find_image,
    our_images,
    outdated_bases,
    replaced_tags,
)
from twinstack.compose.render import (
    DIGEST_LABEL,
    INSTANCE_LABEL,
    REPLICA_LABEL,
    image_name,
    secrets_directory,
    state_directory,
)
from twinstack.model.plan import Plan
from twinstack.software.roots import Recipe, find_roots
from twinstack.software.secrets import stale_secrets
from twinstack.software.wheels import find_wheelhouse
from twinstack.state.paths import InstancePaths

#: The first API that takes all networks of a container with its creation.
_JOINS_AT_ONCE = "1.44"
_BRIDGE = "com.docker.network.bridge.name"
_MTU = "com.docker.network.driver.mtu"


def compose_file(instance: str) -> Path:
    """Give the file that `up` renders and compose reads."""
    return state_directory(instance) / "docker-compose.yml"


def gate_socket(instance: str) -> Path:
    """Give where compose asks the engine while somebody watches; gone when nobody does."""
    return state_directory(instance) / "gate.sock"


def observe_facts(
    client: docker.DockerClient | None,
    plan: Plan,
    repository: Path,
    recipe: Recipe,
    prefix: tuple[str, ...] = (),
) -> Facts:
    """Look at all that an `up` of the plan may change; `recipe` is the root trees', `prefix`
    leads to the engine's host.

    Without a client, what only an engine can tell is empty. Raises: Missing without root.
    """
    file = compose_file(plan.instance)
    house = find_wheelhouse(repository)
    local: dict[str, Any] = {
        "trees": find_roots(recipe) is not None,
        "wheelhouse": house is not None,
        "contexts": _digests(plan, repository, house) if house else {},
        "stale": stale_secrets(secrets_directory(plan.instance), plan),
        "file": file.read_text(encoding="utf-8") if file.is_file() else None,
    }
    if client is None:
        return Facts(**local)
    declared = dict(plan.bases)
    bases: dict[str, str] = {}
    outdated: list[str] = []
    for role in {replica.role for replica in plan.replicas}:
        found = find_base(client, role, declared.get(role), recipe.name)
        if found:
            bases[role] = str(found.id)
        else:
            outdated += outdated_bases(client, role, recipe)
    images: dict[str, ImageFacts] = {}
    for service in {replica.service for replica in plan.replicas}:
        image = find_image(client, image_name(plan, service))
        if image:
            images[service] = image
    mine = {"label": f"{INSTANCE_LABEL}={plan.instance}"}
    return Facts(
        engine=True,
        joins_later=version_lt(client.version()["ApiVersion"], _JOINS_AT_ONCE),
        bases=bases,
        outdated=tuple(outdated),
        images=images,
        replaced=replaced_tags(client, plan.instance),
        containers=tuple(_container(one) for one in project_containers(client, plan.instance)),
        networks=tuple(_network(one) for one in client.api.networks(filters=mine)),
        volumes=frozenset(
            str(one["Name"]) for one in client.api.volumes(filters=mine)["Volumes"] or []
        ),
        rules=apply_policy.read_filter(prefix),
        filtered=apply_policy.read_filtered(prefix),
        **local,
    )


def observe_holding(
    client: docker.DockerClient | None, instance: str, engine: EnginePaths, *, data: bool
) -> Holding:
    """Look for all that bears an instance's label; `data`: volumes, images, secrets and engine too.

    No plan, no file is read.
    """
    state, run = state_directory(instance), InstancePaths(instance).run
    rendered = [compose_file(instance), state / "docker-cli", gate_socket(instance)]
    found: dict[str, Any] = {
        "rendered": tuple(str(path) for path in rendered if path.exists()) if not data else (),
        "kept": (str(state),) if data and state.exists() else (),
        "run": (str(run),) if run.exists() else (),
    }
    if data and (engine.record.exists() or engine.data_root.exists()):
        found["engine"] = str(engine.data_root)
    found["policy"] = apply_policy.is_enforced(instance, engine.prefix)
    if client is None:
        return Holding(**found)
    mine = {"label": f"{INSTANCE_LABEL}={instance}"}
    found["containers"] = tuple(str(one.name) for one in project_containers(client, instance))
    # The engine tells networks in another order each time; what is planned has one.
    networks = sorted(str(one["Name"]) for one in client.api.networks(filters=mine))
    found["networks"] = tuple(networks)
    if data:
        volumes = client.api.volumes(filters=mine)["Volumes"] or []
        found["volumes"] = tuple(str(one["Name"]) for one in volumes)
        found["images"], found["stages"], found["bases"] = our_images(client, instance)
    return Holding(**found)


def project_containers(client: docker.DockerClient, instance: str) -> list[Any]:
    """List an instance's containers, by its label."""
    found: list[Any] = client.containers.list(
        all=True, filters={"label": f"{INSTANCE_LABEL}={instance}"}, ignore_removed=True
    )
    return [one for one in found if REPLICA_LABEL in one.labels]


def _digests(plan: Plan, repository: Path, house: Path) -> dict[str, str]:
    return {name: one.digest for name, one in contexts(plan, repository, house).items()}


def _container(one: Any) -> ContainerFacts:
    host, networks = one.attrs["HostConfig"], one.attrs["NetworkSettings"]["Networks"]
    return ContainerFacts(
        name=str(one.name),
        replica=one.labels[REPLICA_LABEL],
        digest=one.labels.get(DIGEST_LABEL),
        image=str(one.attrs["Image"]),
        state=str(one.attrs["State"]["Status"]),
        memory=int(host["Memory"]),
        cpus=int(host["NanoCpus"]),
        pids=max(int(host["PidsLimit"] or 0), 0),  # -1 is none too
        attached={
            name: Attached(
                str(said["NetworkID"] or ""),
                str((said.get("IPAMConfig") or {}).get("IPv4Address") or said["IPAddress"]),
            )
            for name, said in networks.items()
        },
    )


def _network(one: dict[str, Any]) -> NetworkFacts:
    configured = (one["IPAM"]["Config"] or [{}])[0]
    options = one.get("Options") or {}
    return NetworkFacts(
        identity=str(one["Id"]),
        name=str(one["Name"]),
        subnet=str(configured.get("Subnet", "")),
        gateway=str(configured.get("Gateway", "")),
        bridge=str(options.get(_BRIDGE, "")),
        mtu=str(options.get(_MTU, "")),
        internal=bool(one.get("Internal")),
    )

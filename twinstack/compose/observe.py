"""Read what is there: replicas' states, the facts that `up` starts from, what `down` removes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import docker
from docker.utils import version_lt

from twinstack.compose import images, policy, render
from twinstack.compose.engine_paths import EnginePaths
from twinstack.compose.facts import (
    ContainerFacts,
    DockerFacts,
    ImageFacts,
    NetworkFacts,
    OwnedDockerObjects,
)
from twinstack.compose.image_steps import declared_base, image_names
from twinstack.errors import CannotTell, Missing
from twinstack.faults import record
from twinstack.linux import child, iptables
from twinstack.linux.links import links_here
from twinstack.linux.process import run
from twinstack.model import names
from twinstack.model.plan import HOST, Plan, Replica
from twinstack.software.roots import Recipe, find_roots
from twinstack.software.secrets import stale_secrets
from twinstack.software.wheels import find_wheelhouse
from twinstack.state.paths import InstancePaths
from twinstack.world import ServiceState, State

#: The first API that takes all networks of a container with its creation.
_CONNECTS_AT_ONCE = "1.44"
_HEALTH: dict[str, State] = {"healthy": "healthy", "unhealthy": "unhealthy"}


def compose_file(instance: str) -> Path:
    """Give the file that `up` renders and compose reads."""
    return render.state_directory(instance) / "docker-compose.yml"


def recorded(instance: str) -> render.Recorded:
    """Give the record of the last `up`; after `down` an empty one. Raises: CannotTell."""
    file = compose_file(instance)
    if not file.is_file():
        return render.Recorded()
    try:
        return render.recorded_in(file.read_text(encoding="utf-8"))
    except ValueError as error:
        remedy = 'remove it and run "invoke docker.up"'
        raise CannotTell(str(file), "cannot be understood", str(error), remedy) from error


def containers(client: docker.DockerClient, instance: str) -> tuple[ContainerFacts, ...]:
    """List an instance's containers, by its label."""
    listed: list[Any] = client.containers.list(
        all=True, filters={"label": _label(instance)}, ignore_removed=True
    )
    return tuple(
        ContainerFacts.model_validate(container.attrs)
        for container in listed
        if render.REPLICA_LABEL in container.labels
    )


def states(
    client: docker.DockerClient | None, plan: Plan, replicas: tuple[Replica, ...] | None = None
) -> tuple[ServiceState, ...]:
    """Give the state of every replica of the plan, or of some; without an engine all are absent."""
    present = containers(client, plan.instance) if client else ()
    by_name = {container.name: container for container in present}
    return tuple(
        state_of(plan, replica, by_name.get(render.container_name(plan, replica)))
        for replica in (plan.replicas if replicas is None else replicas)
    )


def namespaces(states: Iterable[ServiceState], engine: EnginePaths) -> dict[str, Path | None]:
    """Map the engine's host (None: ours) and each replica that runs to its network namespace."""
    running = {state.name: Path(f"/proc/{state.pid}/ns/net") for state in states if state.pid}
    return {HOST: engine.network_namespace, **running}


def state_of(plan: Plan, replica: Replica, container: ContainerFacts | None) -> ServiceState:
    """Give a replica's state from its container."""
    state: State = "absent"
    detail = ""
    if container is None:
        pass
    elif container.state == "created":  # compose holds it back until its stores are healthy
        detail = "not started yet"
    elif not container.runs:
        state = "stopped"
        detail = f"exited with {container.exit_code}"
        detail += f": {container.error}" if container.error else ""
    else:
        state = _HEALTH.get(container.health, "starting")
        if state == "unhealthy":
            detail = container.probe_output.strip() or "its health check fails"
    return ServiceState(
        name=replica.name,
        service=replica.service,
        where=render.container_name(plan, replica),
        address=str(replica.docker_address),
        port=replica.port,
        state=state,
        detail=detail,
        pid=(container.pid or None) if container else None,
        restarts=container.restarts if container else 0,
        version=replica.version,
    )


def observe_facts(
    client: docker.DockerClient | None,
    plan: Plan,
    repository: Path,
    recipe: Recipe,
    engine: EnginePaths,
) -> DockerFacts:
    """Read all that an `up` of the plan may change.

    `recipe` is the root trees'. Raises: Missing without root; TwinstackError for a released
    version that is gone.
    """
    file = compose_file(plan.instance)
    house = find_wheelhouse(repository)
    digests = {}
    if house:
        builds = images.contexts(plan, repository, house)
        digests = {image: context.digest for image, context in builds.items()}
    local: dict[str, Any] = {
        "trees": find_roots(recipe) is not None,
        "wheelhouse": house is not None,
        "contexts": digests,
        "versions": kept_versions(plan.instance),
        "stale": stale_secrets(render.secrets_directory(plan.instance), plan),
        "file": file.read_text(encoding="utf-8") if file.is_file() else None,
    }
    if client is None:
        return DockerFacts(**local)
    bases: dict[str, str] = {}
    outdated: list[str] = []
    for role in {replica.role for replica in plan.replicas}:
        base = images.find_base(client, role, declared_base(plan, role), recipe.name)
        if base:
            bases[role] = str(base.id)
        else:
            outdated += images.outdated_bases(client, role, recipe)
    built: dict[str, ImageFacts] = {}
    for name in image_names(plan):
        if image := images.find_image(client, name):
            built[name] = image
    return DockerFacts(
        engine=True,
        connects_later=version_lt(client.version()["ApiVersion"], _CONNECTS_AT_ONCE),
        bases=bases,
        outdated=tuple(outdated),
        images=built,
        replaced=images.replaced_tags(client, plan.instance),
        containers=containers(client, plan.instance),
        networks=_networks(client, plan.instance),
        volumes=frozenset(_volumes(client, plan.instance)),
        rules=filter_rules(engine.prefix),
        filtered=filtered_bridges(engine),
        **local,
    )


def observe_owned(
    client: docker.DockerClient | None, instance: str, engine: EnginePaths, *, data: bool
) -> OwnedDockerObjects:
    """Find what carries an instance's label; `data`: volumes, images, secrets and engine too."""
    state, run_directory = render.state_directory(instance), InstancePaths(instance).run
    files = (compose_file(instance), state / "docker-cli", render.versions_directory(instance))
    recorded = engine.record.exists() or engine.data_root.exists()
    owned: dict[str, tuple[str, ...]] = {
        "faults": record.left(instance, "docker"),
        "policy": ("rules",) if is_enforced(instance, engine.prefix) else (),
        "engine": (str(engine.data_root),) if data and recorded else (),
        "secrets": (str(state),) if data and state.exists() else (),
        "file": () if data else tuple(str(path) for path in files if path.exists()),
        "run files": (str(run_directory),) if run_directory.exists() else (),
    }
    if client:
        present, networks = containers(client, instance), _networks(client, instance)
        owned["container"] = tuple(container.name for container in present)
        owned["network"] = tuple(network.name for network in networks)
        if data:
            owned |= {"volume": _volumes(client, instance), **images.our_images(client, instance)}
    return owned


def kept_versions(instance: str) -> tuple[str, ...]:
    """List the versions of services in their directory, whole or not."""
    directory = render.versions_directory(instance)
    return tuple(sorted(each.name for each in directory.iterdir())) if directory.is_dir() else ()


def filter_rules(prefix: tuple[str, ...]) -> tuple[str, ...]:
    """Read the filter table of the engine's host. Raises: Missing, StepFailed."""
    text = run([*prefix, "iptables-save", "-t", "filter"]).stdout
    return iptables.parse_save(text).get("filter", ())


def filtered_bridges(engine: EnginePaths) -> frozenset[str]:
    """List the bridges that hand frames to iptables, whatever the host's sysctl says."""
    links = child.inside("the engine's host", engine.network_namespace, links_here)
    return frozenset(name for name, link in links.items() if link.filtered)


def is_enforced(instance: str, prefix: tuple[str, ...] = ()) -> bool:
    """Say whether this world's policy is there; a host without iptables has none."""
    fault = names.fault_chain(instance, "", "docker")
    try:
        found = policy.ownership(instance).chains(filter_rules(prefix))
        return any(not chain.startswith(fault) for chain in found)
    except Missing:
        return False


def _label(instance: str) -> str:
    return f"{render.INSTANCE_LABEL}={instance}"


def _networks(client: docker.DockerClient, instance: str) -> tuple[NetworkFacts, ...]:
    """List an instance's networks by name: the engine's own order changes."""
    listed = client.api.networks(filters={"label": _label(instance)})
    networks = (NetworkFacts.model_validate(network) for network in listed)
    return tuple(sorted(networks, key=lambda network: network.name))


def _volumes(client: docker.DockerClient, instance: str) -> tuple[str, ...]:
    """List an instance's volumes by name: the engine gives them in any order."""
    listed = client.api.volumes(filters={"label": _label(instance)})["Volumes"] or []
    return tuple(sorted(str(volume["Name"]) for volume in listed))

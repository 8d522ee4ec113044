"""Take the steps of `swarm.up`: phase after phase, each decided from what is there by then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network
from pathlib import Path

import docker

from twinstack.compose.engine import EnginePaths, connect
from twinstack.compose.failures import RAW, as_ours
from twinstack.compose.render import image_name
from twinstack.compose.world import DockerWorld
from twinstack.errors import Missing, StepFailed
from twinstack.linux import files
from twinstack.linux.process import run
from twinstack.model.plan import Plan
from twinstack.reconcile import Progress, Watch, watched
from twinstack.software.secrets import ensure_secrets, secret_path
from twinstack.swarm import cluster, engines, hosts, image_transfer, teardown
from twinstack.swarm.client import client_words
from twinstack.swarm.exposure import Exposure, address_pool, kept_to_the_host
from twinstack.swarm.nodes import Node, secrets_directory, stack_file, stack_name
from twinstack.swarm.observe import clients, digest, door_rule, in_host, is_closed, observe
from twinstack.swarm.render import (
    Contents,
    config_file,
    config_text,
    deployed_digest,
    is_store,
    object_names,
    secret_owners,
    services,
    stack_text,
)
from twinstack.swarm.steps import PHASES, Step, Wanted, first_phase, placed, up_steps

DEPLOY_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Applying:
    """One `up` of a plan on these hosts, under its lock; `source` is where images are built."""

    plan: Plan
    underlay: IPv4Network
    nodes: tuple[Node, ...]
    exposure: Exposure
    source: EnginePaths
    repository: Path
    watch: Watch

    def build(self, progress: Progress) -> None:
        """Build the images that are not there, in the engine that keeps this machine's."""
        with self._taking("images: build"):
            DockerWorld(self.plan, self.source, self.repository).build(progress=progress)
            ensure_secrets(secrets_directory(self.plan.instance), self.plan)

    def steps(self) -> tuple[Step, ...]:
        """Decide what is to be done, now."""
        identities, files = self._identities(), self._files()
        stays = {image_name(self.plan, one.service): is_store(one) for one in services(self.plan)}
        images = {one.name: placed(one, stays) for one in self.nodes}
        ports = kept_to_the_host(self.plan)
        wanted = Wanted(
            nodes=self.nodes,
            images=images,
            services=frozenset(one.service for one in services(self.plan)),
            digest=deployed_digest(files[stack_file(self.plan.instance)]),
            closed=bool(ports),
        )
        of_nodes = {
            name: {image: identities.get(image, "") for image in found}
            for name, found in images.items()
        }
        return up_steps(wanted, observe(self.plan.instance, self.nodes, of_nodes, ports, files))

    def converge(self, progress: Progress) -> None:
        """Take phase after phase until nothing is left. Raises: StepFailed, and as the steps."""
        taken: set[str] = set()
        for _ in range(2 * len(PHASES)):
            steps = self.steps()
            if not steps:
                return
            phase = first_phase(steps)
            again = next((step for step in phase if step.title in taken), None)
            if again:
                raise StepFailed(again.title, "does not help", again.reason, "invoke swarm.status")
            for step in phase:
                progress(f"{step.title}: {step.reason}")
            with ThreadPoolExecutor(len(phase)) as pool:
                list(pool.map(self._take, phase))
            taken |= {step.title for step in phase}
        raise StepFailed("swarm.up", "does not come to an end", steps[0].title)

    def tidy(self, progress: Progress) -> None:
        """Remove what an earlier file named and this one does not, once no task needs it."""
        instance = self.plan.instance
        wanted = object_names(self._files()[stack_file(instance)], instance)
        with client_of(self.nodes[0]) as client:
            for kind, name, identity in cluster.unused(client, instance, wanted):
                progress(f"{kind} {name}: removing: no service has it any more")
                with self._taking(f"{kind} {name}: remove"):
                    cluster.remove_unused(client, kind, identity)

    def _take(self, step: Step) -> None:
        with self._taking(step.title):
            self._acts[step.kind, step.act](step.name)

    @contextmanager
    def _taking(self, title: str) -> Iterator[None]:
        """Tell whoever watches, and give a failing call of the step's own its name."""
        try:
            with watched(self.watch, title):
                yield
        except RAW as error:
            raise as_ours(error, title) from error
        except OSError as error:
            raise StepFailed(title, "fails", str(error)) from error

    @cached_property
    def _acts(self) -> dict[tuple[str, str], Callable[[str], None]]:
        return {
            ("node", "remove"): self._remove,
            ("hosts", "make"): lambda _: hosts.make(self.plan.instance, self.nodes, self.underlay),
            ("engine", "start"): self._start,
            ("cluster", "leave"): lambda _: self._leave(self.nodes[0].name),
            ("cluster", "init"): lambda _: self._init(),
            ("node", "leave"): self._leave,
            ("node", "join"): self._join,
            ("member", "forget"): self._forget,
            ("images", "load"): self._load,
            ("doors", "close"): self._close,
            ("files", "write"): lambda _: self._write(),
            ("stack", "deploy"): lambda _: self._deploy(),
        }

    def _node(self, name: str) -> Node:
        return next(one for one in self.nodes if one.name == name)

    def _init(self) -> None:
        manager = self.nodes[0]
        with client_of(manager) as client:
            cluster.init(client, manager, address_pool(self.plan, self.underlay))

    def _leave(self, name: str) -> None:
        with client_of(self._node(name)) as client:
            cluster.leave(client)

    def _join(self, name: str) -> None:
        with client_of(self.nodes[0]) as manager, client_of(self._node(name)) as client:
            cluster.join(manager, client, self._node(name))

    def _start(self, name: str) -> None:
        engines.start(self._node(name).place)
        with client_of(self._node(name)) as client:
            cluster.settle(client)

    def _forget(self, identity: str) -> None:
        with client_of(self.nodes[0]) as manager:
            cluster.forget(manager, identity)

    def _remove(self, name: str) -> None:
        """Remove a node; its manager is told at once, so that tasks go elsewhere, if it hears."""
        teardown.remove_node(self.plan.instance, name)
        with clients(self.nodes[:1]) as by_name:
            manager = by_name[self.nodes[0].name]
            for member in cluster.members(manager) if manager else ():
                if manager and member.name == name:
                    cluster.forget(manager, member.identity)

    def _load(self, name: str) -> None:
        node, identities = self._node(name), self._identities()
        stays = {image_name(self.plan, one.service): is_store(one) for one in services(self.plan)}
        wanted = {one: identities[one] for one in placed(node, stays)}
        with client_of(node) as client:
            lacks = image_transfer.lacking(client, wanted)
        image_transfer.carry(self.plan.instance, self.source.url, node, lacks)

    def _close(self, name: str) -> None:
        node, instance = self._node(name), self.plan.instance
        for port in kept_to_the_host(self.plan):
            if not is_closed(node, instance, port):
                run(
                    [
                        *in_host(node),
                        "iptables",
                        "-w",
                        "-t",
                        "raw",
                        "-I",
                        *door_rule(instance, port),
                    ]
                )

    def _write(self) -> None:
        for path, text in self._files().items():
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, text)

    def _deploy(self) -> None:
        url, instance = self.nodes[0].place.url, self.plan.instance
        run(
            client_words(
                instance,
                url,
                "stack",
                "deploy",
                "--resolve-image",
                "never",
                "--prune",
                "--compose-file",
                str(stack_file(instance)),
                stack_name(instance),
            ),
            timeout_s=DEPLOY_TIMEOUT_S,
        )

    def _files(self) -> dict[Path, str]:
        """Render what Swarm reads. Its names hold what images and secrets hold by now."""
        instance, config = self.plan.instance, config_text(self.plan)
        directory, identities = secrets_directory(instance), self._identities()
        contents = Contents(
            images={
                one.service: identities[name]
                for one in services(self.plan)
                if (name := image_name(self.plan, one.service)) in identities
            },
            secrets={
                name: digest(secret_path(directory, service, name))
                for name, service in secret_owners(self.plan).items()
            },
        )
        files = {stack_file(instance): stack_text(self.plan, self.exposure, contents)}
        return files | ({config_file(instance): config} if config else {})

    def _identities(self) -> dict[str, str]:
        """Map the images that the source has to their ids."""
        names = {image_name(self.plan, one.service) for one in services(self.plan)}
        client = connect(self.source)
        if client is None:
            return {}
        found = client.api.images()
        client.close()
        return {
            name: str(one["Id"]) for one in found for name in one["RepoTags"] or () if name in names
        }


@contextmanager
def client_of(node: Node) -> Iterator[docker.DockerClient]:
    """Give a client of a node's engine. Raises: Missing when it does not answer."""
    client = engines.answering(node.place)
    if client is None:
        raise Missing(f"engine {node.name}", "does not answer", "", "run: invoke swarm.up")
    try:
        yield client
    finally:
        client.close()

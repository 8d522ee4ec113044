"""Look at what there is of a cluster: the facts that `up` and `status` start from; no change."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import docker

from twinstack.linux.process import run
from twinstack.model import names
from twinstack.swarm import cluster, engines, hosts, image_transfer
from twinstack.swarm.facts import Facts, MemberFacts, NodeFacts
from twinstack.swarm.nodes import Node, data_directory, run_directory

_IPVS = Path("/proc/net/ip_vs")


def has_ipvs() -> bool:
    """Say whether the kernel can balance by IPVS: it has it, or a module of it to load."""
    if _IPVS.exists():
        return True
    asked = ["modprobe", "--dry-run", "--quiet", "ip_vs"]
    return bool(shutil.which("modprobe")) and run(asked, check=False).returncode == 0


@contextmanager
def clients(nodes: Sequence[Node]) -> Iterator[dict[str, docker.DockerClient | None]]:
    """Give a client of each node's engine, None of one that does not answer."""
    found = {node.name: engines.answering(node.place) for node in nodes}
    try:
        yield found
    finally:
        for client in found.values():
            if client:
                client.close()


def observe(
    instance: str,
    nodes: Sequence[Node],
    images: Mapping[str, Mapping[str, str]],
    ports: Sequence[int],
    files: Mapping[Path, str],
) -> Facts:
    """Look at hosts, engines, members and services.

    `images` are those that each node is to have (name → id), `ports` the doors that are a host's
    own, `files` those that are to be written.
    """
    there = {node.name for node in nodes if hosts.is_ready(node, instance)}
    with clients(nodes) as by_name:
        manager = by_name[nodes[0].name]
        known = cluster.members(manager) if manager else ()
        deployed = cluster.services(manager, instance) if known and manager else {}
        return Facts(
            nodes={
                node.name: _node(
                    node, node.name in there, by_name[node.name], known, images.get(node.name, {})
                )
                for node in nodes
            },
            members=known,
            deployed={name: cluster.digest_of(one) for name, one in deployed.items()},
            tasks=cluster.tasks(manager, known, deployed) if deployed and manager else (),
            surplus=surplus(instance, {node.name for node in nodes}),
            closed=frozenset(
                node.name
                for node in nodes
                if node.name in there and all(is_closed(node, instance, port) for port in ports)
            ),
            files=all(_text(path) == text for path, text in files.items()),
        )


def surplus(instance: str, wanted: set[str]) -> tuple[str, ...]:
    """Name the nodes that have data, state or a host, and are not wanted."""
    return tuple(name for name in known_nodes(instance) if name not in wanted)


def known_nodes(instance: str) -> tuple[str, ...]:
    """Name the nodes of which anything is there, by the names of their directories and hosts."""
    found = {
        path.name
        for directory in (run_directory(instance), data_directory(instance))
        for path in directory.glob("host-*")
        if path.is_dir()
    }
    return tuple(sorted(found | set(hosts.names_present(instance))))


def door_rule(instance: str, port: int) -> tuple[str, ...]:
    """Give the rule by which a published port is the host's alone, as Compose's 127.0.0.1: is."""
    return (
        "PREROUTING",
        "!",
        "-i",
        "lo",
        "-p",
        "tcp",
        "--dport",
        str(port),
        "-m",
        "addrtype",
        "--dst-type",
        "LOCAL",
        "-m",
        "comment",
        "--comment",
        names.mark(instance),
        "-j",
        "DROP",
    )


def is_closed(node: Node, instance: str, port: int) -> bool:
    """Say whether a host has that rule."""
    words = [*in_host(node), "iptables", "-w", "-t", "raw", "-C", *door_rule(instance, port)]
    return run(words, check=False).returncode == 0


def in_host(node: Node) -> tuple[str, ...]:
    """Give the words that run a command in a host's network."""
    return ("nsenter", f"--net={node.namespace}")


def digest(path: Path) -> str:
    """Digest a file's content, short enough for a name; of nothing where there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    except FileNotFoundError:
        return ""


def _node(
    node: Node,
    host: bool,
    client: docker.DockerClient | None,
    known: tuple[MemberFacts, ...],
    images: Mapping[str, str],
) -> NodeFacts:
    if client is None:
        return NodeFacts(host=host)
    member, identity = cluster.membership(client, known, manager=node.manager)
    return NodeFacts(
        host=host,
        engine=True,
        member=member,
        lacks=image_transfer.lacking(client, images),
        identity=identity,
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None

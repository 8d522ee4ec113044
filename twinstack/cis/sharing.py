"""Check what a container shares: mounts, ports, namespaces, networks. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from twinstack.cis.compose_document import (
    ComposeMount,
    ComposeService,
    Subject,
    mapping,
    on,
    words,
)

_SENSITIVE = (
    "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/opt", "/proc", "/root",
    "/run", "/sbin", "/srv", "/sys", "/usr", "/var/lib/containerd", "/var/lib/docker",
    "/var/lib/kubelet", "/var/log", "/var/run", "/var/spool/cron",
)  # fmt: skip
_SOCKETS = ("docker.sock", "containerd.sock", "podman.sock", "crio.sock", "buildkitd.sock")
#: A directory that holds the engine's socket gives it away too.
_SOCKET_DIRECTORIES = {"/", "/run", "/var", "/var/run", "/run/containerd", "/run/podman"}
_FIRST_FREE_PORT = 1024
#: Keys that share a namespace with the host.
_NAMESPACES = {"pid": "5.16", "ipc": "5.17", "uts": "5.21", "userns_mode": "5.31"}


def check_service(service: ComposeService, subject: Subject) -> Iterator[tuple[str, str]]:
    """Give (rule, what is written there) of one service."""
    yield from _mounts(service)
    yield from _ports(service, subject)
    yield from _networks(service)
    for key, rule in _NAMESPACES.items():
        if service.get(key) == "host":
            yield rule, f"{key}: host"
    for key in ("network_mode", "pid", "ipc"):
        value = str(service.get(key) or "")
        if value.startswith(("service:", "container:")) or value == "shareable":
            yield "T9", f"{key}: {value}"
    for word in service.words("volumes_from"):
        yield "T9", f"volumes_from: {word}"


def _mounts(service: ComposeService) -> Iterator[tuple[str, str]]:
    if on(service.get("use_api_socket")):
        yield "5.32", "use_api_socket: true"
    for mount in service.mounts:
        if mount.kind == "bind" and _is_sensitive(mount.source):
            yield "5.6", f"mounts {mount.source}"
        if mount.kind == "bind" and _gives_socket(mount):
            yield "5.32", f"mounts {mount.source}"
        if mount.propagation in {"shared", "rshared"}:
            yield "5.20", f"{mount.source or mount.target} is {mount.propagation}"
        if mount.kind not in {"bind", "volume", "tmpfs"}:
            yield "T1", f"no rule looks at a mount of type {mount.kind}"
        if mount.kind == "volume":
            yield from _volume(mount, service)


def _is_sensitive(source: str) -> bool:
    """Tell whether a path is, lies in, or leads to a sensitive directory, or is unknown.

    A relative one that climbs, or one with a variable or ~ in it, may lead anywhere.
    """
    if not source.startswith("/"):
        return source.startswith(("..", "~")) or "$" in source
    path = f"{source.rstrip('/')}/"
    return "$" in source or any(
        path.startswith(f"{directory}/") or directory.startswith(path) for directory in _SENSITIVE
    )


def _gives_socket(mount: ComposeMount) -> bool:
    return mount.source in _SOCKET_DIRECTORIES or any(
        path.endswith(_SOCKETS) for path in (mount.source, mount.target)
    )


def _volume(mount: ComposeMount, service: ComposeService) -> Iterator[tuple[str, str]]:
    # An anonymous one is writable whatever read_only says, and is left behind.
    volumes = service.section("volumes")
    volume = mapping(volumes.get(mount.source))
    kind = mapping(volume.get("driver_opts")).get("type", "none")
    if mount.source not in volumes:
        yield "T12", f"volumes: {mount.source or mount.target} is not declared"
    elif volume.get("external"):
        yield "T12", f"volume {mount.source} is external"
    elif volume.get("driver", "local") != "local" or kind != "none":
        shown = "" if kind == "none" else kind
        yield "T12", f"volume {mount.source} is of {volume.get('driver')} {shown}"


def _ports(service: ComposeService, subject: Subject) -> Iterator[tuple[str, str]]:
    published = subject.allowed.published.get(service.name, frozenset())
    for port in service.ports:
        if any(int(word) < _FIRST_FREE_PORT for word in re.findall(r"\d+", port.host)):
            yield "5.8", f"ports: {port}"
        suffix = "" if port.protocol == "tcp" else f"/{port.protocol}"
        if f"{port.address or '0.0.0.0'}:{port.host}:{port.target}{suffix}" not in published:
            yield "5.9", f"ports: {port} is not declared"
        if _is_any(port.address):
            yield "5.14", f"{port} is bound to every interface"
    own = str(subject.allowed.ports.get(service.name, ""))
    for word in service.words("expose"):
        if word.partition("/")[0] != own:
            yield "5.9", f"expose: {word}"
    for instruction in subject.shipped(service):
        for word in instruction.text.split() if instruction.keyword == "EXPOSE" else ():
            if word.removesuffix("/tcp") != own:
                yield "5.9", f"its image exposes {word}"


def _is_any(address: str) -> bool:
    try:
        return not address or ip_address(address).is_unspecified
    except ValueError:  # a variable or a name: it may be any interface
        return True


def _networks(service: ComposeService) -> Iterator[tuple[str, str]]:
    mode, networks = service.get("network_mode"), service.get("networks")
    if mode == "host":
        yield "5.10", "network_mode: host"
    if mode in {"bridge", "default"}:
        yield "5.30", f"network_mode: {mode}"
    if networks is None and mode is None:
        networks = ["default"]  # Compose's own
    for name in list(networks) if isinstance(networks, dict) else words(networks):
        network = mapping(service.section("networks").get(name))
        external = network.get("external")
        real = mapping(external).get("name") or network.get("name") or name
        options = mapping(network.get("driver_opts"))
        if (external and real == "host") or network.get("driver") == "host":
            yield "5.10", f"network {name} is the host's"
        docker0 = options.get("com.docker.network.bridge.name") == "docker0"
        if (external and real == "bridge") or docker0:
            yield "5.30", f"network {name} is Docker's default bridge"

"""The rules of section 5 on what a container shares: mounts, ports, namespaces, networks. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from ipaddress import ip_address

from twinstack.cis.dockerfile import Build, calls_of
from twinstack.cis.document import Mount, Published, Service, mapping, on, words
from twinstack.cis.finding import Found, Subject, both, of_build, of_service

_SENSITIVE = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/lib/kubelet",
    "/var/log",
    "/var/run",
    "/var/spool/cron",
    "/opt",
    "/srv",
)
_SOCKETS = ("docker.sock", "containerd.sock", "podman.sock", "crio.sock", "buildkitd.sock")
#: A directory that holds the engine's socket gives it away too.
_SOCKET_DIRECTORIES = {"/", "/run", "/var", "/var/run", "/run/containerd", "/run/podman"}
_LOGINS = ("sshd", "dropbear", "telnetd", "in.telnetd", "rlogind")
_LOGIN_PORTS = {"22", "23"}
_FIRST_FREE_PORT = 1024


@of_service("5.6", "No sensitive directory of the host's", "use a volume of its own")
def _directories(service: Service, subject: Subject) -> Iterator[str]:
    for mount in service.mounts:
        if mount.of_host and _sensitive(mount.source):
            yield f"mounts {mount.source}"


@of_service("5.7", "No sshd", 'leave it out: "invoke docker.exec" leads into a container')
def _sshd_of_service(service: Service, subject: Subject) -> Iterator[str]:
    for key in ("command", "entrypoint"):
        for word in " ".join(service.words(key)).split():
            if posixpath.basename(word) in _LOGINS:
                yield f"{key}: {word}"
    for port in service.ports:
        if port.target in _LOGIN_PORTS:
            yield f"ports: {port}"


@of_build("5.7", "", 'leave it out: "invoke docker.exec" leads into a container')
def _sshd_of_image(build: Build, subject: Subject) -> Found:
    for one in build.of("RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK"):
        for command in one.commands():
            for program, _ in calls_of(command, (*_LOGINS, "openssh-server")):
                yield one.where, f"{one.keyword} … {program}"
    for one in build.instructions:
        if one.keyword == "EXPOSE" and _LOGIN_PORTS & set(re.findall(r"\d+", one.text)):
            yield one.where, f"EXPOSE {one.text}"


@of_service("5.8", "No privileged port of the host's", "publish at 1024 or above")
def _privileged_ports(service: Service, subject: Subject) -> Iterator[str]:
    for port in service.ports:
        if any(int(word) < _FIRST_FREE_PORT for word in re.findall(r"\d+", port.host)):
            yield f"ports: {port}"


@of_service("5.9", "Only declared ports are open", "declare it in topology.yml: host_ports, port")
def _open_ports(service: Service, subject: Subject) -> Iterator[str]:
    declared = subject.declared.doors.get(service.name, frozenset())
    for port in service.ports:
        if _door(port) not in declared:
            yield f"ports: {port} is not declared"
    own = str(subject.declared.ports.get(service.name, ""))
    for word in service.words("expose"):
        if word.partition("/")[0] != own:
            yield f"expose: {word}"
    for one in subject.shipped(service):
        for word in one.text.split() if one.keyword == "EXPOSE" else ():
            if word.removesuffix("/tcp") != own:
                yield f"its image exposes {word}"


@of_service("5.10", "The host's network is not shared", "leave network_mode out, and name networks")
def _host_network(service: Service, subject: Subject) -> Iterator[str]:
    if service.get("network_mode") == "host":
        yield "network_mode: host"
    for name in _external(service, subject, "host"):
        yield f"network {name} is the host's"


@of_service("5.14", "Ports are bound to one interface", "bind to an address: host_ports[].bind")
def _interface(service: Service, subject: Subject) -> Iterator[str]:
    for port in service.ports:
        if _is_any(port.address):
            yield f"{port} is bound to every interface"


@of_service("5.16", "The host's processes are not shared", "leave pid out")
def _pid(service: Service, subject: Subject) -> Iterator[str]:
    if service.get("pid") == "host":
        yield "pid: host"


@of_service("5.17", "The host's IPC is not shared", "leave ipc out")
def _ipc(service: Service, subject: Subject) -> Iterator[str]:
    if service.get("ipc") == "host":
        yield "ipc: host"


@of_service("5.20", "No mount is propagated back", "leave the propagation private")
def _propagation(service: Service, subject: Subject) -> Iterator[str]:
    for mount in service.mounts:
        if mount.propagation in {"shared", "rshared"}:
            yield f"{mount.source or mount.target} is {mount.propagation}"


@of_service("5.21", "The host's UTS namespace is not shared", "leave uts out")
def _uts(service: Service, subject: Subject) -> Iterator[str]:
    if service.get("uts") == "host":
        yield "uts: host"


@of_service("5.30", "Docker's default bridge is not used", "name a network of the document's own")
def _default_bridge(service: Service, subject: Subject) -> Iterator[str]:
    if service.get("network_mode") in {"bridge", "default"}:
        yield f"network_mode: {service.get('network_mode')}"
    for name in _external(service, subject, "bridge"):
        yield f"network {name} is Docker's default bridge"
    for name in service.get("networks") or ():
        options = mapping(mapping(subject.document.networks.get(name)).get("driver_opts"))
        if options.get("com.docker.network.bridge.name") == "docker0":
            yield f"network {name} is Docker's default bridge"


@of_service("5.31", "The host's user namespace is not asked for", "leave userns_mode out")
def _user_namespace(service: Service, subject: Subject) -> Iterator[str]:
    if service.get("userns_mode") == "host":
        yield "userns_mode: host"


@of_service("5.32", "The engine's socket is not mounted", "leave it out: it is root on the host")
def _socket(service: Service, subject: Subject) -> Iterator[str]:
    if on(service.get("use_api_socket")):
        yield "use_api_socket: true"
    for mount in service.mounts:
        if mount.of_host and _gives_socket(mount):
            yield f"mounts {mount.source}"


def _sensitive(source: str) -> bool:
    """Tell whether a path is, lies in, or leads to a sensitive directory, or cannot be told.

    A relative one that climbs, or one with a variable or ~ in it, may lead anywhere.
    """
    if not source.startswith("/"):
        return source.startswith(("..", "~")) or "$" in source
    return "$" in source or any(
        source == one or source.startswith(f"{one}/") or one.startswith(f"{source.rstrip('/')}/")
        for one in _SENSITIVE
    )


def _gives_socket(mount: Mount) -> bool:
    if mount.source in _SOCKET_DIRECTORIES:
        return True
    return any(place.endswith(_SOCKETS) for place in (mount.source, mount.target))


def _is_any(address: str) -> bool:
    if not address:
        return True
    try:
        return ip_address(address).is_unspecified
    except ValueError:  # a variable, a name: which interface that is cannot be told
        return True


def _door(port: Published) -> str:
    return f"{port.address or '0.0.0.0'}:{port.host}:{port.target}" + (
        "" if port.protocol == "tcp" else f"/{port.protocol}"
    )


def _external(service: Service, subject: Subject, wanted: str) -> Iterator[str]:
    """Find networks of a service that are an existing one of the engine's own."""
    networks = service.get("networks")
    if networks is None and service.get("network_mode") is None:
        networks = ["default"]  # Compose's own
    names = list(networks) if isinstance(networks, dict) else words(networks)
    for name in names:
        network = mapping(subject.document.networks.get(name))
        external = network.get("external")
        real = mapping(external).get("name") or network.get("name") or name
        if (external and real == wanted) or network.get("driver") == wanted == "host":
            yield str(name)


RULES = (
    _directories,
    both(_sshd_of_service, _sshd_of_image),
    _privileged_ports,
    _open_ports,
    _host_network,
    _interface,
    _pid,
    _ipc,
    _propagation,
    _uts,
    _default_bridge,
    _user_namespace,
    _socket,
)

"""A container made by hand from its part of the compose file, and what it is in the kernel; pure.

`SETTINGS` says for each key of the compose file which option of `docker create` asks for the same,
and where the engine shows it. Source: docker-create(1), the engine's GET /containers/ID/json.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from twinstack.compose import render
from twinstack.course.own_step import OwnStep, Printed
from twinstack.model.plan import Plan

Json = Mapping[str, Any]
_UNITS = {"b": 1, "m": 1024**2}


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the compose file."""

    key: str
    options: Callable[[Any], Iterable[str]]  # its value → words of `docker create`
    shown: Callable[[Json], Any]  # what the engine shows of it, in the form of `expected`
    expected: Callable[[Any], Any]  # its value as the engine shows it

    def difference(self, value: Any, container: Json) -> str | None:
        """Say how a container differs in this."""
        shown, expected = self.shown(container), self.expected(value)
        if isinstance(expected, frozenset):
            missing = ", ".join(sorted(map(str, expected - shown)))
            return f"{self.key} lacks {missing}" if missing else None
        none = shown in (None, 0, "", False)
        return None if shown == expected else f"{self.key} is {'none' if none else shown}"


def _each(option: str) -> Callable[[Iterable[Any]], Iterator[str]]:
    """Give an option once for each value."""

    def words(values: Iterable[Any]) -> Iterator[str]:
        for value in values:
            yield from (option, str(value))

    return words


def _once(option: str) -> Callable[[Any], tuple[str, ...]]:
    return lambda value: (option, str(value))


def _host(key: str) -> Callable[[Json], Any]:
    return lambda container: container["HostConfig"].get(key)


def _host_set(key: str) -> Callable[[Json], frozenset[str]]:
    return lambda container: frozenset(container["HostConfig"].get(key) or ())


def _bytes(size: str) -> int:
    return int(size[:-1]) * _UNITS[size[-1]]


def _pairs(separator: str) -> Callable[[Mapping[str, Any]], frozenset[str]]:
    return lambda values: frozenset(f"{key}{separator}{value}" for key, value in values.items())


def _tmpfs(container: Json) -> frozenset[str]:
    mounts = container["HostConfig"].get("Tmpfs") or {}
    return frozenset(f"{path}:{options}" for path, options in mounts.items())


def _binds(container: Json) -> frozenset[str]:
    return frozenset(
        f"{mount['Source']}:{mount['Destination']}{'' if mount['RW'] else ':ro'}"
        for mount in container["Mounts"]
    )


def _addresses(container: Json) -> frozenset[str]:
    networks = container["NetworkSettings"]["Networks"]
    return frozenset(
        f"{name} {(network['IPAMConfig'] or {}).get('IPv4Address', '')}".rstrip()
        for name, network in networks.items()
    )


def _security(container: Json) -> frozenset[str]:
    """List the security options; one that is set to true is the same as one that is named."""
    options = container["HostConfig"].get("SecurityOpt") or ()
    return frozenset(re.sub("[:=]true$", "", option) for option in options)


def _cpus(container: Json) -> float:
    return float(container["HostConfig"].get("NanoCpus") or 0) / 1e9


#: In the order of the compose file; `networks` and `secrets` are written out by `definition`.
SETTINGS = (
    Setting("hostname", _once("--hostname"), lambda of: of["Config"]["Hostname"], str),
    Setting(
        "networks",
        lambda of: (word for name, to in of.items() for word in ("--network", name, "--ip", to)),
        _addresses,
        _pairs(" "),
    ),
    Setting(
        "environment",
        lambda of: _each("--env")(f"{name}={value}" for name, value in of.items()),
        lambda of: frozenset(of["Config"]["Env"]),
        _pairs("="),
    ),
    Setting(
        "extra_hosts",
        lambda of: _each("--add-host")(f"{name}:{value}" for name, value in of.items()),
        _host_set("ExtraHosts"),
        _pairs(":"),
    ),
    Setting("secrets", _each("--volume"), _binds, frozenset),
    Setting("tmpfs", _each("--tmpfs"), _tmpfs, frozenset),
    Setting("read_only", lambda _: ("--read-only",), _host("ReadonlyRootfs"), bool),
    Setting("cap_drop", _each("--cap-drop"), _host_set("CapDrop"), frozenset),
    Setting("security_opt", _each("--security-opt"), _security, frozenset),
    Setting("cpus", _once("--cpus"), _cpus, float),
    Setting("mem_limit", _once("--memory"), _host("Memory"), _bytes),
    Setting("memswap_limit", _once("--memory-swap"), _host("MemorySwap"), _bytes),
    Setting("pids_limit", _once("--pids-limit"), _host("PidsLimit"), int),
    Setting(
        "restart", _once("--restart"), lambda of: of["HostConfig"]["RestartPolicy"]["Name"], str
    ),
)


def definition(plan: Plan, name: str) -> dict[str, Any]:
    """Give a replica's part of the compose file, with the names of networks and files written out.

    Raises: KeyError for a name that is not the plan's.
    """
    document = yaml.safe_load(render.compose_text(plan, None))
    found: dict[str, Any] = document["services"][name]
    networks, secrets = document["networks"], document["secrets"]
    joined = found["networks"].items()
    found["networks"] = {networks[key]["name"]: to["ipv4_address"] for key, to in joined}
    found["secrets"] = [
        f"{secrets[each['source']]['file']}:/run/secrets/{each['target']}:ro"
        for each in found.get("secrets", ())
    ]
    return found


@dataclass(frozen=True, slots=True)
class CreatedContainer(OwnStep):
    """Create a container as the compose file defines it. Same as: docker compose create."""

    plan: Plan
    replica: str
    NAME = "container {0.container}"
    LOOKS = ("docker inspect {0.container}",)
    UNDO = ("docker rm --force --volumes {0.container}",)

    @property
    def container(self) -> str:
        return render.container_name(self.plan, self.plan.replica(self.replica))

    @property
    def settings(self) -> Iterator[tuple[Setting, Any]]:
        """Give each setting that its part of the compose file has, with its value."""
        values = definition(self.plan, self.replica)
        return ((setting, values[setting.key]) for setting in SETTINGS if setting.key in values)

    @property
    def commands(self) -> tuple[str, ...]:
        image = definition(self.plan, self.replica)["image"]
        options = (shlex.join(setting.options(value)) for setting, value in self.settings)
        lines = (f"docker create --name {self.container}", *options, image)
        return (" \\\n    ".join(lines),)

    def difference(self, printed: Printed) -> str | None:
        (look,) = self.looks
        found = json.loads(printed[look] or "[]")
        if not found:
            return "is absent"
        image = definition(self.plan, self.replica)["image"]
        if (runs := found[0]["Config"]["Image"]) != image:
            return f"is made from {runs}, not {image}"
        reasons = (setting.difference(value, found[0]) for setting, value in self.settings)
        return "; ".join(reason for reason in reasons if reason) or None


@dataclass(frozen=True, slots=True)
class StartedContainer(OwnStep):
    """Start a container. Same as: docker start."""

    container: str
    NAME = "process of {0.container}"
    COMMANDS = ("docker start {0.container}",)
    LOOKS = ("docker inspect --format '{{{{.State.Status}}}}' {0.container}",)

    def difference(self, printed: Printed) -> str | None:
        state = printed[self.looks[0]].strip()
        return None if state == "running" else f"is {state or 'absent'}"


@dataclass(frozen=True, slots=True)
class NamedNamespace(OwnStep):
    """Give a container's network namespace a name that `ip netns` knows.

    An engine pins it elsewhere. Source: ip-netns(8). Same as: ip netns attach NAME PID.
    """

    namespace: str
    container: str
    NAME = "name {0.namespace}"
    COMMANDS = (
        (
            "ip netns attach {0.namespace} "
            "\"$(docker inspect --format '{{{{.State.Pid}}}}' {0.container})\""
        ),
    )
    LOOKS = (
        "stat --dereference --format %i /run/netns/{0.namespace}",
        (
            "stat --dereference --format %i "
            "/proc/$(docker inspect --format '{{{{.State.Pid}}}}' {0.container})/ns/net"
        ),
    )
    UNDO = ("ip netns delete {0.namespace}",)
    CLAIMS = ("/run/netns/{0.namespace}",)

    def difference(self, printed: Printed) -> str | None:
        named, own = (printed[look].strip() for look in self.looks)
        if not named:
            return "is absent"
        if not own:
            return f"cannot be compared: {self.container} does not run"
        if named != own:
            return f"is network namespace {named}; {self.container} is in {own}"
        return None

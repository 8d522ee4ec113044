"""Read a compose document: each service's ports, mounts and options, however they are written.

Pure. Compose has a short and a long form of most things; the checks see one. What has no known form
is handed on as it is written: the schema objects to it, and so does the check that sees it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from twinstack.cis.catalogue import Allowed
from twinstack.cis.dockerfile import Dockerfile, Instruction
from twinstack.errors import CannotTell

_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_PATHS = ("/", ".", "~")


def mapping(value: Any) -> Mapping[str, Any]:
    """Give a mapping as it is, anything else as an empty one."""
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> Sequence[Any]:
    """Give a list as it is, None as an empty one, and anything else as a list of it."""
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)


def words(value: Any) -> list[str]:
    """Give words, of a list or of a mapping (NAME=value)."""
    if isinstance(value, Mapping):
        return [f"{name}={'' if text is None else text}" for name, text in value.items()]
    return [str(word) for word in listed(value)]


def on(value: Any) -> bool:
    """Tell whether a switch is on; Compose takes words too."""
    return str(value).strip().lower() in {"true", "yes", "on", "1"}


def number(value: Any) -> float | None:
    """Read a number; None where there is none."""
    try:
        return None if isinstance(value, bool) else float(str(value))
    except ValueError:
        return None


def size(value: Any) -> int:
    """Read a size. Units: bytes (64m is 64 MiB); 0 where there is none."""
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?)\s*([kmg]?)i?b?", str(value).strip().lower())
    return int(float(match[1]) * _UNITS[match[2]]) if match else 0


def _clean(path: str) -> str:
    """Give a path without //, /./, /x/.. and a last /."""
    found = posixpath.normpath(path) if path else ""
    return found[1:] if found.startswith("//") else found


@dataclass(frozen=True, slots=True)
class ComposePort:
    """A published port, as written."""

    address: str
    host: str  # "" where the engine chooses one
    target: str
    protocol: str

    def __str__(self) -> str:
        proto = "" if self.protocol == "tcp" else f"/{self.protocol}"
        return ":".join(part for part in (self.address, self.host, self.target) if part) + proto


@dataclass(frozen=True, slots=True)
class ComposeMount:
    """A mount."""

    kind: str
    source: str  # a path of the host, a volume's name, or "" for an anonymous volume
    target: str
    propagation: str = ""


@dataclass(frozen=True, slots=True)
class ComposeService:
    """One service, as written."""

    name: str
    raw: Mapping[str, Any]
    document: Mapping[str, Any]  # the whole

    def get(self, key: str) -> Any:
        return self.raw.get(key)

    def words(self, key: str) -> list[str]:
        return words(self.raw.get(key))

    def part(self, *keys: str) -> Mapping[str, Any]:
        """Give a mapping inside the service, such as deploy.resources.limits."""
        found = self.raw
        for key in keys:
            found = mapping(found.get(key))
        return found

    def section(self, name: str) -> Mapping[str, Any]:
        """Give a section of the document: volumes, networks, secrets or configs."""
        return mapping(self.document.get(name))

    @property
    def build(self) -> Mapping[str, Any]:
        """Give what is built; its short form is the context alone."""
        found = self.raw.get("build")
        return {"context": found} if isinstance(found, str) else mapping(found)

    @property
    def options(self) -> list[tuple[str, str]]:
        """Give security_opt as (name, value), which = or : separates."""
        parts = [re.split("[:=]", word.strip(), maxsplit=1) for word in self.words("security_opt")]
        return [(part[0], part[1] if len(part) > 1 else "") for part in parts]

    @property
    def ports(self) -> Iterator[ComposePort]:
        for port in listed(self.raw.get("ports")):
            if isinstance(port, Mapping):
                keys = ("host_ip", "published", "target")
                address, host, target = (str(port.get(key) or "") for key in keys)
                yield ComposePort(address, host, target, str(port.get("protocol") or "tcp"))
            else:
                text, _, protocol = str(port).partition("/")
                rest, _, target = text.rpartition(":")
                address, _, host = rest.rpartition(":")
                yield ComposePort(address.strip("[]"), host, target, protocol or "tcp")

    @property
    def mounts(self) -> Iterator[ComposeMount]:
        """Give every mount: volumes, and the host's files behind secrets and configs."""
        for volume in listed(self.raw.get("volumes")):
            yield self._mount(volume)
        for key in ("secrets", "configs"):
            for used in listed(self.raw.get(key)):
                name = str(mapping(used).get("source", used))
                if file := mapping(self.section(key).get(name)).get("file"):
                    yield ComposeMount("bind", _clean(str(file)), name)

    def _mount(self, volume: Any) -> ComposeMount:
        if isinstance(volume, Mapping):
            kind, source, target = (str(volume.get(k) or "") for k in ("type", "source", "target"))
            propagation = str(mapping(volume.get("bind")).get("propagation") or "")
        else:
            source, target, options = [*str(volume).split(":"), "", ""][:3]
            if not target:
                source, target = "", source
            kind = "bind" if source.startswith(_PATHS) else "volume"
            shared = (word for word in options.split(",") if word.endswith(("shared", "slave")))
            propagation = next(shared, "")
        if kind == "volume":  # a named one may lead to the host too
            driver = mapping(mapping(self.section("volumes").get(source)).get("driver_opts"))
            device = str(driver.get("device") or "")
            if device.startswith(_PATHS):
                kind, source = "bind", device
        return ComposeMount(kind, _clean(source) if kind == "bind" else source, target, propagation)

    @property
    def hooks(self) -> Iterator[Mapping[str, Any]]:
        """Give what Compose executes in the container beside its command."""
        for key in ("pre_start", "post_start", "pre_stop"):
            for hook in listed(self.raw.get(key)):
                yield mapping(hook)


@dataclass(frozen=True, slots=True)
class ComposeDocument:
    """A compose document."""

    file: str
    raw: Mapping[str, Any]

    @property
    def services(self) -> tuple[ComposeService, ...]:
        services = mapping(self.raw.get("services")).items()
        return tuple(ComposeService(name, mapping(raw), self.raw) for name, raw in services)


def parse(text: str, file: str) -> ComposeDocument:
    """Read a document. Raises: CannotTell when it is no YAML or declares no service."""
    try:
        document = ComposeDocument(file, mapping(yaml.safe_load(text)))
    except yaml.YAMLError as error:
        raise CannotTell(file, "cannot be read", str(error)) from error
    if not document.services:
        raise CannotTell(file, "cannot be judged", "it declares no service")
    return document


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged together: Dockerfiles by path, and one compose document."""

    dockerfiles: Mapping[str, Dockerfile]
    document: ComposeDocument
    allowed: Allowed

    def dockerfile_of(self, service: ComposeService) -> Dockerfile | None:
        """Find a service's Dockerfile; without a build section by its image's name.

        Paths are those of the repository, which is the context: compose/ lies in it.
        """
        if build := service.build:
            ours = posixpath.normpath(str(build.get("context"))) == ".."
            path = posixpath.normpath(str(build.get("dockerfile") or "Dockerfile"))
            return self.dockerfiles.get(path) if ours else None
        image = str(service.get("image") or "").rpartition("/")[2].partition(":")[0]
        return self.dockerfiles.get(f"dockerfiles/{image}/Dockerfile")

    def shipped(self, service: ComposeService) -> tuple[Instruction, ...]:
        """Give the instructions that make up a service's image, as far as they are known."""
        dockerfile = self.dockerfile_of(service)
        return dockerfile.shipped(_target(service)) if dockerfile else ()

    def shipped_of(self, dockerfile: Dockerfile) -> tuple[Instruction, ...]:
        """Give the instructions of the stage that the document wants of a Dockerfile."""
        for service in self.document.services:
            if self.dockerfile_of(service) is dockerfile:
                return dockerfile.shipped(_target(service))
        return dockerfile.shipped()


def _target(service: ComposeService) -> str:
    return str(service.build.get("target") or "")

"""Read a compose document: each service's ports, mounts and options, however they are written.

Pure. Compose knows a short and a long form of most things; the rules see one. What is of no known
form is handed on as it is written: the schema objects to it, and so does the rule that sees it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from twinstack.errors import CannotTell

_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_TRUE = {"true", "yes", "on", "1"}


@dataclass(frozen=True, slots=True)
class Published:
    """A published port. `host` is the port as written, "" where the engine chooses one."""

    address: str
    host: str
    target: str
    protocol: str

    def __str__(self) -> str:
        proto = "" if self.protocol == "tcp" else f"/{self.protocol}"
        return ":".join(part for part in (self.address, self.host, self.target) if part) + proto


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount. `source` is a path of the host's, a volume's name, or "" for an anonymous one."""

    kind: str
    source: str
    target: str
    options: frozenset[str]
    propagation: str = ""

    @property
    def of_host(self) -> bool:
        """Tell whether it shows something of the host's."""
        return self.kind == "bind"


@dataclass(frozen=True, slots=True)
class Service:
    """One service, as written."""

    name: str
    raw: Mapping[str, Any]
    volumes: Mapping[str, Any]
    files: Mapping[str, Any]

    def get(self, key: str) -> Any:
        """Give a key's value, None for none."""
        return self.raw.get(key)

    def words(self, key: str) -> list[str]:
        """Give a key's value as a list of words, whatever form it has."""
        return words(self.raw.get(key))

    def reserved(self, key: str) -> Any:
        """Give a limit of the deploy section, which Compose honours beside the service's own."""
        deploy = mapping(self.raw.get("deploy"))
        return mapping(mapping(deploy.get("resources")).get("limits")).get(key)

    @property
    def build(self) -> Mapping[str, Any]:
        """Give what is built; its short form is the context alone."""
        found = self.raw.get("build")
        return {"context": found} if isinstance(found, str) else mapping(found)

    @property
    def options(self) -> list[tuple[str, str]]:
        """Give security_opt as (name, value); = and : both part them."""
        parted = (re.split("[:=]", word.strip(), maxsplit=1) for word in self.words("security_opt"))
        return [(part[0], part[1] if len(part) > 1 else "") for part in parted]

    @property
    def ports(self) -> Iterator[Published]:
        """Give every published port."""
        for port in listed(self.raw.get("ports")):
            yield _published(port)

    @property
    def mounts(self) -> Iterator[Mount]:
        """Give every mount: volumes, and what secrets and configurations show of the host."""
        for volume in listed(self.raw.get("volumes")):
            yield self._mount(volume)
        for key in ("secrets", "configs"):
            for one in listed(self.raw.get(key)):
                name = str(one.get("source")) if isinstance(one, Mapping) else str(one)
                file = mapping(mapping(self.files.get(key)).get(name)).get("file")
                if file:
                    yield Mount("bind", clean(str(file)), name, frozenset({"ro"}))

    @property
    def hooks(self) -> Iterator[Mapping[str, Any]]:
        """Give what Compose executes in the container beside its command."""
        for key in ("pre_start", "post_start", "pre_stop"):
            for hook in listed(self.raw.get(key)):
                yield mapping(hook)

    @property
    def disabled_health(self) -> bool:
        """Tell whether the image's own health check is switched off."""
        check = mapping(self.raw.get("healthcheck"))
        return on(check.get("disable")) or words(check.get("test"))[:1] == ["NONE"]

    def _mount(self, volume: Any) -> Mount:
        propagation = ""
        if isinstance(volume, Mapping):
            kind, source = str(volume.get("type", "")), str(volume.get("source") or "")
            target = str(volume.get("target") or "")
            bind = mapping(volume.get("bind"))
            propagation = str(bind.get("propagation") or "")
            options = {"ro" if on(volume.get("read_only")) else "rw"}
        else:
            source, target, more = [*str(volume).split(":"), "", ""][:3]
            if not target:
                source, target = "", source
            options = set(more.split(",")) - {""}
            kind = "bind" if source.startswith(("/", ".", "~")) else "volume"
            propagation = next((one for one in options if one.endswith(("shared", "slave"))), "")
        if kind == "volume":  # a named one may lead to the host too
            driver = mapping(mapping(self.volumes.get(source)).get("driver_opts"))
            device = str(driver.get("device") or "")
            if device.startswith(("/", ".", "~")):
                kind, source = "bind", device
                options |= set(str(driver.get("o") or "").split(",")) - {""}
        return Mount(
            kind,
            clean(source) if kind == "bind" else source,
            target,
            frozenset(options),
            propagation,
        )


@dataclass(frozen=True, slots=True)
class Document:
    """A compose document."""

    file: str
    raw: Mapping[str, Any]

    @property
    def services(self) -> tuple[Service, ...]:
        """Give its services, in its order."""
        files = {key: mapping(self.raw.get(key)) for key in ("secrets", "configs")}
        return tuple(
            Service(name, mapping(raw), mapping(self.raw.get("volumes")), files)
            for name, raw in mapping(self.raw.get("services")).items()
        )

    @property
    def networks(self) -> Mapping[str, Any]:
        """Give its networks."""
        return mapping(self.raw.get("networks"))


def parse(text: str, file: str) -> Document:
    """Read a document. Raises: CannotTell when it is no YAML or declares no service."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CannotTell(file, "cannot be read", str(error)) from error
    found = Document(file, mapping(raw))
    if not found.services:
        raise CannotTell(file, "cannot be judged", "it declares no service")
    return found


def mapping(value: Any) -> Mapping[str, Any]:
    """Give a mapping as it is, anything else as an empty one."""
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> Sequence[Any]:
    """Give a list as it is, nothing as an empty one, and anything else as a list of it."""
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)


def words(value: Any) -> list[str]:
    """Give words, of a list or of a mapping (NAME=value)."""
    if isinstance(value, Mapping):
        return [f"{name}={'' if one is None else one}" for name, one in value.items()]
    return [str(one) for one in listed(value)]


def on(value: Any) -> bool:
    """Tell whether a switch is on; Compose takes words too."""
    return value is True or str(value).strip().lower() in _TRUE


def number(value: Any) -> float | None:
    """Read a number; None where there is none to be read."""
    try:
        return None if isinstance(value, bool) else float(str(value))
    except ValueError:
        return None


def size(value: Any) -> int | None:
    """Read a size. Units: bytes (64m is 64 MiB); None where there is none to be read."""
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?)\s*([kmg]?)i?b?", str(value).strip().lower())
    return int(float(match[1]) * _UNITS[match[2]]) if match else None


def clean(path: str) -> str:
    """Give a path without what means nothing in it: //, /./, /x/.. and a last /."""
    found = posixpath.normpath(path) if path else ""
    return found[1:] if found.startswith("//") else found


def _published(port: Any) -> Published:
    if isinstance(port, Mapping):
        return Published(
            str(port.get("host_ip") or ""),
            str(port.get("published") or ""),
            str(port.get("target") or ""),
            str(port.get("protocol") or "tcp"),
        )
    text, _, protocol = str(port).partition("/")
    rest, _, target = text.rpartition(":")
    address, _, host = rest.rpartition(":")
    return Published(address.strip("[]"), host, target, protocol or "tcp")

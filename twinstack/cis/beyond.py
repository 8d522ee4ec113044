"""Rules that CIS does not have and that we keep too, T1 and on. Pure.

T1 is what makes the others worth something: what no rule has looked at is a finding, so a key that
a later Compose brings cannot pass unseen.
"""

from __future__ import annotations

from collections.abc import Iterator

from twinstack.cis.dockerfile import Build
from twinstack.cis.document import Service, mapping, on, size, words
from twinstack.cis.finding import Finding, Found, Rule, Subject, both, of_build, of_service

_DOCUMENT_KEYS = {"name", "version", "services", "networks", "volumes", "secrets", "configs"}
#: What the rules look at, and what can do no harm: names, order, and how it is stopped.
_SERVICE_KEYS = {
    "build",
    "cap_add",
    "cap_drop",
    "cgroup",
    "cgroup_parent",
    "command",
    "configs",
    "cpu_quota",
    "cpu_shares",
    "cpus",
    "deploy",
    "device_cgroup_rules",
    "devices",
    "entrypoint",
    "environment",
    "expose",
    "gpus",
    "healthcheck",
    "image",
    "ipc",
    "logging",
    "mem_limit",
    "memswap_limit",
    "network_mode",
    "networks",
    "pid",
    "pids_limit",
    "ports",
    "post_start",
    "pre_start",
    "pre_stop",
    "privileged",
    "read_only",
    "restart",
    "secrets",
    "security_opt",
    "sysctls",
    "tmpfs",
    "ulimits",
    "use_api_socket",
    "user",
    "userns_mode",
    "uts",
    "volumes",
    "volumes_from",
    "container_name",
    "cpu_period",
    "cpuset",
    "depends_on",
    "extra_hosts",
    "hostname",
    "init",
    "labels",
    "mem_reservation",
    "platform",
    "pull_policy",
    "scale",
    "stop_grace_period",
    "stop_signal",
    "working_dir",
}
_BUILD_KEYS = {
    "additional_contexts",
    "args",
    "context",
    "dockerfile",
    "labels",
    "network",
    "tags",
    "target",
}
_FLAGS = {
    "chmod",
    "chown",
    "from",
    "interval",
    "link",
    "mount",
    "network",
    "platform",
    "retries",
    "security",
    "start-interval",
    "start-period",
    "timeout",
}
_OPTIONS = {"no-new-privileges", "apparmor", "label", "seccomp"}
_MOUNTS = {"bind", "volume", "tmpfs"}
_LOOSE_TMPFS = {"exec", "suid", "dev"}
_LOGGERS = {"json-file", "local"}
#: It binds ports below 1024 for a process without capabilities, in its own network alone.
_SYSCTLS = {"net.ipv4.ip_unprivileged_port_start"}
_SEE = "leave it out, or write a rule for it in twinstack/compose/cis"


def _unseen(subject: Subject) -> Iterator[Finding]:
    def finding(where: str, what: str) -> Finding:
        return Finding("T1", subject.document.file, where, what, _SEE)

    for key in subject.document.raw:
        if key not in _DOCUMENT_KEYS and not str(key).startswith("x-"):
            yield finding("document", f"no rule looks at {key}")
    for section in ("services", "networks", "volumes", "secrets", "configs"):
        for name, raw in mapping(subject.document.raw.get(section)).items():
            for text in _texts(raw):
                if "${" in text or text.startswith("$"):
                    yield finding(str(name), f"{text} is what the environment says")
    for service in subject.document.services:
        for what in _unseen_of(service, subject):
            yield finding(service.name, what)


@of_build("T1", "", _SEE)
def _unseen_flags(build: Build, subject: Subject) -> Found:
    for one in build.instructions:
        for flag in one.flags:
            if flag.removeprefix("--").partition("=")[0] not in _FLAGS:
                yield one.where, f"no rule looks at {one.keyword} {flag}"


def _unseen_of(service: Service, subject: Subject) -> Iterator[str]:
    for key in service.raw:
        if key not in _SERVICE_KEYS and not str(key).startswith("x-"):
            yield f"no rule looks at {key}"
    for key in service.build:
        if key not in _BUILD_KEYS:
            yield f"no rule looks at build.{key}"
    deploy = mapping(service.get("deploy"))
    for key in [*deploy, *mapping(deploy.get("resources"))]:
        if key not in {"resources", "limits", "reservations"}:
            yield f"no rule looks at deploy's {key}"
    for name, _ in service.options:
        if name not in _OPTIONS:
            yield f"no rule looks at security_opt {name}"
    for mount in service.mounts:
        if mount.kind not in _MOUNTS:
            yield f"no rule looks at a mount of type {mount.kind}"
    if subject.build_of(service) is None:
        yield "its Dockerfile is not among those that were read"


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _texts(key)
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value.replace("$$", "")  # Compose's way to write a $


@of_service("T2", "Every tmpfs is bounded, and runs nothing", "say size=…, and no exec, suid, dev")
def _tmpfs(service: Service, subject: Subject) -> Iterator[str]:
    for word in service.words("tmpfs"):
        options = word.partition(":")[2].split(",")
        if not any(one.startswith("size=") for one in options):
            yield f"tmpfs: {word} has no size"
        for loose in sorted(_LOOSE_TMPFS & set(options)):  # their contrary is Docker's default
            yield f"tmpfs: {word} allows {loose}"
    for raw in service.raw.get("volumes") or []:
        bound = size(mapping(mapping(raw).get("tmpfs")).get("size"))
        if mapping(raw).get("type") == "tmpfs" and not (bound or 0) > 0:
            yield f"volumes: tmpfs {raw.get('target')} has no size"


@of_service("T3", "No swap beyond the memory's limit", "say memswap_limit, as large as mem_limit")
def _swap(service: Service, subject: Subject) -> Iterator[str]:
    memory = size(service.get("mem_limit") or service.reserved("memory"))
    if memory and size(service.get("memswap_limit")) != memory:
        yield f"memswap_limit: {service.get('memswap_limit')}"


@of_service("T4", "Logs are bounded", "say logging: json-file or local, with max-size and max-file")
def _logs(service: Service, subject: Subject) -> Iterator[str]:
    logging = mapping(service.get("logging"))
    options = mapping(logging.get("options"))
    if logging.get("driver") not in _LOGGERS:
        yield f"logging: driver {logging.get('driver')}"
    elif not {"max-size", "max-file"} <= set(options):
        yield "logging: no max-size, or no max-file"


@of_service("T7", "Builds reach no network, and have no privilege", "say build.network: none")
def _offline(service: Service, subject: Subject) -> Iterator[str]:
    if service.build and service.build.get("network") != "none":
        yield f"build.network: {service.build.get('network')}"


@of_build("T7", "", "leave the flag out")
def _offline_run(build: Build, subject: Subject) -> Found:
    for one in build.instructions:
        if (one.flag("network") or "none") != "none":
            yield one.where, f"RUN --network={one.flag('network')}"
        if one.flag("security") not in {None, "sandbox"}:
            yield one.where, f"RUN --security={one.flag('security')}"


@of_service("T8", "No sysctl but the one for low ports", "leave it out")
def _sysctls(service: Service, subject: Subject) -> Iterator[str]:
    for word in service.words("sysctls"):
        if word.partition("=")[0] not in _SYSCTLS:
            yield f"sysctls: {word}"


@of_service("T9", "Containers share no namespace with each other", "leave it out")
def _shared(service: Service, subject: Subject) -> Iterator[str]:
    for key in ("network_mode", "pid", "ipc"):
        value = str(service.get(key) or "")
        if value.startswith(("service:", "container:")) or value == "shareable":
            yield f"{key}: {value}"
    for word in service.words("volumes_from"):
        yield f"volumes_from: {word}"


@of_service("T11", "No image is pulled", "say pull_policy: never")
def _pulled(service: Service, subject: Subject) -> Iterator[str]:
    # Compose asks a registry for what is not there, also where it could build it: a name that is
    # ours on this machine is anybody's there.
    if service.get("pull_policy") not in {"never", "build"}:
        yield f"pull_policy: {service.get('pull_policy')}"


@of_service("T12", "Volumes are declared, local and our own", "declare it in volumes, by name")
def _volumes(service: Service, subject: Subject) -> Iterator[str]:
    # An anonymous one is writable whatever read_only says, and is left behind.
    for mount in service.mounts:
        if mount.kind != "volume":
            continue
        volume = mapping(service.volumes.get(mount.source))
        options = mapping(volume.get("driver_opts"))
        if mount.source not in service.volumes:
            yield f"volumes: {mount.source or mount.target} is not declared"
        elif volume.get("external"):
            yield f"volume {mount.source} is external"
        elif volume.get("driver", "local") != "local" or options.get("type", "none") != "none":
            yield f"volume {mount.source} is of {volume.get('driver')} {options.get('type', '')}"


@of_build("T12", "", "leave VOLUME out: volumes are the document's")
def _volume_of_image(build: Build, subject: Subject) -> Found:
    for one in build.of("VOLUME"):
        yield one.where, f"VOLUME {one.text}"


def _networks(subject: Subject) -> Iterator[Finding]:
    for name, raw in subject.document.networks.items():
        network = mapping(raw)
        found = [
            what
            for what, wrong in (
                (f"driver: {network.get('driver')}", network.get("driver", "bridge") != "bridge"),
                ("is external", bool(network.get("external"))),
                ("attachable: true", on(network.get("attachable"))),
                ("enable_ipv6: true", on(network.get("enable_ipv6"))),
            )
            if wrong
        ]
        found += [
            word
            for word in words(network.get("driver_opts"))
            if word.endswith(("=routed", "=nat-unprotected"))
        ]
        for what in found:
            yield Finding(
                "T10",
                subject.document.file,
                f"network {name}",
                what,
                "say driver: bridge, of the document's own, without IPv6",
            )


RULES = (
    both(Rule("T1", "Nothing is written that no rule looks at", _unseen), _unseen_flags),
    _tmpfs,
    _swap,
    _logs,
    both(_offline, _offline_run),
    _sysctls,
    _shared,
    Rule("T10", "Networks are closed bridges of our own", _networks),
    _pulled,
    both(_volumes, _volume_of_image),
)

"""Check the document itself: nothing that no rule looks at, and closed networks. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from twinstack.cis.compose_document import (
    ComposeDocument,
    ComposeService,
    Subject,
    mapping,
    on,
    words,
)

_DOCUMENT_KEYS = {"name", "version", "services", "networks", "volumes", "secrets", "configs"}
#: What the rules look at; then what can do no harm: names, order, and how it is stopped.
_SERVICE_KEYS = frozenset({
    "build", "cap_add", "cap_drop", "cgroup", "cgroup_parent", "command", "configs", "cpu_quota",
    "cpu_shares", "cpus", "deploy", "device_cgroup_rules", "devices", "entrypoint", "environment",
    "expose", "gpus", "healthcheck", "image", "ipc", "logging", "mem_limit", "memswap_limit",
    "network_mode", "networks", "pid", "pids_limit", "ports", "post_start", "pre_start", "pre_stop",
    "privileged", "read_only", "restart", "secrets", "security_opt", "sysctls", "tmpfs", "ulimits",
    "use_api_socket", "user", "userns_mode", "uts", "volumes", "volumes_from", "pull_policy",
    "container_name", "cpu_period", "cpuset", "depends_on", "extra_hosts", "hostname", "init",
    "labels", "mem_reservation", "platform", "scale", "stop_grace_period", "stop_signal",
    "working_dir",
})  # fmt: skip
_BUILD_KEYS = frozenset(
    {"additional_contexts", "args", "context", "dockerfile", "labels", "network", "tags", "target"}
)
_DEPLOY_KEYS = {"resources", "limits", "reservations"}


def check_document(document: ComposeDocument) -> Iterator[tuple[str, str, str]]:
    """Give (rule, where, what is written there) of a document."""
    for key in document.raw:
        if key not in _DOCUMENT_KEYS and not str(key).startswith("x-"):
            yield "T1", "document", f"no rule looks at {key}"
    for section in ("services", "networks", "volumes", "secrets", "configs"):
        for name, raw in mapping(document.raw.get(section)).items():
            for text in _texts(raw):
                if "${" in text or text.startswith("$"):
                    yield "T1", str(name), f"{text} is what the environment says"
    for name, raw in mapping(document.raw.get("networks")).items():
        network = mapping(raw)
        if (driver := network.get("driver", "bridge")) != "bridge":
            yield "T10", f"network {name}", f"driver: {driver}"
        if network.get("external"):
            yield "T10", f"network {name}", "is external"
        for key in ("attachable", "enable_ipv6"):
            if on(network.get(key)):
                yield "T10", f"network {name}", f"{key}: true"
        for option in words(network.get("driver_opts")):
            if option.endswith(("=routed", "=nat-unprotected")):
                yield "T10", f"network {name}", option


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value.replace("$$", "")  # Compose's way to write a $


def check_service(service: ComposeService, subject: Subject) -> Iterator[tuple[str, str]]:
    """Give (rule, what is written there) of one service."""
    deploy = service.part("deploy")
    for key in service.raw:
        if key not in _SERVICE_KEYS and not str(key).startswith("x-"):
            yield "T1", f"no rule looks at {key}"
    for key in service.build:
        if key not in _BUILD_KEYS:
            yield "T1", f"no rule looks at build.{key}"
    for key in (*deploy, *mapping(deploy.get("resources"))):
        if key not in _DEPLOY_KEYS:
            yield "T1", f"no rule looks at deploy's {key}"

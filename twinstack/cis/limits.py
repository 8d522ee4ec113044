"""Check what a container may do and use up: privileges and limits. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from twinstack.cis.compose_document import (
    ComposeService,
    Subject,
    listed,
    mapping,
    number,
    on,
    size,
    words,
)
from twinstack.cis.images import has_healthcheck, user_problem

#: What Linux gives every cgroup by default: no weight at all.
_DEFAULT_SHARES = 1024
_MAXIMUM_RETRIES = 5
#: It binds ports below 1024 for a process without capabilities, in its own network alone.
_SYSCTLS = {"net.ipv4.ip_unprivileged_port_start"}
_LOOSE_TMPFS = ("dev", "exec", "suid")  # Docker's default is their contrary


def check_service(service: ComposeService, subject: Subject) -> Iterator[tuple[str, str]]:
    """Give (rule, what is written there) of one service."""
    yield from _privileges(service)
    yield from _security_options(service)
    yield from _limits(service)
    yield from _restarts_and_health(service, subject)
    yield from _tmpfs(service)
    logging = service.part("logging")
    if (driver := logging.get("driver")) not in {"json-file", "local"}:
        yield "T4", f"logging: driver {driver}"
    elif not {"max-size", "max-file"} <= set(mapping(logging.get("options"))):
        yield "T4", "logging: no max-size, or no max-file"


def _privileges(service: ComposeService) -> Iterator[tuple[str, str]]:
    if "ALL" not in {word.upper() for word in service.words("cap_drop")}:
        yield "5.4", "cap_drop lacks ALL"
    for word in service.words("cap_add"):
        yield "5.4", f"cap_add: {word}"
    if on(service.get("privileged")):
        yield "5.5", "privileged: true"
    if not on(service.get("read_only")):
        yield "5.13", "read_only is not on"
    for key in ("devices", "device_cgroup_rules", "gpus"):
        for word in service.words(key):
            yield "5.18", f"{key}: {word}"
    for word in words(service.part("deploy", "resources", "reservations").get("devices")):
        yield "5.18", f"deploy.resources.reservations.devices: {word}"
    for hook in service.hooks:
        if on(hook.get("privileged")):
            yield "5.23", f"a hook is privileged: {hook.get('command')}"
        user = hook.get("user")
        if user is not None and (problem := user_problem(str(user))):
            yield "5.24", f"a hook's user {user} {problem}"
    if service.get("cgroup_parent"):
        yield "5.25", f"cgroup_parent: {service.get('cgroup_parent')}"
    if service.get("cgroup") not in {None, "", "private"}:
        yield "5.25", f"cgroup: {service.get('cgroup')}"
    for word in service.words("sysctls"):
        if word.partition("=")[0] not in _SYSCTLS:
            yield "T8", f"sysctls: {word}"


def _security_options(service: ComposeService) -> Iterator[tuple[str, str]]:
    for name, value in service.options:
        if name == "apparmor" and value in {"", "unconfined"}:
            yield "5.2", f"security_opt: {name}:{value}"
        if name == "label" and value in {"", "disable"}:
            yield "5.3", f"security_opt: {name}:{value}"
        if name == "seccomp" and value != "builtin":
            yield "5.22", f"security_opt: {name}:{value}"
        if name not in {"apparmor", "label", "seccomp", "no-new-privileges"}:
            yield "T1", f"no rule looks at security_opt {name}"
    values = [value for name, value in service.options if name == "no-new-privileges"]
    if not values:
        yield "5.26", "security_opt lacks no-new-privileges"
    elif not set(values) <= {"", "true"}:
        yield "5.26", f"no-new-privileges: {values[-1]}"


def _limits(service: ComposeService) -> Iterator[tuple[str, str]]:
    deploy = service.part("deploy", "resources", "limits")  # Compose honours these too

    def bounded(*values: object) -> bool:
        return any((number(value) or 0) > 0 for value in values)

    memory = (service.get("mem_limit"), deploy.get("memory"))
    if not any(size(limit) > 0 for limit in memory):
        yield "5.11", "no mem_limit"
    limit, swap = size(memory[0] or memory[1]), service.get("memswap_limit")
    if limit and size(swap) != limit:
        yield "T3", f"memswap_limit: {swap}"
    unweighted = (number(service.get("cpu_shares")) or 0) in {0, _DEFAULT_SHARES}
    cpus = (service.get("cpus"), deploy.get("cpus"), service.get("cpu_quota"))
    if unweighted and not bounded(*cpus):
        yield "5.12", "no cpus, no cpu_shares"
    if not bounded(service.get("pids_limit"), deploy.get("pids")):
        yield "5.29", "no pids_limit"
    for name, ulimit in service.part("ulimits").items():
        parts = [ulimit.get("soft"), ulimit.get("hard")] if isinstance(ulimit, dict) else [ulimit]
        if any((bound := number(part)) is None or bound < 0 for part in parts):
            yield "5.19", f"ulimits: {name}: {ulimit}"


def _restarts_and_health(service: ComposeService, subject: Subject) -> Iterator[tuple[str, str]]:
    policy = "no" if service.get("restart") is None else str(service.get("restart"))
    name, _, count = policy.partition(":")
    counted = name == "on-failure" and 1 <= (number(count) or 0) <= _MAXIMUM_RETRIES
    if policy not in {"no", "False"} and not counted:
        yield "5.15", f"restart: {policy}"
    check = service.part("healthcheck")
    if on(check.get("disable")) or words(check.get("test"))[:1] == ["NONE"]:
        yield "5.27", "its health check is switched off"
    elif not check.get("test") and not has_healthcheck(subject.shipped(service)):
        yield "5.27", "neither its image nor it has a health check"


def _tmpfs(service: ComposeService) -> Iterator[tuple[str, str]]:
    for word in service.words("tmpfs"):
        options = word.partition(":")[2].split(",")
        if not any(option.startswith("size=") for option in options):
            yield "T2", f"tmpfs: {word} has no size"
        for loose in _LOOSE_TMPFS:
            if loose in options:
                yield "T2", f"tmpfs: {word} allows {loose}"
    for raw in listed(service.get("volumes")):
        volume = mapping(raw)
        if volume.get("type") == "tmpfs" and size(mapping(volume.get("tmpfs")).get("size")) <= 0:
            yield "T2", f"volumes: tmpfs {volume.get('target')} has no size"

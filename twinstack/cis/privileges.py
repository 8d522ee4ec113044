"""The rules of section 5 on what a container may do and use up: privileges and limits. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from twinstack.cis.document import Service, mapping, number, on, size, words
from twinstack.cis.finding import Subject, of_service
from twinstack.cis.images import judge_user

#: What Linux gives every group of processes unless somebody says otherwise: no priority at all.
_DEFAULT_SHARES = 1024
_MAXIMUM_RETRIES = 5
_SECCOMP_DEFAULTS = {"builtin"}


@of_service("5.2", "AppArmor's profile is not switched off", "leave apparmor out of security_opt")
def _apparmor(service: Service, subject: Subject) -> Iterator[str]:
    for name, value in service.options:
        if name == "apparmor" and value in {"", "unconfined"}:
            yield f"security_opt: {name}:{value}"


@of_service("5.3", "SELinux' labels are not switched off", "leave label out of security_opt")
def _selinux(service: Service, subject: Subject) -> Iterator[str]:
    for name, value in service.options:
        if name == "label" and value in {"", "disable"}:
            yield f"security_opt: {name}:{value}"


@of_service("5.4", "Every capability is dropped", "say cap_drop: [ALL], and no cap_add")
def _capabilities(service: Service, subject: Subject) -> Iterator[str]:
    if "ALL" not in {word.upper() for word in service.words("cap_drop")}:
        yield "cap_drop lacks ALL"
    for word in service.words("cap_add"):
        yield f"cap_add: {word}"


@of_service("5.5", "No container is privileged", "leave privileged out")
def _privileged(service: Service, subject: Subject) -> Iterator[str]:
    if on(service.get("privileged")):
        yield "privileged: true"


@of_service("5.11", "Memory is limited", "say mem_limit")
def _memory(service: Service, subject: Subject) -> Iterator[str]:
    limits = (service.get("mem_limit"), service.reserved("memory"))
    if not any((size(one) or 0) > 0 for one in limits):
        yield "no mem_limit"


@of_service("5.12", "CPU time is limited", "say cpus (a bound), or cpu_shares (a weight)")
def _cpu(service: Service, subject: Subject) -> Iterator[str]:
    bounds = (service.get("cpus"), service.reserved("cpus"), service.get("cpu_quota"))
    shares = number(service.get("cpu_shares")) or 0
    if not any((number(one) or 0) > 0 for one in bounds) and shares in {0, _DEFAULT_SHARES}:
        yield "no cpus, no cpu_shares"


@of_service("5.13", "The root file system is read-only", "say read_only: true")
def _read_only(service: Service, subject: Subject) -> Iterator[str]:
    if not on(service.get("read_only")):
        yield "read_only is not on"


@of_service("5.15", "Restarts are counted: on-failure, at most 5", "say restart: on-failure:5")
def _restart(service: Service, subject: Subject) -> Iterator[str]:
    policy = str(service.get("restart") if service.get("restart") is not None else "no")
    name, _, count = policy.partition(":")
    counted = name == "on-failure" and 1 <= (number(count) or 0) <= _MAXIMUM_RETRIES
    if policy not in {"no", "False"} and not counted:
        yield f"restart: {policy}"


@of_service("5.18", "No device of the host's", "leave devices out")
def _devices(service: Service, subject: Subject) -> Iterator[str]:
    for key in ("devices", "device_cgroup_rules", "gpus"):
        for word in service.words(key):
            yield f"{key}: {word}"
    resources = mapping(mapping(service.get("deploy")).get("resources"))
    for word in words(mapping(resources.get("reservations")).get("devices")):
        yield f"deploy.resources.reservations.devices: {word}"


@of_service("5.19", "No ulimit is lifted", "give each ulimit a bound, or leave it to the engine")
def _ulimits(service: Service, subject: Subject) -> Iterator[str]:
    for name, bound in mapping(service.get("ulimits")).items():
        parts = [bound.get("soft"), bound.get("hard")] if isinstance(bound, dict) else [bound]
        if any((found := number(part)) is None or found < 0 for part in parts):
            yield f"ulimits: {name}: {bound}"


@of_service("5.22", "Seccomp's default profile holds", "leave seccomp out of security_opt")
def _seccomp(service: Service, subject: Subject) -> Iterator[str]:
    for name, value in service.options:
        if name == "seccomp" and value not in _SECCOMP_DEFAULTS:
            yield f"security_opt: {name}:{value}"


@of_service("5.23", "Nothing is executed privileged", "leave privileged out of the hook")
def _exec_privileged(service: Service, subject: Subject) -> Iterator[str]:
    for hook in service.hooks:
        if on(hook.get("privileged")):
            yield f"a hook is privileged: {hook.get('command')}"


@of_service("5.24", "Nothing is executed as root", "leave user out of the hook")
def _exec_root(service: Service, subject: Subject) -> Iterator[str]:
    for hook in service.hooks:
        user = hook.get("user")
        if user is not None and (wrong := judge_user(str(user))):
            yield f"a hook's user {user} {wrong}"


@of_service("5.25", "Containers stay in the engine's cgroup", "leave cgroup and cgroup_parent out")
def _cgroup(service: Service, subject: Subject) -> Iterator[str]:
    if service.get("cgroup_parent"):
        yield f"cgroup_parent: {service.get('cgroup_parent')}"
    if str(service.get("cgroup") or "private") != "private":
        yield f"cgroup: {service.get('cgroup')}"


@of_service("5.26", "No process gains privileges", "say security_opt: [no-new-privileges]")
def _no_new_privileges(service: Service, subject: Subject) -> Iterator[str]:
    said = [value for name, value in service.options if name == "no-new-privileges"]
    if not said:
        yield "security_opt lacks no-new-privileges"
    elif any(value not in {"", "true"} for value in said):
        yield f"no-new-privileges: {said[-1]}"


@of_service("5.27", "Health is checked while it runs", "leave the image's HEALTHCHECK on")
def _health(service: Service, subject: Subject) -> Iterator[str]:
    if service.disabled_health:
        yield "its health check is switched off"
    elif not mapping(service.get("healthcheck")).get("test"):
        shipped = subject.shipped(service)
        checks = [one.text for one in shipped if one.keyword == "HEALTHCHECK"]
        if not checks or checks[-1].strip().upper() == "NONE":
            yield "neither its image nor it has a health check"


@of_service("5.29", "The number of processes is limited", "say pids_limit")
def _pids(service: Service, subject: Subject) -> Iterator[str]:
    limits = (service.get("pids_limit"), service.reserved("pids"))
    if not any((number(one) or 0) > 0 for one in limits):
        yield "no pids_limit"


RULES = (
    _apparmor,
    _selinux,
    _capabilities,
    _privileged,
    _memory,
    _cpu,
    _read_only,
    _restart,
    _devices,
    _ulimits,
    _seccomp,
    _exec_privileged,
    _exec_root,
    _cgroup,
    _no_new_privileges,
    _health,
    _pids,
)

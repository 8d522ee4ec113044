"""Edits of rendered files, and the findings that each must cause."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.support.project import ROOT
from twinstack.cis.catalogue import Finding
from twinstack.cis.compose_document import ComposeDocument, Subject
from twinstack.cis.dockerfile import parse
from twinstack.cis.gate import allowed_by, subject_of, violations
from twinstack.cis.known import EXEMPT
from twinstack.compose.render import COMPOSE_FILE, render_files
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology_file import load

SERVICE = "order-service"
FILE = f"dockerfiles/{SERVICE}/Dockerfile"
Raw = dict[str, Any]
ELSEWHERE = {"document", "service-registry", "nginx-lb", "network sly"}


@cache
def plan_of(shape: str = "flat", instance: str = "main", limited: bool = True) -> Plan:
    return resolve(load(ROOT / "topology.yml"), shape, instance, limited=limited)


@cache
def rendered(plan: Plan) -> Mapping[str, str]:
    return render_files(plan)


@cache
def subject(plan: Plan | None = None) -> Subject:
    plan = plan or plan_of()
    return subject_of(rendered(plan), COMPOSE_FILE, allowed_by(plan))


@dataclass(frozen=True)
class Bad:
    """A variant: the rule that has to notice it, what its finding says, and the edit."""

    rule: str
    said: str
    edit: Callable[[Subject], Subject]

    @property
    def id(self) -> str:
        return f"{self.rule}: {self.said}"


def service(rule: str, said: str, **keys: Any) -> Bad:
    """Set keys of a service; None takes a key away."""

    def edit(raw: Raw) -> None:
        spec = raw["services"][SERVICE]
        for key, value in keys.items():
            if value is None:
                spec.pop(key, None)
            else:
                spec[key] = value

    return document(rule, said, edit)


def document(rule: str, said: str, change: Callable[[Raw], object]) -> Bad:
    def edit(good: Subject) -> Subject:
        raw = json.loads(json.dumps(good.document.raw))  # YAML's anchors are shared otherwise
        change(raw)
        return Subject(good.dockerfiles, ComposeDocument(good.document.file, raw), good.allowed)

    return Bad(rule, said, edit)


def with_volume(rule: str, said: str, **options: str) -> Bad:
    """Mount a named volume that has these options of its driver's."""

    def change(raw: Raw) -> None:
        raw["volumes"]["sly"] = {"driver_opts": options}
        raw["services"][SERVICE]["volumes"] = ["sly:/srv/x"]

    return document(rule, said, change)


def volume(raw: Raw, **keys: Any) -> None:
    raw["volumes"]["sly"] = keys
    raw["services"][SERVICE]["volumes"] = ["sly:/srv/x"]


def with_network(rule: str, said: str, **keys: Any) -> Bad:
    def change(raw: Raw) -> None:
        raw["networks"]["sly"] = keys
        raw["services"][SERVICE]["networks"] = ["sly"]

    return document(rule, said, change)


def with_build(rule: str, said: str, **keys: Any) -> Bad:
    def change(raw: Raw) -> None:
        raw["services"][SERVICE]["build"].update(keys)

    return document(rule, said, change)


def line(rule: str, said: str, *lines: str) -> Bad:
    """Write lines at the end of a Dockerfile."""
    return text(rule, said, lambda now: now + "\n".join(["", *lines, ""]))


def without(rule: str, said: str, keyword: str) -> Bad:
    """Take an instruction out of a Dockerfile, wherever it stands, with what continues it."""

    def change(now: str) -> str:
        kept, dropping = [], False
        for line in now.splitlines():
            dropping = line.startswith(keyword) or dropping
            if not dropping:
                kept.append(line)
            dropping = dropping and line.endswith("\\")
        return "\n".join(kept)

    return text(rule, said, change)


def replaced(rule: str, said: str, old: str, new: str) -> Bad:
    return text(rule, said, lambda now: now.replace(old, new))


def text(rule: str, said: str, change: Callable[[str], str]) -> Bad:
    def edit(good: Subject) -> Subject:
        was = rendered(plan_of())[FILE]
        now = change(was)
        assert now != was
        builds = {**good.dockerfiles, FILE: parse(now, FILE)}
        return Subject(builds, good.document, good.allowed)

    return Bad(rule, said, edit)


def hook(**keys: Any) -> list[Raw]:
    return [{"command": ["true"], **keys}]


def bind(source: str, **more: Any) -> list[Raw]:
    return [{"type": "bind", "source": source, "target": "/x", **more}]


@cache
def known_findings() -> frozenset[Finding]:
    return frozenset(violations(subject()))


def new_findings(bad: Bad) -> list[Finding]:
    """Give what is found in a variant and not in the files as they are."""
    known = known_findings()
    return [finding for finding in violations(bad.edit(subject())) if finding not in known]


def assert_noticed(bad: Bad) -> None:
    """Hold that the rule notices the variant, names its place, and that no exception covers it."""
    findings = new_findings(bad)
    noticed = [
        finding for finding in findings if finding.rule == bad.rule and bad.said in finding.what
    ]
    assert noticed, [str(finding) for finding in findings]
    for finding in noticed:
        assert finding.remedy
        assert finding.file == FILE or finding.where in {SERVICE, *ELSEWHERE}
        assert not any(exempt.covers(finding) for exempt in EXEMPT)


def secret_of_host(raw: Raw) -> None:
    raw["secrets"]["sly"] = {"file": "/etc/shadow"}
    raw["services"][SERVICE]["secrets"].append({"source": "sly", "target": "x"})


def socket_as_config(raw: Raw) -> None:
    raw["configs"] = {"sly": {"file": "/var/run/docker.sock"}}
    raw["services"][SERVICE]["configs"] = ["sly"]


def seccomp_everywhere(raw: Raw) -> None:
    raw["services"][SERVICE]["security_opt"].append("seccomp:unconfined")


def foreign_secret(raw: Raw) -> None:
    raw["services"]["service-registry"]["secrets"] = ["postgres-db-postgres-password"]


def udp_door(raw: Raw) -> None:
    raw["services"]["nginx-lb"]["ports"] = ["0.0.0.0:8088:80/udp"]


def bridge_by_name(raw: Raw) -> None:
    raw["networks"]["bridge"] = {"external": True}
    raw["services"][SERVICE]["networks"] = {"bridge": None}


def default_is_bridge(raw: Raw) -> None:
    raw["networks"]["default"] = {"external": True, "name": "bridge"}
    del raw["services"][SERVICE]["networks"]


NNP = "no-new-privileges"
LOGS = {"driver": "json-file", "options": {"max-size": "1m", "max-file": "2"}}

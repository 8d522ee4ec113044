"""The judge: holds every rule against the files, and sets known exceptions apart. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from twinstack.cis import (
    closed,
    compose_document,
    dockerfile,
    images,
    limits,
    packages,
    secrecy,
    sharing,
)
from twinstack.cis.catalogue import RULES, Allowed, Finding
from twinstack.cis.compose_document import Subject
from twinstack.cis.known import EXEMPT, UNDECIDED, Exempt
from twinstack.compose.render import base_name, image_name, published_ports, secret_key
from twinstack.model.plan import Plan

Outcome = Literal["pass", "exception", "fail", "not told"]
OUTCOMES: tuple[Outcome, ...] = ("pass", "exception", "fail", "not told")


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """What came of one rule or linter."""

    number: str
    title: str
    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    exceptions: tuple[Finding, ...] = ()
    reasons: tuple[str, ...] = ()  # why its exceptions stand, or who decides


@dataclass(frozen=True, slots=True)
class CisReport:
    """What came of all of them."""

    files: tuple[str, ...]
    rules: tuple[RuleOutcome, ...]

    @property
    def passed(self) -> bool:
        return all(row.outcome != "fail" for row in self.rules)

    def counts(self) -> dict[str, int]:
        """Count the rows by outcome."""
        return {name: sum(row.outcome == name for row in self.rules) for name in OUTCOMES}


def allowed_by(plan: Plan) -> Allowed:
    """Say what a plan allows. Declared bases count beside our own."""
    replicas = {replica.name: replica for replica in plan.replicas}
    bases = {base_name(replica.role) for replica in plan.replicas}
    return Allowed(
        bases=frozenset(bases | {base for _, base in plan.bases}),
        images={
            name: image_name(plan, each.service, each.version) for name, each in replicas.items()
        },
        published={name: frozenset(published_ports(plan, each)) for name, each in replicas.items()},
        ports={name: each.port for name, each in replicas.items()},
        secrets={
            name: frozenset(secret_key(each, secret) for secret in each.secrets)
            for name, each in replicas.items()
        },
    )


def subject_of(texts: Mapping[str, str], compose: str, allowed: Allowed) -> Subject:
    """Read rendered files: path → text; `compose` is the path of the compose document.

    Raises: CannotTell for what cannot be read.
    """
    dockerfiles = {
        path: dockerfile.parse(text, path)
        for path, text in texts.items()
        if path.rpartition("/")[2] == "Dockerfile"
    }
    return Subject(dockerfiles, compose_document.parse(texts[compose], compose), allowed)


def violations(subject: Subject) -> Iterator[Finding]:
    """Give all that any rule finds, exceptions included."""
    for file, parsed in subject.dockerfiles.items():
        for module in (images, packages, secrecy):
            for rule, where, what in module.check_dockerfile(parsed, subject):
                yield Finding(rule, file, where, what, RULES[rule][1])
    file = subject.document.file
    for rule, where, what in closed.check_document(subject.document):
        yield Finding(rule, file, where, what, RULES[rule][1])
    for service in subject.document.services:
        for check in (images, secrecy, limits, sharing, closed):
            for rule, what in check.check_service(service, subject):
                yield Finding(rule, file, service.name, what, RULES[rule][1])


def judge(
    subjects: Iterable[Subject],
    linted: Mapping[str, tuple[str, Iterable[Finding]]] | None = None,
    exempt: tuple[Exempt, ...] = EXEMPT,
) -> CisReport:
    """Hold all rules against all subjects, and set known exceptions apart.

    `linted` maps a linter to (title, findings). An exception that covers nothing any more is a
    finding itself.
    """
    judged, lints = tuple(subjects), linted or {}
    titles = {number: title for number, (title, _) in RULES.items()}
    titles |= {name: title for name, (title, _) in lints.items()}
    found: dict[str, list[Finding]] = {number: [] for number in titles}
    for finding in (finding for subject in judged for finding in violations(subject)):
        if finding not in found[finding.rule]:  # a Dockerfile is judged with each document
            found[finding.rule].append(finding)
    for name, (_, findings) in lints.items():
        found[name] += findings
    rows = [_row(number, titles[number], found[number], exempt) for number in titles]
    stale = tuple(_stale(found, exempt))
    outcome: Outcome = "fail" if stale else "pass"
    rows.append(RuleOutcome("exempt", "Every exception is still needed", outcome, stale))
    rows += [
        RuleOutcome(other.number, other.title, "not told", reasons=(other.why,))
        for other in UNDECIDED
    ]
    files = {path for subject in judged for path in (*subject.dockerfiles, subject.document.file)}
    return CisReport(tuple(sorted(files)), tuple(sorted(rows, key=lambda row: _order(row.number))))


def _order(number: str) -> tuple[int, int, str]:
    """Order 4.9 before 4.10, CIS' rules before ours, and the linters last."""
    section, _, place = number.partition(".")
    if place:
        return int(section), int(place), ""
    return (100, int(number[1:]), "") if number[1:].isdigit() else (200, 0, number)


def _row(number: str, title: str, found: list[Finding], exempt: tuple[Exempt, ...]) -> RuleOutcome:
    excepted = tuple(each for each in found if any(known.covers(each) for known in exempt))
    failed = tuple(each for each in found if each not in excepted)
    reasons = tuple(known.why for known in exempt if any(known.covers(each) for each in excepted))
    outcome: Outcome = "fail" if failed else "exception" if excepted else "pass"
    return RuleOutcome(number, title, outcome, failed, excepted, reasons)


def _stale(found: Mapping[str, list[Finding]], exempt: tuple[Exempt, ...]) -> Iterator[Finding]:
    """Find exceptions that cover nothing; those of a linter that was not run aside."""
    for known in exempt:
        if known.rule in found and not any(known.covers(each) for each in found[known.rule]):
            file, where = "twinstack/cis/known.py", f"rule {known.rule}"
            what = f"{known.file}, {known.where}: {known.what} is nowhere"
            yield Finding("exempt", file, where, what, "take the exception out")


def grouped(findings: Iterable[Finding]) -> Iterator[tuple[str, list[str]]]:
    """Join findings that say the same of several places: (what is said, a line for each file)."""

    def text(finding: Finding) -> str:
        return f"{finding.what}; {finding.remedy}"

    for said, alike in groupby(sorted(findings, key=text), key=text):
        places: dict[str, list[str]] = {}
        for finding in alike:
            places.setdefault(finding.file, []).append(finding.where)
        yield said, [f"{file}: {', '.join(at)}" for file, at in places.items()]

"""The judge: holds every rule against the files, and sets known exceptions apart. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Literal

from twinstack.cis import (
    beyond,
    dockerfile,
    document,
    images,
    packages,
    privileges,
    secrecy,
    sharing,
)
from twinstack.cis.finding import Declared, Finding, Rule, Subject
from twinstack.cis.known import EXEMPT, UNTOLD, Exempt
from twinstack.compose.render import base_name, image_name
from twinstack.model.plan import Plan

Outcome = Literal["pass", "exception", "fail", "not told"]


def _place(number: str) -> tuple[int, int, str]:
    """Order 4.9 before 4.10, CIS' before ours, and the linters last."""
    section, _, place = number.partition(".")
    if place:
        return int(section), int(place), ""
    return (100, int(number[1:]), "") if number[1:].isdigit() else (200, 0, number)


#: Every rule, by its number.
RULES: tuple[Rule, ...] = tuple(
    sorted(
        (
            rule
            for module in (images, packages, secrecy, privileges, sharing, beyond)
            for rule in module.RULES
        ),
        key=lambda rule: _place(rule.number),
    )
)


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one rule or linter; `reasons` say why its exceptions stand, or who decides."""

    number: str
    title: str
    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    exceptions: tuple[Finding, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What came of all of them."""

    files: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def passed(self) -> bool:
        """Tell whether nothing failed."""
        return all(row.outcome != "fail" for row in self.rows)

    def counts(self) -> dict[str, int]:
        """Count the rows by outcome."""
        outcomes: tuple[Outcome, ...] = ("pass", "exception", "fail", "not told")
        return {one: sum(row.outcome == one for row in self.rows) for one in outcomes}

    def as_json(self) -> dict[str, object]:
        """Give it as JSON's words."""
        return {
            "passed": self.passed,
            "counts": self.counts(),
            "files": list(self.files),
            "rules": [asdict(row) for row in self.rows],
        }


def declared(plan: Plan) -> Declared:
    """Say what a plan allows. Declared bases count beside our own."""
    bases = {base_name(replica.role) for replica in plan.replicas}
    doors = {
        replica.name: frozenset(
            f"{door.bind}:{door.port}:{door.replica_port}"
            for door in plan.published_ports
            if door.world == "docker" and door.replica == replica.name
        )
        for replica in plan.replicas
    }
    return Declared(
        bases=frozenset(bases | {base for _, base in plan.bases}),
        images={replica.name: image_name(plan, replica.service) for replica in plan.replicas},
        doors=doors,
        ports={replica.name: replica.port for replica in plan.replicas},
        secrets={
            replica.name: frozenset(_key(replica.service, name) for name in replica.secrets)
            for replica in plan.replicas
        },
    )


def _key(service: str, secret: str) -> str:
    """Name a service's own copy of a secret in the document, as `render` does."""
    return f"{service}-{secret}".replace(".", "-").replace("_", "-")


def subject_of(texts: Mapping[str, str], compose: str, measure: Declared) -> Subject:
    """Read rendered files: path → text; `compose` is the path of the compose document.

    Raises: CannotTell for what cannot be read.
    """
    builds = {
        path: dockerfile.parse(text, path)
        for path, text in texts.items()
        if path.rpartition("/")[2] == "Dockerfile"
    }
    return Subject(builds, document.parse(texts[compose], compose), measure)


def violations(subject: Subject) -> Iterator[Finding]:
    """Give all that any rule finds, exceptions not taken out."""
    for rule in RULES:
        yield from rule.find(subject)


def judge(
    subjects: Iterable[Subject],
    linted: Mapping[str, tuple[str, Iterable[Finding]]] | None = None,
    exempt: tuple[Exempt, ...] = EXEMPT,
) -> Report:
    """Hold all rules against all subjects, and set known exceptions apart.

    `linted` is what the linters found: name → (title, findings). An exception that covers nothing
    any more is a finding itself, of the rule that it was made for.
    """
    judged = tuple(subjects)
    lints = {} if linted is None else linted
    titles = {rule.number: rule.title for rule in RULES}
    titles |= {name: title for name, (title, _) in lints.items()}
    found: dict[str, list[Finding]] = {number: [] for number in titles}
    for finding in (one for subject in judged for one in violations(subject)):
        if finding not in found[finding.rule]:  # a Dockerfile is judged with each document
            found[finding.rule].append(finding)
    for name, (_, findings) in lints.items():
        found[name] += findings
    rows = [_row(number, titles[number], found[number], exempt) for number in titles]
    stale = _stale(found, exempt)
    rows.append(
        Row("exempt", "Every exception is still needed", "fail" if stale else "pass", stale)
    )
    rows += [Row(one.number, one.title, "not told", reasons=(one.why,)) for one in UNTOLD]
    files = sorted({one for subject in judged for one in (*subject.builds, subject.document.file)})
    return Report(tuple(files), tuple(sorted(rows, key=lambda row: _place(row.number))))


def _row(number: str, title: str, found: list[Finding], exempt: tuple[Exempt, ...]) -> Row:
    excepted = tuple(one for one in found if any(known.covers(one) for known in exempt))
    failed = tuple(one for one in found if one not in excepted)
    reasons = tuple(known.why for known in exempt if any(known.covers(one) for one in excepted))
    outcome: Outcome = "fail" if failed else "exception" if excepted else "pass"
    return Row(number, title, outcome, failed, excepted, reasons)


def _stale(found: Mapping[str, list[Finding]], exempt: tuple[Exempt, ...]) -> tuple[Finding, ...]:
    """Find exceptions that cover nothing; those of a linter that was not run aside."""
    return tuple(
        Finding(
            "exempt",
            "twinstack/cis/known.py",
            f"rule {known.rule}",
            f"{known.file}, {known.where}: {known.what} is nowhere",
            "take the exception out",
        )
        for known in exempt
        if known.rule in found and not any(known.covers(one) for one in found[known.rule])
    )


def grouped(findings: Iterable[Finding]) -> Iterator[tuple[str, list[str]]]:
    """Join findings that say the same of several places: (what is said, a line for each file)."""

    def said(finding: Finding) -> tuple[str, str]:
        return finding.what, finding.remedy

    for (what, remedy), same in groupby(sorted(findings, key=said), key=said):
        places: dict[str, list[str]] = {}
        for one in same:
            places.setdefault(one.file, []).append(one.where)
        yield f"{what}; {remedy}", [f"{file}: {', '.join(at)}" for file, at in places.items()]

"""What a rule is, and what it finds: pure data, and the two ways to make a rule."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twinstack.cis.dockerfile import Build, Instruction
    from twinstack.cis.document import Document, Service


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as a rule wants it.

    `file` and `where` (a service, or a line) say where, `what` says what is written there.
    """

    rule: str
    file: str
    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}: {self.where}: {self.what}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class Declared:
    """What the plan says may be: the measure for ports, bases and secrets.

    By replica: `images` are names, `doors` `bind:port:container port`, `ports` what it listens
    on, `secrets` the keys that it is given.
    """

    bases: frozenset[str]
    images: Mapping[str, str]
    doors: Mapping[str, frozenset[str]]
    ports: Mapping[str, int]
    secrets: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Subject:
    """All that is judged together: Dockerfiles by path, and one compose document."""

    builds: Mapping[str, Build]
    document: Document
    declared: Declared

    def build_of(self, service: Service) -> Build | None:
        """Find a service's Dockerfile; without a build section by its image's name.

        Paths are those of the repository, which is the context: compose/ lies in it.
        """
        path = service.build.get("dockerfile") or "Dockerfile"
        if service.build:
            ours = posixpath.normpath(str(service.build.get("context"))) == ".."
            return self.builds.get(posixpath.normpath(str(path))) if ours else None
        image = str(service.get("image") or "").rpartition("/")[2].partition(":")[0]
        return self.builds.get(f"dockerfiles/{image}/Dockerfile")

    def shipped(self, service: Service) -> tuple[Instruction, ...]:
        """Give the instructions that make up a service's image, as far as they are known."""
        build = self.build_of(service)
        return build.shipped(str(service.build.get("target") or "")) if build else ()

    def target_of(self, build: Build) -> str:
        """Say which stage the document wants of a Dockerfile, "" for the last."""
        for service in self.document.services:
            if self.build_of(service) is build:
                return str(service.build.get("target") or "")
        return ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that a file can be held against; `number` is the recommendation's in CIS' list."""

    number: str
    title: str
    find: Callable[[Subject], Iterator[Finding]]


#: (the line of a Dockerfile or the name of a service, what is written there)
Found = Iterator[tuple[str, str]]


def of_build(
    number: str, title: str, remedy: str
) -> Callable[[Callable[[Build, Subject], Found]], Rule]:
    """Make a rule of what finds faults in one Dockerfile."""

    def make(look: Callable[[Build, Subject], Found]) -> Rule:
        def find(subject: Subject) -> Iterator[Finding]:
            for build in subject.builds.values():
                for where, what in look(build, subject):
                    yield Finding(number, build.file, where, what, remedy)

        return Rule(number, title, find)

    return make


def of_service(
    number: str, title: str, remedy: str
) -> Callable[[Callable[[Service, Subject], Iterator[str]]], Rule]:
    """Make a rule of what finds faults in one service of the compose document."""

    def make(look: Callable[[Service, Subject], Iterator[str]]) -> Rule:
        def find(subject: Subject) -> Iterator[Finding]:
            for service in subject.document.services:
                for what in look(service, subject):
                    yield Finding(number, subject.document.file, service.name, what, remedy)

        return Rule(number, title, find)

    return make


def both(first: Rule, *others: Rule) -> Rule:
    """Join rules of one number, one over Dockerfiles and one over services."""

    def find(subject: Subject) -> Iterator[Finding]:
        for rule in (first, *others):
            yield from rule.find(subject)

    return Rule(first.number, first.title, find)

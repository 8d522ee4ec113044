"""Steps up to a service's image: an engine, what images are built of, bases and images; pure."""

from __future__ import annotations

from dataclasses import dataclass

from twinstack.compose import render
from twinstack.compose.facts import DockerFacts
from twinstack.model import releases
from twinstack.model.plan import Plan, Replica
from twinstack.model.runtimes import Role
from twinstack.reconcile import Described, Step

ABSENT = "is not there"


@dataclass(frozen=True, slots=True)
class DockerAct(Described):
    """One act on one object."""

    plan: Plan
    label: str  # the object's name in the engine; "" for the only one of its kind


class EngineStart(DockerAct):
    """Start an engine of our own where none answers."""

    NAME, COMMANDS = "engine: start", ("dockerd",)

    def difference(self, facts: DockerFacts) -> str | None:
        return None if facts.engine else "none answers"


class RootTrees(DockerAct):
    """Unpack Debian's packages into the trees that our own bases are made of."""

    NAME, COMMANDS = "root trees: make", ("mmdebstrap",)

    def difference(self, facts: DockerFacts) -> str | None:
        roles = {replica.role for replica in self.plan.replicas} - facts.bases.keys()
        needed = any(declared_base(self.plan, role) is None for role in roles)
        return "a base needs them" if needed and not facts.trees else None


class Wheelhouse(DockerAct):
    """Download the Python packages that the images install."""

    NAME, COMMANDS = "wheelhouse: fetch", ("pip download",)

    def difference(self, facts: DockerFacts) -> str | None:
        return None if facts.wheelhouse else "is incomplete, or its list changed"


@dataclass(frozen=True, slots=True)
class BaseImage(DockerAct):
    """Pull the declared base image of a role, or import our own from its root tree."""

    role: Role
    NAME = "base {0.label}: make"

    @property
    def commands(self) -> tuple[str, ...]:
        declared = declared_base(self.plan, self.role)
        return (f"docker pull {declared}" if declared else "tar | docker import",)

    def difference(self, facts: DockerFacts) -> str | None:
        return None if self.role in facts.bases else "is not there, or of other packages"


@dataclass(frozen=True, slots=True)
class ServiceImage(DockerAct):
    """Build a service's image; the replicas of a version share it."""

    service: str
    role: Role
    NAME = "image {0.label}: build"
    COMMANDS = ("docker build --file dockerfiles/{0.service}/Dockerfile --tag {0.label} .",)

    def difference(self, facts: DockerFacts) -> str | None:
        current, base = facts.images.get(self.label), facts.bases.get(self.role)
        if current is None:
            return ABSENT
        if base is None:
            return "its base is replaced"
        if self.label not in facts.contexts:
            return "its build context is not there yet"
        same = current.digest == render.image_digest(facts.contexts[self.label], base)
        return None if same else "its build context or base changed"


class ReplacedImage(DockerAct):
    """Remove an image that lost its name to a newer build, or of a version that nobody runs."""

    NAME, COMMANDS = "image {0.label}: remove", ("docker rmi {0.label}",)

    def difference(self, facts: DockerFacts) -> str | None:
        return "was replaced"


class ReplacedVersion(DockerAct):
    """Remove a version of the services that the plan names no more."""

    NAME, COMMANDS = "version {0.label}: remove", ()

    def difference(self, facts: DockerFacts) -> str | None:
        return "is not of the plan"


#: After one of these more can be known: the facts are read again.
PREPARING = (EngineStart, RootTrees, Wheelhouse)
KINDS = (*PREPARING, BaseImage, ServiceImage)


def declared_base(plan: Plan, role: Role) -> str | None:
    """Give the base image that is declared for a role; None where it is to be our own."""
    declared = dict(plan.bases).get(role, render.BASE_PREFIX)
    return None if declared.startswith(render.BASE_PREFIX) else declared


def service_image(plan: Plan, replica: Replica) -> ServiceImage:
    """Give the image that a replica runs."""
    name = render.image_name(plan, replica.service, replica.version)
    return ServiceImage(plan, name, replica.service, replica.role)


def image_names(plan: Plan) -> frozenset[str]:
    """Name the images that the plan's replicas run, or would after a rollback."""
    released = (
        render.image_name(plan, release.service, version)
        for release in plan.releases
        for version in releases.named((release,))
    )
    return frozenset((*(image.label for image in _service_images(plan)), *released))


def steps(plan: Plan) -> tuple[Step[DockerFacts], ...]:
    """List the steps up to the services' images."""
    roles = sorted({replica.role for replica in plan.replicas})
    names = {role: declared_base(plan, role) or render.base_name(role) for role in roles}
    return (
        EngineStart(plan, ""),
        RootTrees(plan, ""),
        Wheelhouse(plan, ""),
        *(BaseImage(plan, name, role) for role, name in names.items()),
        *_service_images(plan),
    )


def removals(plan: Plan, facts: DockerFacts) -> tuple[ReplacedImage | ReplacedVersion, ...]:
    """List the images that lost, or will lose, their names, bases last; then unneeded versions."""
    lost = (
        render.replaced_name(image.label, facts.images[image.label].identity)
        for image in _service_images(plan)
        if image.label in facts.images and image.difference(facts)
    )
    tags = {*facts.replaced, *lost, *facts.outdated} - image_names(plan)
    in_order = sorted(tags, key=lambda tag: (tag.startswith(render.BASE_PREFIX), tag))
    unneeded = [name for name in facts.versions if name not in releases.named(plan.releases)]
    return (
        *(ReplacedImage(plan, tag) for tag in in_order),
        *(ReplacedVersion(plan, name) for name in unneeded),
    )


def _service_images(plan: Plan) -> tuple[ServiceImage, ...]:
    images = (service_image(plan, replica) for replica in plan.replicas)
    return tuple({image.label: image for image in images}.values())

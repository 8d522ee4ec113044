"""Another number of replicas than the declared one, as `net.scale` and `docker.scale` ask it. Pure.

A scale holds only the services that differ from topology.yml. Scaling a service to its declared
number removes it, and a service that is declared no longer is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from twinstack.errors import TopologyError, WrongUse
from twinstack.model import checks
from twinstack.model.runtimes import REGISTRY
from twinstack.model.topology import ServiceSpec, Topology

#: Each service that differs, and its number of replicas; in the order of their names.
Scale = tuple[tuple[str, int], ...]

_STORES = frozenset({"redis", "postgres"})


def scaled(topology: Topology, scale: Scale) -> Topology:
    """Give a topology with the numbers of a scale. Raises: TopologyError when they do not fit."""
    numbers = {name: number for name, number in scale if name in topology.services}
    if not numbers:
        return topology
    services = {
        name: spec.model_copy(update={"replicas": numbers.get(name, spec.replicas)})
        for name, spec in topology.services.items()
    }
    made = topology.model_copy(update={"services": services})
    if mistakes := checks.mistakes(made):
        raise TopologyError("scale", [mistake.error for mistake in mistakes])
    return made


def changed(topology: Topology, scale: Scale, service: str, replicas: int) -> Scale:
    """Give a scale with another number for one service.

    Raises: WrongUse for a service that cannot be scaled; TopologyError as `scaled`.
    """
    check_service(topology.services, service)
    if problem := problem_of(service, topology.services[service]):
        remedy = "scale another service, or change topology.yml"
        raise WrongUse(service, "cannot be scaled", problem, remedy)
    if replicas < 1:
        cause, remedy = "a service has at least one replica", "choose another number"
        raise WrongUse(service, f"cannot have {replicas} replicas", cause, remedy)
    numbers = {**dict(scale), service: replicas}
    made: Scale = tuple(
        (name, number)
        for name, number in sorted(numbers.items())
        if name in topology.services and topology.services[name].replicas != number
    )
    scaled(topology, made)
    return made


def check_service(services: Mapping[str, object], service: str) -> None:
    """Refuse a name that is no service. Raises: WrongUse that lists the services."""
    if service not in services:
        known = f"there are {', '.join(services)}"
        raise WrongUse(service, "is no service", known, "choose one of them")


def parse(word: str) -> tuple[str, int]:
    """Read SERVICE=N. Raises: WrongUse."""
    service, _, number = word.partition("=")
    if not service or not number.isdecimal() or not number.isascii() or len(number) > 5:
        remedy = "write SERVICE=N, such as product-service=5"
        raise WrongUse(word, "is no scale", "", remedy)
    return service, int(number)


def problem_of(service: str, spec: ServiceSpec) -> str:
    """Say why a running service cannot be scaled; empty where it can."""
    if spec.runtime in _STORES:
        return "a store's data is in one place"
    if service == REGISTRY:
        return "its table is one process's own"
    if spec.runtime == "asgi":
        return "nginx learns of its gateways only when it starts"
    return "it is the one door" if spec.runtime == "nginx" else ""

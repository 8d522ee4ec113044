"""Hold each service's values against each other and against the other services'. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from twinstack.model import secrets
from twinstack.model.mistakes import Mistake, ValuePath
from twinstack.model.names import replica_name, service_problem
from twinstack.model.topology import Egress, ServiceSpec, Topology

#: The application that caches what it answers.
CACHING_MODULE = "services.product_service.app:app"
_PYTHON = {"asgi", "wsgi"}


def mistakes(topology: Topology) -> Iterator[Mistake]:
    """Find what contradicts itself in a service or between two."""
    for name, spec in topology.services.items():
        path: ValuePath = ("services", name)
        if problem := service_problem(name):
            yield Mistake(path, "cannot be named so", problem, "rename it", of_key=True)
        yield from _application_mistakes(path, spec)
        yield from _health_mistakes(path, spec)
        yield from _secret_mistakes(path, spec, topology)
        if spec.egress:
            yield from egress_mistakes((*path, "egress"), spec.egress)
    yield from _replica_name_mistakes(topology)
    yield from _user_mistakes(topology)


def egress_mistakes(path: ValuePath, egress: Egress) -> Iterator[Mistake]:
    """Find ports that are named twice."""
    for protocol in ("tcp", "udp"):
        ports = egress.ports(protocol)
        for index, port in enumerate(ports):
            if (first := ports.index(port)) != index:
                failure, judged_by = f"names port {port} twice", ((*path, protocol, first),)
                yield Mistake((*path, protocol, index), failure, "", "remove one", judged_by)


def _application_mistakes(path: ValuePath, spec: ServiceSpec) -> Iterator[Mistake]:
    runtime, module = (*path, "runtime"), (*path, "module")
    if spec.runtime in _PYTHON and spec.module is None:
        cause = f"the runtime {spec.runtime} needs one"
        remedy = "add one such as services.order_service.app:app"
        yield Mistake(module, "is missing", cause, remedy, (runtime,))
    if spec.module is not None and spec.runtime not in _PYTHON:
        cause = f"a module is for the runtimes asgi and wsgi, not for {spec.runtime}"
        yield Mistake(module, "cannot be here", cause, "remove it", (runtime,))
    if spec.data and spec.runtime not in _PYTHON:
        cause = "it is for the runtimes asgi and wsgi: a store has its own"
        yield Mistake((*path, "data"), "cannot be true", cause, "remove it", (runtime,))
    if spec.cache == "near" and spec.module != CACHING_MODULE:
        cause = f"it is for the module {CACHING_MODULE}: no other caches"
        yield Mistake((*path, "cache"), "cannot be near", cause, "remove it", (module, runtime))


def _health_mistakes(path: ValuePath, spec: ServiceSpec) -> Iterator[Mistake]:
    health, runtime = (*path, "health"), (*path, "runtime")
    if (spec.health.http is None) == (spec.health.ping is None):
        failure = "must have exactly one of http and ping"
        yield Mistake(health, failure, "", "write such as {http: /health}")
    elif spec.health.ping not in {None, spec.runtime}:
        failure, cause = f"cannot be {spec.health.ping}", f"the runtime is {spec.runtime}"
        yield Mistake((*health, "ping"), failure, cause, "ask for a path by http", (runtime,))


def _secret_mistakes(path: ValuePath, spec: ServiceSpec, topology: Topology) -> Iterator[Mistake]:
    for index, name in enumerate(spec.secrets):
        own = (*path, "secrets", index)
        if remedy := secrets.remedy_for(name, topology.services):
            yield Mistake(own, f"{name!r} is no secret", "nothing provides it", remedy)
        elif secrets.OF_STORES.get(name, spec.runtime) != spec.runtime:
            cause = f"a {secrets.OF_STORES[name]} checks passwords by it"
            yield Mistake(own, f"cannot be {name}", cause, "remove it", ((*path, "runtime"),))


def _replica_name_mistakes(topology: Topology) -> Iterator[Mistake]:
    owners: dict[str, str] = {}
    for service, spec in topology.services.items():
        for number in range(1, spec.replicas + 1):
            replica = replica_name(service, number)
            if (owner := owners.setdefault(replica, service)) != service:
                yield Mistake(
                    ("services", service),
                    "cannot be named so",
                    f"{replica} would also be a replica of {owner}",
                    "rename it",
                    tuple(("services", name, "replicas") for name in (service, owner)),
                    of_key=True,
                )
                break


def _user_mistakes(topology: Topology) -> Iterator[Mistake]:
    owners: dict[int, str] = {}
    for service, spec in topology.services.items():
        if (owner := owners.setdefault(spec.user, service)) != service:
            yield Mistake(
                ("services", service, "user"),
                f"{spec.user} is used twice",
                f"{owner} has it, and could read what is {service}'s",
                "give each service a uid of its own",
                (("services", owner, "user"),),
            )

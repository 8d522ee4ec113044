"""Two chains in the networks of a world's own replicas, on other ports: naive, and near.

The naive chain is the seed's (bench/reference/naive). It reads the same Redis, and gets the same
interpreter, tree and product data: what differs is how the chain is written and served. The other
one is our own a second time, with `cache: near`: the world's commands, trees and environment, a
registry of its own and the world's stores. It has no seccomp filter, which adds some 0.1 µs to a
system call of the world's.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.engine import loads
from bench.engine.worlds import EDGE
from bench.load.programs import USER, Program, Running, await_port, nginx, running, workspace
from twinstack.errors import CannotTell, Missing, NotHealthy
from twinstack.model.plan import Plan, Replica
from twinstack.model.runtimes import REGISTRY
from twinstack.software.configs import nginx_conf
from twinstack.software.roots import Roots
from twinstack.software.secrets import OPERATOR, secret_path
from twinstack.software.wheels import Software
from twinstack.world import Endpoint, LocalWorld

PRODUCT_PORT, GATEWAY_PORT, EDGE_PORT = 5900, 3900, 8900
_REFERENCE = Path(__file__).parents[1] / "reference" / "naive"
#: `requests` and what it imports; the docker SDK brings them into the tools' environment.
_REQUESTS = ("requests", "urllib3", "idna", "certifi", "charset_normalizer")


@dataclass(frozen=True, slots=True)
class RunningChain:
    """A chain of programs; the stores that it reads are the world's."""

    edge: Endpoint  # where it is entered
    programs: tuple[Running, ...]

    def pids(self) -> list[int]:
        """List its processes."""
        return [pid for program in self.programs for pid in program.pids()]


@contextmanager
def chained(name: str, programs: Sequence[tuple[Program, Endpoint]]) -> Iterator[RunningChain]:
    """Run the programs of a chain, the last is its edge, until the block ends.

    Raises: NotHealthy; CannotTell when it does not answer as ours does.
    """
    edge = programs[-1][1]
    with running([program for program, _ in programs]) as started:
        for program, at in programs:
            await_port(started[program.name], at.address, at.port)
        try:
            answer = loads.wait_ok(edge, "/api/products", timeout_s=10)
        except CannotTell as error:
            logs = " / ".join(filter(None, (program.tail() for program in started.values())))
            raise NotHealthy(name, error.failure, logs[-1000:]) from error
        if b'"products"' not in answer:
            raise CannotTell(name, "does not answer as ours", str(answer[:80]))
        yield RunningChain(edge, tuple(started.values()))


@contextmanager
def naive_chain(
    world: LocalWorld, roots: Roots, software: Software, redis_password: str
) -> Iterator[RunningChain]:
    """Run the naive chain while the block lasts. Raises: Missing; as `chained`."""
    products = loads.get_ok(world.endpoint("product-service"), "/products")
    with workspace() as place:
        _lay_out(place, world, products, redis_password)
        programs = _programs(world, place, roots, software)
        with chained("the naive chain", [*programs]) as chain:
            yield chain


def _lay_out(place: Path, world: LocalWorld, products: bytes, redis_password: str) -> None:
    for name in ("product.py", "gateway.py"):
        shutil.copy(_REFERENCE / name, place / name)
    edge = (_REFERENCE / "nginx.conf").read_text(encoding="utf-8")
    gateway = f"{world.endpoint('api-gateway').address}:{GATEWAY_PORT}"
    edge = edge.replace("PORT", str(EDGE_PORT)).replace("GATEWAY", gateway)
    (place / "nginx.conf").write_text(edge, encoding="utf-8")
    (place / "products.json").write_bytes(products)
    secret = place / "redis_password"
    secret.touch(mode=0o400)
    os.chown(secret, USER, USER)
    secret.write_text(redis_password, encoding="utf-8")
    for package in _REQUESTS:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise Missing(package, "is not installed", "", 'run "make setup"')
        source, ignore = Path(spec.origin).parent, shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, place / "site" / package, ignore=ignore)


def _programs(
    world: LocalWorld, place: Path, roots: Roots, software: Software
) -> Iterator[tuple[Program, Endpoint]]:
    redis, networks = world.endpoint("redis-cache"), world.main_pids()
    common = {"LANG": "C.UTF-8", "PYTHONPATH": "/srv/twinstack/site:/mnt/site", "PATH": "/usr/bin"}
    binds = ((software.directory, "/srv/twinstack"), (place, "/mnt"))
    python = partial(Program, tree=roots.tree("python"), binds=binds)
    product = {
        "PORT": str(PRODUCT_PORT),
        "REDIS_HOST": redis.address,
        "REDIS_PORT": str(redis.port),
        "REDIS_USER": OPERATOR,
        "REDIS_PASSWORD_FILE": "/mnt/redis_password",
        "PRODUCTS_FILE": "/mnt/products.json",
    }
    upstreams = []
    for replica in world.plan.replicas_of("product-service"):
        name, command = f"naive-{replica.name}", ("/usr/bin/python3", "/mnt/product.py")
        at = Endpoint(world.endpoint(replica.service, replica.number).address, PRODUCT_PORT)
        network = networks[replica.name]
        yield python(name, command, environment={**common, **product}, network=network), at
        upstreams.append(f"{at.address}:{at.port}")
    gateway = {**common, "PORT": str(GATEWAY_PORT), "UPSTREAMS": " ".join(upstreams)}
    command = ("/usr/bin/python3", "/mnt/gateway.py")
    program = python("naive-gateway", command, environment=gateway, network=networks["api-gateway"])
    yield program, Endpoint(world.endpoint("api-gateway").address, GATEWAY_PORT)
    program = nginx("naive-nginx", roots.tree("nginx"), place, network=networks[EDGE])
    yield program, Endpoint(world.endpoint(EDGE).address, EDGE_PORT)


SERVICES = (REGISTRY, "product-service", "api-gateway", EDGE)  # in the order of their start
SHIFT = 800  # how far its ports are from the world's


@contextmanager
def near_chain(
    world: LocalWorld, roots: Roots, software: Software, secrets: Path
) -> Iterator[RunningChain]:
    """Run it while the block lasts; `secrets` are the world's. Raises: as `chained`."""
    plan, networks = shifted(world.plan), world.main_pids()
    with workspace() as place:
        programs = []
        for replica in (each for service in SERVICES for each in plan.replicas_of(service)):
            own, tree = place / replica.name, roots.tree(replica.role)
            own.mkdir(mode=0o755)
            for secret in replica.secrets:
                copy = shutil.copy(secret_path(secrets, replica.service, secret), own)
                os.chown(copy, USER, USER)
            program = program_of(plan, replica, own, tree, software.directory)
            program = replace(program, network=networks[replica.name])
            programs.append((program, Endpoint(str(replica.address), replica.port)))
        with chained("the near chain", programs) as chain:
            yield chain


def shifted(plan: Plan) -> Plan:
    """Give the plan with other ports for what is started here."""
    return replace(
        plan,
        replicas=tuple(
            replace(each, port=each.port + SHIFT) if each.service in SERVICES else each
            for each in plan.replicas
        ),
    )


def program_of(plan: Plan, replica: Replica, own: Path, tree: Path, software: Path) -> Program:
    """Give a replica of the shifted plan as a program; `own` is its directory, with its secrets.

    /etc/hosts is the tree's, which names nobody: all that it reaches it gets by address.
    """
    name = f"near-{replica.name}"
    if replica.service == EDGE:
        named = tuple(replace(each, name=str(each.address)) for each in plan.replicas)
        (own / "nginx.conf").write_text(nginx_conf(replace(plan, replicas=named), replica))
        return nginx(name, tree, own, "-g", "daemon off;")
    registry, redis, postgres = (
        plan.replicas_of(service)[0] for service in (REGISTRY, "redis-cache", "postgres-db")
    )
    environment = {
        **replica.environment_in("net"),
        "TWINSTACK_PORT": str(replica.port),
        "SECRETS_DIR": "/mnt",
        "REGISTRY_URL": f"http://{registry.address}:{registry.port}",
        "REDIS_HOST": str(redis.address),
        "POSTGRES_HOST": str(postgres.address),
        "CACHE": "near" if replica.service == "product-service" else "shared",
    }
    environment.pop("DATA_DIR", None)  # The table of the world's registry is not its own.
    former = str(replica.port - SHIFT)
    command = tuple(
        str(replica.port) if word == former else word for word in replica.launch.command
    )
    return Program(name, command, tree, ((software, "/srv/twinstack"), (own, "/mnt")), environment)

"""Our chain a second time, with `cache: near`, in the networks of a world's own replicas.

Its programs are the world's own (commands, trees, environment), on other ports of the same
namespaces, with a registry of their own and the world's stores. They have no seccomp filter, which
adds some 0.1 µs to a system call of the world's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.engine import loads
from bench.engine.worlds import EDGE
from bench.load.programs import USER, Program, Running, await_port, running, workspace
from twinstack.errors import CannotTell, NotHealthy
from twinstack.model.plan import Plan, Replica
from twinstack.model.runtimes import REGISTRY
from twinstack.software.configs import nginx_conf
from twinstack.software.roots import Roots
from twinstack.software.secrets import secret_path
from twinstack.software.wheels import Software
from twinstack.world import Endpoint, LocalWorld

SERVICES = (REGISTRY, "product-service", "api-gateway", EDGE)  # in the order of their start
SHIFT = 800  # how far its ports are from the world's


@dataclass(frozen=True, slots=True)
class NearChain:
    """The running chain."""

    edge: Endpoint  # where it is entered
    programs: tuple[Running, ...]

    def pids(self) -> list[int]:
        """List its processes; the stores are the world's."""
        return [pid for program in self.programs for pid in program.pids()]


@contextmanager
def near_chain(
    world: LocalWorld, roots: Roots, software: Software, secrets: Path
) -> Iterator[NearChain]:
    """Run it while the block lasts; `secrets` are the world's. Raises: Missing; NotHealthy."""
    plan = shifted(world.plan)
    replicas = [each for service in SERVICES for each in plan.replicas_of(service)]
    networks = {process.replica: process.pid for process in world.processes()}
    with workspace() as place:
        programs = []
        for replica in replicas:
            own, tree = place / replica.name, roots.tree(replica.role)
            own.mkdir(mode=0o755)
            for secret in replica.secrets:
                copy = shutil.copy(secret_path(secrets, replica.service, secret), own)
                os.chown(copy, USER, USER)
            program = program_of(plan, replica, own, tree, software.directory)
            programs.append(replace(program, network=networks[replica.name]))
        with running(programs) as started:
            for program, replica in zip(programs, replicas, strict=True):
                await_port(started[program.name], str(replica.address), replica.port)
            edge = Endpoint(str(replicas[-1].address), replicas[-1].port)
            try:
                loads.wait_ok(edge, "/api/products", timeout_s=10)
            except CannotTell as error:
                logs = " / ".join(filter(None, (program.tail() for program in started.values())))
                raise NotHealthy("the near chain", error.failure, logs[-1000:]) from error
            yield NearChain(edge, tuple(started.values()))


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
        nginx = ("/usr/sbin/nginx", "-e", "stderr", "-c", "/mnt/nginx.conf", "-g", "daemon off;")
        return Program(name, nginx, tree, ((own, "/mnt"),))
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

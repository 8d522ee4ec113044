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
from dataclasses import replace
from pathlib import Path

from bench.engine.worlds import EDGE
from bench.load.programs import USER, Program, nginx, workspace
from bench.questions.naive import RunningChain, chained
from twinstack.model.plan import Plan, Replica
from twinstack.model.runtimes import REGISTRY
from twinstack.software.configs import nginx_conf
from twinstack.software.roots import Roots
from twinstack.software.secrets import secret_path
from twinstack.software.wheels import Software
from twinstack.world import Endpoint, LocalWorld

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

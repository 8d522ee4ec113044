"""Provide what the namespace world's services run on: trees, packages, secrets, configuration.

All of it comes from `twinstack.software`, which the Docker world builds its images from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from twinstack.confinement import seccomp
from twinstack.model.plan import Plan
from twinstack.namespaces.launch import ProvidedSoftware
from twinstack.reconcile import Progress
from twinstack.software.configs import configuration_of
from twinstack.software.roots import Roots, ensure_roots, find_roots, recipe_for
from twinstack.software.secrets import ensure_secrets
from twinstack.software.wheels import Software as Installed
from twinstack.software.wheels import ensure_software, find_software
from twinstack.state.paths import InstancePaths


def accounts(plan: Plan) -> Mapping[str, int]:
    """Map each service to its numeric user."""
    return {replica.service: replica.user for replica in plan.replicas}


def provide(plan: Plan, repository: Path, progress: Progress) -> ProvidedSoftware:
    """Give the software of a plan, building what is not there yet.

    Raises: Missing without root or mmdebstrap; StepFailed when packages cannot be had.
    """
    roots = ensure_roots(recipe_for(accounts(plan)), progress)
    installed = ensure_software(repository, roots, progress)
    lib = InstancePaths(plan.instance).lib
    lib.mkdir(mode=0o700, parents=True, exist_ok=True)  # to open it is a step, as of the lock's
    ensure_secrets(lib / "secrets", plan)
    return _described(plan, roots, installed)


def find(plan: Plan, repository: Path) -> ProvidedSoftware | None:
    """Give the software of a plan if all of it is there; builds nothing. Raises: CannotTell."""
    roots = find_roots(recipe_for(accounts(plan)))
    installed = find_software(repository)
    return None if roots is None or installed is None else _described(plan, roots, installed)


def _described(plan: Plan, roots: Roots, installed: Installed) -> ProvidedSoftware:
    trees = {replica.role: roots.tree(replica.role) for replica in plan.replicas}
    # A tree and a directory of packages are never changed in place: their names tell them apart.
    names = f"{roots.directory} {installed.directory}"
    return ProvidedSoftware(
        trees=trees,
        srv=installed.directory,
        supervisor=installed.supervisor,
        configs={replica.name: configuration_of(plan, replica) for replica in plan.replicas},
        digest=hashlib.sha256(names.encode()).hexdigest()[:12],
        seccomp=seccomp.compiled(),
    )

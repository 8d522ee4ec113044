"""Provide what the namespace world's services run on: trees, packages, secrets, configuration.

All of it comes from `twinstack.software`, which the Docker world builds its images from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from twinstack.confinement import seccomp
from twinstack.model.plan import Plan
from twinstack.namespaces.launch import ProvidedSoftware
from twinstack.namespaces.process_steps import digest
from twinstack.reconcile import Progress
from twinstack.software.configs import configuration_of
from twinstack.software.roots import Roots, ensure_roots, find_roots, recipe_for
from twinstack.software.secrets import ensure_secrets, stale_secrets
from twinstack.software.versions import check_kept
from twinstack.software.wheels import Software, ensure_software, find_software
from twinstack.state.paths import InstancePaths


def accounts(plan: Plan) -> Mapping[str, int]:
    """Map each service to its numeric user."""
    return {replica.service: replica.user for replica in plan.replicas}


def ensure_built(plan: Plan, repository: Path, progress: Progress) -> tuple[Roots, Software]:
    """Build the root trees and packages that are absent.

    Raises: Missing without root or mmdebstrap; StepFailed when packages cannot be downloaded.
    """
    roots = ensure_roots(recipe_for(accounts(plan)), progress)
    return roots, ensure_software(repository, roots, progress)


def find_built(plan: Plan, repository: Path) -> tuple[Roots, Software] | None:
    """Find the root trees and packages, if all are built. Raises: CannotTell."""
    roots, software = find_roots(recipe_for(accounts(plan))), find_software(repository)
    return None if roots is None or software is None else (roots, software)


def provide(plan: Plan, repository: Path, progress: Progress) -> ProvidedSoftware:
    """Give the software of a plan, building what is absent. Raises: as `ensure_built`."""
    built = ensure_built(plan, repository, progress)
    paths = InstancePaths(plan.instance)
    paths.lib.mkdir(mode=0o700, parents=True, exist_ok=True)  # a step of `up` opens it to services
    ensure_secrets(paths.secrets, plan)
    return _provided(plan, *built)


def find(plan: Plan, repository: Path) -> ProvidedSoftware | None:
    """Give the software of a plan if all of it is built. Raises: CannotTell; Missing, no root."""
    built = find_built(plan, repository)
    if built is None:
        return None
    stale = stale_secrets(InstancePaths(plan.instance).secrets, plan)
    return replace(_provided(plan, *built), stale_secrets=stale)


def _provided(plan: Plan, roots: Roots, software: Software) -> ProvidedSoftware:
    """Raises: TwinstackError for a released version that is gone."""
    run = {replica.version for replica in plan.here if replica.version}
    check_kept(InstancePaths(plan.instance).versions, run)
    # A tree and a directory of packages never change: their names tell them apart.
    names = f"{roots.directory} {software.directory}"
    return ProvidedSoftware(
        trees={replica.role: roots.tree(replica.role) for replica in plan.replicas},
        srv=software.directory,
        supervisor=software.supervisor,
        configs={replica.name: configuration_of(plan, replica) for replica in plan.replicas},
        digest=digest(names),
        seccomp=seccomp.compiled(),
    )

"""Hold the modules that a topology names against the applications in services/."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from twinstack.model.mistakes import Mistake, meant
from twinstack.model.topology import Topology

SERVICES = Path(__file__).parents[2] / "services"


def mistakes(topology: Topology, services: Path = SERVICES) -> Iterator[Mistake]:
    """Find modules that are not there, and such as do not hold the named application.

    A process imports from a copy of the directory: no module elsewhere can be served.
    """
    for service, spec in topology.services.items():
        if spec.module is None:
            continue
        module, _, name = spec.module.partition(":")
        path, failure = ("services", service, "module"), f"cannot be {spec.module}"
        file = _file(module, services)
        if file is None:
            there = [f"services.{each.parent.name}.app:app" for each in services.glob("*/app.py")]
            cause = "services/ has no such module"
            remedy = meant(spec.module, there, f"there are {', '.join(sorted(there))}")
            yield Mistake(path, failure, cause, remedy)
        elif not re.search(rf"\b{name}\b|import \*", file.read_text(errors="replace")):
            cause = f"services/{file.relative_to(services)} names no {name}"
            yield Mistake(path, failure, cause, "correct what follows the colon")


def _file(module: str, services: Path) -> Path | None:
    """Give the file of a module of the package `services`, if there is one."""
    package, *parts = module.split(".")
    if package != "services" or not all(parts):
        return None
    there = services.joinpath(*parts)
    files = (there.with_name(f"{there.name}.py"), there / "__init__.py")
    return next((file for file in files if file.is_file()), None)

"""The names that a topology declares, read at once: for the shell, which completes them."""

from __future__ import annotations

from pathlib import Path

import yaml

from twinstack.model.names import replica_name


def replica_names(topology: Path) -> list[str]:
    """Name the services, and then their other replicas; none when the file cannot be read."""
    try:
        declared = yaml.load(topology.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        counts = {
            str(name): int(of.get("replicas", 1)) for name, of in declared["services"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError):
        return []
    more = (
        replica_name(name, number)
        for name, count in counts.items()
        for number in range(2, count + 1)
    )
    return [*counts, *more]

"""The logs of the namespace world, alone: they are read without loading what runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twinstack.namespaces.log_file import LogFile
from twinstack.state.paths import InstancePaths

if TYPE_CHECKING:  # a plan is not needed
    from twinstack.model.outline import Outline
    from twinstack.model.plan import Plan


class NamespaceLogs:
    """The log files of a plan's replicas."""

    def __init__(self, plan: Plan | Outline) -> None:
        self.plan = plan

    def log_names(self) -> tuple[str, ...]:
        """Name the plan's replicas, and those that left a log: `down` and scaling keep them."""
        files = sorted(path.stem for path in InstancePaths(self.plan.instance).log.glob("*.log"))
        return tuple(dict.fromkeys((*(replica.name for replica in self.plan.here), *files)))

    def log_reader(self, replica: str) -> LogFile:
        """Give what reads a replica's log, its rotated part included."""
        return LogFile(InstancePaths(self.plan.instance).log_of(replica))

"""What faults are made of: each effect is put by `begin` and taken away by `end`.

An effect is plain data, written to the record before `begin`; so `end` needs nothing but the
effect, does no harm twice, and finds nothing to do where its object is gone. What it changes
carries a mark of ours: a chain's name, a qdisc's handle, a cgroup or a container of ours.
`on_processes` and `on_packets` hold them.
"""

from __future__ import annotations

from typing import Protocol

from twinstack.world import LocalWorld


class Effect(Protocol):
    """Something that is wrong with a world for a while."""

    def begin(self, world: LocalWorld) -> None:
        """Put it. Raises: StepFailed; NotOurs where a foreign object is in the way."""

    def end(self, world: LocalWorld | None) -> None:
        """Take it away, whether or not it is there. Raises: StepFailed.

        Without a world, an `up` or a `down` is under way, which starts or ends what runs itself.
        """

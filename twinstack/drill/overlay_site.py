"""What the commands of an overlay's drill may name: replicas on several simulated hosts.

`{nginx-lb.on_host} bridge fdb …` is run on the host that nginx-lb is on, as seen from here.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from twinstack.model import names
from twinstack.model.plan import Replica
from twinstack.model.vxlan import mac_of
from twinstack.overlay.host_plans import tunnel_link
from twinstack.overlay.hosts import pins_of
from twinstack.overlay.world import Overlay


@dataclass(frozen=True, slots=True)
class SpreadPlace:
    """A replica, its host, and that host's end of the tunnel."""

    overlay: Overlay
    replica: str

    @property
    def _own(self) -> Replica:
        return self.overlay.plan.replica(self.replica)

    @property
    def host(self) -> str:
        """The name of its host."""
        return self.overlay.spread.where[self.replica]

    @property
    def on_host(self) -> str:
        """The words that run a command on its host. Raises: Missing when that is not up."""
        return shlex.join(pins_of(self.overlay.plan.instance, self.host).enter)

    @property
    def enter(self) -> str:
        """The words that run a command in its network namespace."""
        return f"{self.on_host} nsenter --net=/run/netns/{self.replica} --"

    @property
    def address(self) -> str:
        return str(self._own.address)

    @property
    def mac(self) -> str:
        """The MAC address of its link, the same wherever it is."""
        return mac_of(self._own.address)

    @property
    def link(self) -> str:
        """The link inside its network namespace."""
        return self._own.link

    @property
    def tunnel(self) -> str:
        """The VXLAN link of its segment, the same on every host."""
        return tunnel_link(self._own.segment)

    @property
    def vtep(self) -> str:
        """Its host's address on the underlay."""
        return str(self.overlay.spread.host(self.host).address)

    @property
    def no_vtep(self) -> str:
        """An address of the underlay that no host has."""
        return str(self.overlay.spread.underlay[-2])

    @property
    def host_end(self) -> str:
        """The port of its host on the underlay's bridge, here."""
        return names.host_link(self.host)


@dataclass(frozen=True)
class OverlaySite:
    """A running overlay as a drill's commands name it."""

    overlay: Overlay

    @cached_property
    def names(self) -> Mapping[str, object]:
        """Map what may stand in braces to what it means."""
        return {
            each.name: SpreadPlace(self.overlay, each.name) for each in self.overlay.plan.replicas
        }

    def written(self, command: str) -> str:
        """Put what the names in braces mean into a command; {{ and }} stand for braces."""
        return command.format_map(self.names)

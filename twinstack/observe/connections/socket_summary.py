"""Sum up a namespace's sockets: by state, listeners, and where TIME_WAIT piles up. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from twinstack.linux.sock_diag import Socket
from twinstack.observe.connections.report import Listener, Sockets


@dataclass(slots=True)
class Gathered:
    """What one namespace told, as it comes out of the child that entered it.

    `listening` maps a port to (connections that wait, room for them); `ended` counts the sockets in
    TIME_WAIT that went out, by the peer that they went to.
    """

    states: Counter[str] = field(default_factory=Counter)
    listening: dict[int, tuple[int, int]] = field(default_factory=dict)
    ended: Counter[tuple[bytes, int]] = field(default_factory=Counter)
    time_wait_limit: int | None = None
    local_ports: int | None = None
    tracked: int = 0

    def take(self, sockets: Iterable[Socket]) -> None:
        """Count sockets."""
        taken = list(sockets)
        listening = {one.local_port for one in taken if one.state == "LISTEN"}
        for one in taken:
            self.states[one.state] += 1
            if one.state == "LISTEN":  # a port may have a listener for each worker: the fullest
                before = self.listening.get(one.local_port, (-1, 0))
                self.listening[one.local_port] = max(before, (one.waiting, one.room))
            elif one.state == "TIME_WAIT" and one.local_port not in listening:
                self.ended[one.peer, one.peer_port] += 1  # it went out: it keeps a local port


def sockets_of(
    replica: str, service: str, found: Gathered, place: Callable[[bytes, int], str]
) -> Sockets:
    """Say what a replica's namespace told; `place` writes an address and its port."""
    (peer, port), most = found.ended.most_common(1)[0] if found.ended else ((b"", 0), 0)
    return Sockets(
        replica=replica,
        service=service,
        states=dict(sorted(found.states.items())),
        listening=tuple(
            Listener(port, waiting, room)
            for port, (waiting, room) in sorted(found.listening.items())
        ),
        time_wait_limit=found.time_wait_limit,
        local_ports=found.local_ports,
        busiest=place(peer, port) if most else "",
        to_busiest=most,
        tracked=found.tracked,
    )


def port_count(written: str) -> int | None:
    """Read net.ipv4.ip_local_port_range: how many ports a client may choose from."""
    words = written.split()
    return int(words[1]) - int(words[0]) + 1 if len(words) == 2 else None

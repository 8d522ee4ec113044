"""Effects on packets: a link down, packets dropped, held back, or let through at a rate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from twinstack.errors import NotOurs
from twinstack.linux import child, iptables, links
from twinstack.linux.iptables import Hook, Ownership
from twinstack.linux.nfqueue import DelayQueue
from twinstack.linux.process import run
from twinstack.world import LocalWorld

#: The handle of our qdiscs: no other program's default.
QDISC = "7e57:"


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The host's end of a replica's veth pair is down. Same as: ip link set dev LINK down."""

    namespace: str  # that holds the link; "": ours
    link: str
    index: int
    kind: Literal["link down"] = "link down"

    def begin(self, world: LocalWorld) -> None:
        _in(self.namespace, "ip", "link", "set", "dev", self.link, "down")

    def end(self, world: LocalWorld | None) -> None:
        if _is_there(self.namespace, self.link, self.index):
            _in(self.namespace, "ip", "link", "set", "dev", self.link, "up")


@dataclass(frozen=True, slots=True)
class FirstChain:
    """A chain of ours, first in FORWARD, drops packets or hands them over."""

    namespace: str  # of the host; "": ours
    chain: str
    mark: str
    rules: tuple[str, ...]  # as iptables-save prints them, without the chain
    kind: Literal["chain"] = "chain"

    def begin(self, world: LocalWorld) -> None:
        hook = Hook("filter", "FORWARD", self.chain, self.rules, first=True, comment=self.mark)
        _in(self.namespace, *iptables.RESTORE, stdin=iptables.restore_text((hook,), {}))

    def end(self, world: LocalWorld | None) -> None:
        ours = Ownership(iptables.exactly(self.chain), self.mark)
        text = _in(self.namespace, "iptables-save", "-t", "filter")
        if removal := iptables.removal_text(ours, iptables.parse_save(text)):
            _in(self.namespace, *iptables.RESTORE, stdin=removal)


#: The readers of delayed packets: children that end with us.
_READERS: dict[Delayed, child.Child] = {}


@dataclass(frozen=True, slots=True)
class Delayed:
    """Packets that pass the host wait in a queue of ours (NFQUEUE); if we die, they are dropped."""

    chain: FirstChain  # the chain that hands them over
    queue: int
    delay_ms: int
    kind: Literal["delayed"] = "delayed"

    def begin(self, world: LocalWorld) -> None:
        queues: list[DelayQueue] = []
        where = Path(self.chain.namespace) if self.chain.namespace else None
        reader = child.start(
            f"queue {self.queue}",
            where,
            lambda: queues.append(DelayQueue(self.queue, self.delay_ms / 1000)),
            lambda: queues[0].serve(),
        )
        _READERS[self] = reader
        reader.answer()
        self.chain.begin(world)

    def end(self, world: LocalWorld | None) -> None:
        self.chain.end(world)  # first: what is handed over needs a reader
        if self in _READERS:
            _READERS.pop(self).end()


@dataclass(frozen=True, slots=True)
class Shaped:
    """A token bucket on one end of a veth pair. Same as: tc qdisc add dev LINK root tbf.

    Its handle is our mark: no other qdisc is taken away. Source: tc-tbf(8).
    """

    namespace: str
    link: str
    kbit_per_s: int
    kind: Literal["shaped"] = "shaped"

    def begin(self, world: LocalWorld) -> None:
        if (handle := self._handle()) not in {"0:", QDISC}:
            cause = f"it has a qdisc {handle} that is not ours"
            raise NotOurs(f"link {self.link}", "cannot be shaped", cause, "choose another target")
        _in(
            self.namespace,
            *self._qdisc("replace"),
            *f"tbf rate {self.kbit_per_s}kbit burst 16kb latency 200ms".split(),
        )

    def end(self, world: LocalWorld | None) -> None:
        if self._handle() == QDISC:
            _in(self.namespace, *self._qdisc("del"))

    def _qdisc(self, verb: str) -> list[str]:
        return f"tc qdisc {verb} dev {self.link} root handle {QDISC}".split()

    def _handle(self) -> str:
        """Give the root qdisc's handle, 0: for the kernel's own; empty for a link that is gone."""
        if self.namespace and not Path(self.namespace).exists():
            return ""
        show = f"tc qdisc show dev {self.link} root".split()
        shown = run([*_enter(self.namespace), *show], check=False).stdout.split()
        return shown[2] if len(shown) > 2 else ""


def _is_there(namespace: str, name: str, index: int) -> bool:
    """Tell whether a link is the one that was seen: a container's next link has another index."""
    if namespace and not Path(namespace).exists():
        return False
    where = Path(namespace) if namespace else None
    found = child.inside(f"the namespace of {name}", where, links.links_here).get(name)
    return found is not None and found.index == index


def _enter(namespace: str) -> list[str]:
    return ["nsenter", f"--net={namespace}", "--"] if namespace else []


def _in(namespace: str, *words: str, stdin: str = "") -> str:
    """Run a command in a network namespace ("": ours) and give its output. Raises: StepFailed."""
    return run([*_enter(namespace), *words], stdin=stdin).stdout

"""Ask every replica of a world from inside, over connections that are kept.

For a child with one thread (`entering.stream_in`). Nobody waits for anybody: what one replica does
not answer in time is told as it is, and asked for again.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from twinstack.errors import StepFailed
from twinstack.linux import child
from twinstack.model.plan import Plan, Replica
from twinstack.observe.live import answers
from twinstack.observe.live import probes as q
from twinstack.observe.live.readings import Count, GatewayCounts, Lease, Said, Tally, Told

#: A refusal comes at once; only a full queue of connections keeps one waiting.
_CONNECT_S = 0.25
_CHUNK = 65536
_TOO_LONG = 4 << 20
_DRAIN_S = 0.005
#: A new session costs PostgreSQL a process, so it is asked less often.
_SELDOM_S = 3.0


class Probe:
    """One process of a replica's: its connection, and what it said last."""

    def __init__(self, replica: Replica, pid: int, selector: selectors.BaseSelector) -> None:
        self.replica = replica
        self.pid = pid
        self.said = Said("down", "has not answered yet")
        self.settled = False
        self.count: Count | None = None
        self.gateway: Told[GatewayCounts] | None = None
        self.registry: Told[tuple[Lease, ...]] | None = None
        self.asks: Told[tuple[Tally, ...]] | None = None
        self.asked = 0
        self._selector = selector
        self._questions = q.questions(replica)
        self._waiting: list[q.Question] = []
        self._link: socket.socket | None = None
        self._data = b""
        self._sent_s = 0.0
        self._again_s = 0.0
        self._retried = False
        self._gone = os.pidfd_open(pid)
        selector.register(self._gone, selectors.EVENT_READ, (self, True))

    @property
    def busy(self) -> bool:
        """Tell whether an answer is still to come."""
        return bool(self._waiting)

    def begin(self, now_s: float) -> None:
        """Ask everything, unless it is still being asked or it is too soon."""
        if self._waiting:
            self.expire(now_s)
        elif now_s >= self._again_s:
            self._waiting = list(self._questions)
            self._retried = False
            self._ask(fresh=False)

    def expire(self, now_s: float) -> None:
        """Give up on an answer that takes longer than the declared probe would wait."""
        timeout_s = self.replica.health.timeout_s
        if self._waiting and now_s - self._sent_s > timeout_s:
            self._fail(f"no answer within {timeout_s:g} s")

    def receive(self) -> None:
        """Take in what has come."""
        assert self._link is not None
        try:
            data = self._link.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error.strerror or str(error))
            return
        if not self._waiting:  # closed between two rounds (a keep-alive's end), or noise
            self._close()
            return
        if not data:
            self._lost("closed the connection")
            return
        self._data += data
        if len(self._data) > _TOO_LONG:
            self._fail("its answer has no end")
        elif q.whole(self._waiting[0], self._data):
            self._take(self._waiting.pop(0), self._data)
            if self._waiting:
                self._ask(fresh=False)

    def end(self) -> None:
        """Let go of everything."""
        self._close()
        if self._gone >= 0:
            self._selector.unregister(self._gone)
            os.close(self._gone)
            self._gone = -1

    def _ask(self, *, fresh: bool) -> None:
        self._sent_s = time.monotonic()
        self._data = b""
        try:
            if self._link is None:
                fresh = True
                self._connect()
            assert self._link is not None
            self._link.send(self._waiting[0].data)
        except OSError as error:
            if fresh:
                self._fail(error.strerror or str(error))
            else:
                self._close()
                self._ask(fresh=True)

    def _connect(self) -> None:
        namespace = Path(f"/proc/{self.pid}/ns/net")
        if namespace.samefile(child.OWN):  # it is starting: a service of the host's would answer
            raise OSError("has not joined its network namespace yet")
        link = child.stream_in(namespace)
        try:
            link.settimeout(_CONNECT_S)
            link.connect(("127.0.0.1", self.replica.port))
            link.setblocking(False)
        except OSError:
            link.close()
            raise
        self._link = link
        self._selector.register(link, selectors.EVENT_READ, (self, False))

    def _lost(self, why: str) -> None:
        """Try once more on a new connection: a kept one may have ended in good order."""
        if self._data or self._retried:
            self._fail(why)
            return
        self._retried = True
        self._close()
        self._ask(fresh=True)

    def _take(self, question: q.Question, data: bytes) -> None:
        now_s = time.monotonic()
        self.asked += 1
        self.settled = True
        answer = q.http_answer(data) if question.form == "http" else None
        if question.what == "health":
            self.said = q.judged(question, data, (now_s - self._sent_s) * 1000)
            if answer is not None:
                self._note_asked(answer.body, now_s)
        elif answer is not None and answer.status == 200:
            self._note(question, answer.body, now_s)
        if question.once:
            self._again_s = now_s + _SELDOM_S
        if question.once or (answer is not None and answer.last):
            self._close()

    def _note(self, question: q.Question, body: bytes, now_s: float) -> None:
        if question.what == "status":
            requests = q.requests_of(body)
            if requests is not None:
                self.count = Count(now_s, self.pid, requests - self.asked)
        elif question.what == "counts":
            counts = answers.gateway(body)
            self.gateway = Told(now_s, self.pid, counts) if counts else None
            self._note_asked(body, now_s)
        elif question.what == "registry":
            leases = answers.registry(body)
            self.registry = None if leases is None else Told(now_s, self.pid, leases)

    def _note_asked(self, body: bytes, now_s: float) -> None:
        found = answers.asked(body)
        if found is not None:
            self.asks = Told(now_s, self.pid, found)

    def _fail(self, why: str) -> None:
        self._close()
        self._waiting = []
        self.settled = True
        self.said = Said("down", why)
        self.count = self.gateway = self.registry = self.asks = None

    def _close(self) -> None:
        if self._link is not None:
            self._selector.unregister(self._link)
            self._link.close()
            self._link = None


class Prober:
    """The probes of a world's running processes."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._selector = selectors.DefaultSelector()
        self.probes: dict[str, Probe] = {}

    def follow(self, pids: Mapping[str, int]) -> None:
        """Probe these processes and no others."""
        for name in [name for name, one in self.probes.items() if pids.get(name) != one.pid]:
            self.probes.pop(name).end()
        for name, pid in pids.items():
            if name not in self.probes:
                with suppress(OSError):  # it has ended already
                    self.probes[name] = Probe(self._plan.replica(name), pid, self._selector)

    def round(self, wait_s: float) -> tuple[str, ...]:
        """Ask everybody, and wait a while for the answers; name those who ended meanwhile."""
        # What came while we were kept (a suspended machine) is an answer in time.
        if ended := self.rest(time.monotonic() + _DRAIN_S, whole=True):
            return ended
        for probe in self.probes.values():
            probe.begin(time.monotonic())
        return self.rest(time.monotonic() + wait_s, whole=True)

    def rest(self, until_s: float, *, whole: bool = False) -> tuple[str, ...]:
        """Take in what comes until a moment, or until a process ends: then name it, at once.

        `whole`: no longer than until every answer is there.
        """
        while (left_s := until_s - time.monotonic()) > 0:
            if whole and not any(probe.busy for probe in self.probes.values()):
                return ()
            if not self.probes:
                time.sleep(left_s)
                return ()
            ended = []
            for key, _ in self._selector.select(left_s):
                probe, died = key.data
                if died:
                    ended.append(probe.replica.name)
                elif key.fileobj is not None and not ended:
                    probe.receive()
            if ended:
                for name in ended:
                    self.probes.pop(name).end()
                return tuple(ended)
        return ()

    def end(self) -> None:
        """Let go of everything."""
        self.follow({})
        self._selector.close()


def require_namespaces() -> None:
    """See that we may enter namespaces. Raises: StepFailed."""
    try:
        child.stream_in(child.OWN).close()
    except OSError as error:
        raise StepFailed("network namespaces", "cannot be entered", str(error)) from error

"""Probe every replica of a world from inside its namespace, over connections that are kept.

No replica delays another: one that does not answer in time is reported as it is, and asked again.
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
from twinstack.observe.live import answers, probes
from twinstack.observe.live.answers import DependencyCounts, GatewayCounts, Lease
from twinstack.observe.live.model import Dated, ProbeResult

#: A refusal comes at once; only a full accept queue delays a connection.
_CONNECT_S = 0.25
_CHUNK = 65536
_LONGEST_ANSWER = 4 << 20
_DRAIN_S = 0.005
#: A new session costs PostgreSQL a process, so it is asked less often.
_NEW_SESSION_S = 3.0


class Probe:
    """One main process of a replica: the connection to it, and its last answers."""

    def __init__(self, replica: Replica, pid: int, selector: selectors.BaseSelector) -> None:
        self.replica = replica
        self.pid = pid
        self.result = ProbeResult("down", "has not answered yet")
        self.settled = False  # it has answered, or had the time to
        self.requests: Dated[int] | None = None
        self.gateway: Dated[GatewayCounts] | None = None
        self.registry: tuple[Lease, ...] | None = None
        self.asked: Dated[tuple[DependencyCounts, ...]] | None = None
        self._sent = 0  # our own requests, which nginx counts too
        self._selector = selector
        self._questions = probes.questions(replica)
        self.waiting: list[probes.ProbeQuestion] = []  # without an answer yet
        self._connection: socket.socket | None = None
        self._data = b""
        self._sent_s = self._again_s = 0.0
        self._retried = False
        self._pidfd = os.pidfd_open(pid)
        selector.register(self._pidfd, selectors.EVENT_READ, (self, True))

    def begin(self, now_s: float) -> None:
        """Send the questions, unless some are outstanding or it is too soon."""
        timeout_s = self.replica.health.timeout_s
        if not self.waiting and now_s >= self._again_s:
            self.waiting = list(self._questions)
            self._retried = False
            self._ask(fresh=False)
        elif self.waiting and now_s - self._sent_s > timeout_s:
            self._fail(f"no answer within {timeout_s:g} s")

    def receive(self) -> None:
        """Read what has come."""
        assert self._connection is not None
        try:
            data = self._connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error.strerror or str(error))
            return
        if not self.waiting:  # closed between two rounds, as a keep-alive connection may be
            self._disconnect()
            return
        if not data:
            self._lost("closed the connection")
            return
        self._data += data
        if len(self._data) > _LONGEST_ANSWER:
            self._fail("its answer has no end")
        elif probes.is_complete(self.waiting[0], self._data):
            self._take(self.waiting.pop(0), self._data)
            if self.waiting:
                self._ask(fresh=False)

    def close(self) -> None:
        """Close the connection and forget the process."""
        self._disconnect()
        if self._pidfd >= 0:
            self._selector.unregister(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _ask(self, *, fresh: bool) -> None:
        self._sent_s = time.monotonic()
        self._data = b""
        try:
            if self._connection is None:
                fresh = True
                self._connection = self._connect()
            self._connection.send(self.waiting[0].data)
        except OSError as error:
            if fresh:
                self._fail(error.strerror or str(error))
            else:
                self._disconnect()
                self._ask(fresh=True)

    def _connect(self) -> socket.socket:
        namespace = Path(f"/proc/{self.pid}/ns/net")
        if namespace.samefile(child.OWN):  # it is starting: a service of the host would answer
            raise OSError("has not joined its network namespace yet")
        connection = child.socket_in(namespace)
        try:
            connection.settimeout(_CONNECT_S)
            connection.connect(("127.0.0.1", self.replica.port))
            connection.setblocking(False)
        except OSError:
            connection.close()
            raise
        self._selector.register(connection, selectors.EVENT_READ, (self, False))
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._selector.unregister(self._connection)
            self._connection.close()
            self._connection = None

    def _lost(self, cause: str) -> None:
        """Try once more on a new connection: the old one may have been closed in good order."""
        if self._data or self._retried:
            self._fail(cause)
            return
        self._retried = True
        self._disconnect()
        self._ask(fresh=True)

    def _fail(self, cause: str) -> None:
        self._disconnect()
        self.waiting = []
        self.settled = True
        self.result = ProbeResult("down", cause)
        self.requests = self.gateway = self.registry = self.asked = None

    def _take(self, question: probes.ProbeQuestion, data: bytes) -> None:
        now_s = time.monotonic()
        self._sent += 1
        self.settled = True
        answer = probes.http_answer(data) if question.protocol == "http" else None
        if question.subject == "health":
            self.result = probes.probe_result(question, data, (now_s - self._sent_s) * 1000)
        if answer is not None:
            self._take_counts(question, answer, now_s)
        if question.closes:
            self._again_s = now_s + _NEW_SESSION_S
        if question.closes or (answer is not None and answer.closes):
            self._disconnect()

    def _take_counts(
        self, question: probes.ProbeQuestion, answer: probes.HttpAnswer, now_s: float
    ) -> None:
        if question.subject in {"health", "counts"}:  # a degraded replica counts too
            dependencies = answers.dependencies(answer.body)
            if dependencies is not None:
                self.asked = Dated(now_s, self.pid, dependencies)
        if answer.status != 200:
            return
        if question.subject == "status":
            requests = probes.requests_of(answer.body)
            if requests is not None:
                self.requests = Dated(now_s, self.pid, requests - self._sent)
        elif question.subject == "counts":
            counts = answers.gateway(answer.body)
            self.gateway = Dated(now_s, self.pid, counts) if counts else None
        elif question.subject == "registry":
            self.registry = answers.registry(answer.body)


class Prober:
    """The probes of a world's running processes."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._selector = selectors.DefaultSelector()
        self.probes: dict[str, Probe] = {}

    def follow(self, pids: Mapping[str, int]) -> None:
        """Probe these processes and no others."""
        for name in [name for name, probe in self.probes.items() if pids.get(name) != probe.pid]:
            self.probes.pop(name).close()
        for name, pid in pids.items():
            if name not in self.probes:
                with suppress(OSError):  # it has ended already
                    self.probes[name] = Probe(self._plan.replica(name), pid, self._selector)

    def round(self, wait_s: float) -> tuple[str, ...]:
        """Ask every replica and wait for the answers; name those whose process ended meanwhile."""
        # What came while this process was stopped (a suspended machine) is an answer in time.
        if ended := self.wait(time.monotonic() + _DRAIN_S, until_answered=True):
            return ended
        for probe in self.probes.values():
            probe.begin(time.monotonic())
        return self.wait(time.monotonic() + wait_s, until_answered=True)

    def wait(self, until_s: float, *, until_answered: bool = False) -> tuple[str, ...]:
        """Read answers until a moment, or until processes end: then name them, at once."""
        while (left_s := until_s - time.monotonic()) > 0:
            if until_answered and not any(probe.waiting for probe in self.probes.values()):
                return ()
            if not self.probes:
                time.sleep(left_s)
                return ()
            ready = self._selector.select(left_s)
            ended = tuple(key.data[0].replica.name for key, _ in ready if key.data[1])
            if ended:
                for name in ended:
                    self.probes.pop(name).close()
                return ended
            for key, _ in ready:
                key.data[0].receive()
        return ()

    def close(self) -> None:
        """Close every connection."""
        self.follow({})
        self._selector.close()


def require_namespaces() -> None:
    """Check that this process may enter namespaces. Raises: StepFailed."""
    try:
        child.socket_in(child.OWN).close()
    except OSError as error:
        raise StepFailed("network namespaces", "cannot be entered", str(error)) from error

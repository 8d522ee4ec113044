"""Take a namespace world up and down in processes that can be stopped at any step.

`python -m tests.support.drive` inside a test's host reads orders from its input, one JSON
object a line, and does each in a child of its own, which knows nothing of earlier ones: what
killing such a child leaves is what a power cut would. `Driver` gives the orders. An order's
`at` is a moment and a step: before or after (the child's whole process group is killed), or
during: one of the step's own calls fails for want of memory (`faults`).
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

from tests.support.faults import Calls
from tests.support.project import ROOT
from tests.support.sandbox import Sandbox, conversing

MOMENTS = ("before", "during", "after")
_READ_ONCE = ("twinstack.stack", "twinstack.namespaces.world", "twinstack.overlay.world")


@dataclass(frozen=True)
class StopAt:
    """A watch that ends the process, or lets a step fail, at one moment of one step."""

    moment: str = "never"
    step: str = ""
    call: int = 0
    calls: Calls | None = None

    def before(self, step: str) -> None:
        self._kill("before", step)
        if self.calls:
            self.calls.begin(step)

    def during(self, step: str) -> None:
        # Where several steps are one call (rules), it is counted with the last of them.
        if (self.moment, self.step, self.call) == ("during", step, 0):
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    def after(self, step: str) -> None:
        if self.calls:
            self.calls.end()
        self._kill("after", step)

    def _kill(self, moment: str, step: str) -> None:
        if (self.moment, self.step) == (moment, step):
            os.killpg(0, signal.SIGKILL)  # no handler runs, no child lives


@dataclass(frozen=True)
class Done:
    """How an order ended: the exit code (negative for a signal), its answer, its output."""

    code: int
    answer: Any
    output: str


@dataclass(frozen=True)
class Driver:
    """Gives orders to the process in the host."""

    process: subprocess.Popen[str]
    bare: bool
    hosts: int = 0

    def order(
        self,
        *actions: str,
        at: tuple[str, str] | tuple[str, str, int] | None = None,
        check: bool = True,
        words: Mapping[str, str] = MappingProxyType({}),
        calls: Path | None = None,
    ) -> Done:
        """Take actions in one new child: up, down, clean, pids, plan-up, plan-down.

        With hosts the overlay is acted on.

        `words` may name a `topology` file and a `shape`, and set `policy` "on" or "off". `calls` is
        the file in which the calls of each step are counted, or that notes the call that fails
        (`at`'s third word).
        """
        order = {
            "actions": actions,
            "bare": self.bare,
            "hosts": self.hosts,
            "at": at or (),
            "calls": str(calls or ""),
            **words,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        done = Done(**json.loads(self.process.stdout.readline()))
        if check:
            assert done.code == 0, f"{order}\n{done.output}"
        return done

    def steps(self, action: str, **words: str) -> list[str]:
        """List the steps that an action would take now."""
        steps: list[str] = self.order(f"plan-{action}", words=words).answer
        assert len(set(steps)) == len(steps), steps
        return steps


@contextmanager
def driver(host: Sandbox, *, bare: bool, hosts: int = 0) -> Iterator[Driver]:
    """Give a driver of a host while the block lasts."""
    with conversing(host, "tests.support.drive") as process:
        yield Driver(process, bare, hosts)


def _serve() -> None:
    for name in _READ_ONCE:  # modules alone: half a second that each child would take
        importlib.import_module(name)
    for line in sys.stdin:
        order = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            os.setsid()
            _obey(order, writing)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            lines = pipe.read().splitlines()
        _, status = os.waitpid(child, 0)
        *output, last = lines or [""]
        code = os.waitstatus_to_exitcode(status)
        answer = json.loads(last) if code == 0 else None
        if code != 0:
            output.append(last)
        reply = {"code": code, "answer": answer, "output": "\n".join(output)}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


def _obey(order: dict[str, Any], writing: int) -> None:
    with os.fdopen(writing, "w") as pipe:
        try:
            answer = None
            for action in order["actions"]:
                answer = _act(action, order, lambda line: print(line, file=pipe, flush=True))
            print(json.dumps(answer), file=pipe, flush=True)
            code = 0
        except BaseException:
            traceback.print_exc(file=pipe)
            code = 1
    os._exit(code)


def _act(action: str, order: dict[str, Any], progress: Any) -> Any:
    from twinstack import stack
    from twinstack.model import names
    from twinstack.namespaces import observe, supervisor, world
    from twinstack.namespaces.removals import removals
    from twinstack.state.paths import InstancePaths

    instance = os.environ["TWINSTACK_INSTANCE"]
    file = Path(order.get("topology", ROOT / "topology.yml"))
    watch = StopAt(*order["at"])
    if order["calls"]:
        calls = Calls(Path(order["calls"]), watch.step, watch.call)
        calls.listen()
        watch = replace(watch, calls=calls)
    if order["hosts"]:
        return _act_overlay(action, order, file, watch, progress)
    if action == "down":
        return world.down(instance, progress=progress, watch=watch)
    if action == "pids":
        programs = supervisor.observe(InstancePaths(instance)).processes
        return {program.replica: program.pid for program in programs if program.pid}
    if action == "clean":
        return world.clean(instance, progress=progress)
    if action == "plan-down":
        owned = observe.observe_owned(instance)
        return [removal.name for removal in removals(owned, group=names.link_group(instance))]
    here = stack.Stack(instance, file)
    net = here.net(
        order.get("shape", "flat"),
        bare=order["bare"],
        watch=watch,
        policy=None if "policy" not in order else order["policy"] == "on",
    )
    if action == "up":
        return [state.state for state in net.up(timeout_s=90, progress=progress)]
    if action == "plan-up":
        # Secrets are made before any step, with what is built: nothing can stop there.
        found = [change.step.name for change in net.preview().changes]
        return [name for name in found if name != "secrets"]
    raise ValueError(action)


def _act_overlay(
    action: str, order: dict[str, Any], file: Path, watch: StopAt, progress: Any
) -> Any:
    from twinstack import stack
    from twinstack.model import names
    from twinstack.namespaces import observe
    from twinstack.namespaces.removals import removals
    from twinstack.overlay import teardown as overlays
    from twinstack.overlay.host_plans import underlay_instance

    instance = os.environ["TWINSTACK_INSTANCE"]
    if action == "down":
        return overlays.down(instance, progress=progress, watch=watch)
    if action == "plan-down":
        outer = underlay_instance(instance)
        owned = observe.observe_owned(outer)
        return [removal.name for removal in removals(owned, group=names.link_group(outer))]
    mtu = int(order.get("mtu", 1450))
    mock.patch("twinstack.overlay.host_plans.OVERLAY_MTU", mtu).start()
    overlay = stack.Stack(instance, file).overlay(
        order["hosts"],
        order.get("shape", "flat"),
        bare=order["bare"],
        watch=watch,
        lost=frozenset(order.get("lost", "").split()),
        policy=order.get("policy") != "off",
    )
    if action == "up":
        return [state.state for state in overlay.up(timeout_s=90, progress=progress)]
    if action == "plan-up":
        return [
            change.step.name if host == "underlay" else f"{host}: {change.step.name}"
            for host, preview in overlay.previews().items()
            for change in preview.changes
        ]
    raise ValueError(action)


if __name__ == "__main__":
    _serve()

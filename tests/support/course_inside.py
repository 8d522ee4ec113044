"""Begin, check, catch up with and stop lessons in processes that can be killed at any moment.

`python -m tests.support.course_inside` inside a test's host reads orders from its input, one JSON
object a line, and does each in a child of its own, which knows nothing of earlier ones.
`CourseDriver` gives the orders.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.support.sandbox import Sandbox, conversing

_READ_ONCE = ("twinstack.stack", "twinstack.course.session", "twinstack.model.topology_file")


@dataclass(frozen=True)
class Ended:
    """How an order ended."""

    killed: bool
    answer: Any
    error: str  # of ours, as a user reads it


@dataclass(frozen=True)
class CourseDriver:
    """Gives orders to the process in the host."""

    process: subprocess.Popen[str]
    host: Sandbox
    services: bool = False

    def order(self, do: str, *arguments: Any, kill_after_s: float | None = None) -> Ended:
        """Do one thing in one new child: start, catchup, check, solution, stop."""
        order = {
            "do": do,
            "arguments": arguments,
            "kill_after_s": kill_after_s,
            "services": self.services,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return Ended(**json.loads(self.process.stdout.readline()))

    def answer(self, do: str, *arguments: Any) -> Any:
        """Do one thing that succeeds, and give its answer."""
        ended = self.order(do, *arguments)
        assert not ended.error, ended.error
        assert not ended.killed, f"{do}: a traceback of ours is above"
        return ended.answer

    def solution(self, day: int) -> list[tuple[str, list[str]]]:
        """Give each part with its commands."""
        return [(part, commands) for part, commands in self.answer("solution", day)]

    def type(self, commands: list[str]) -> None:
        """Run commands by bash, word for word, past those that fail."""
        path = f'PATH="{Path(sys.executable).parent}:$PATH"'  # for invoke
        self.host.run("bash", "-c", "\n".join([path, *commands]), check=False)

    def check(self) -> dict[str, Any]:
        """Give what course.check finds."""
        finding: dict[str, Any] = self.answer("check")["finding"]
        return finding

    def undone(self) -> dict[str, str]:
        """Give each part that is not done, with what is said of it; the rest as part ""."""
        finding = self.check()
        parts = {each["part"]: each["differences"] for each in finding["parts"]}
        left = {part: "; ".join(said) for part, said in parts.items() if said}
        return left | ({"": "; ".join(finding["rest"])} if finding["rest"] else {})


@contextmanager
def course_driver(host: Sandbox, *, services: bool = False) -> Iterator[CourseDriver]:
    """Give a driver of a host while the block lasts; `services`: they run, not networks alone."""
    with conversing(host, "tests.support.course_inside") as process:
        yield CourseDriver(process, host, services)


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
            with os.fdopen(writing, "w") as pipe:
                json.dump(_obey(order["do"], order["arguments"], order["services"]), pipe)
            os._exit(0)
        os.close(writing)
        bound_s = order["kill_after_s"]
        if bound_s is not None and not select.select([reading], [], [], bound_s)[0]:
            os.killpg(child, signal.SIGKILL)  # no handler runs, no child lives
        with os.fdopen(reading) as pipe:
            text = pipe.read()
        os.waitpid(child, 0)
        reply = json.loads(text) if text else {"killed": True, "answer": None, "error": ""}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


def _obey(do: str, arguments: list[Any], services: bool) -> dict[str, Any]:
    from twinstack import stack
    from twinstack.course.session import Course
    from twinstack.errors import TwinstackError

    course = Course(stack.from_environment())
    quiet: dict[str, Any] = {"progress": lambda _line: None}
    how = {**quiet, "services": services}
    try:
        answer: Any
        match do:
            case "start":
                answer = course.start(*arguments, **how).day
            case "catchup":
                answer = course.catchup(*arguments, **how).day
            case "check":
                answer = asdict(course.check())
            case "solution":
                answer = course.solution(*arguments)
            case "stop":
                answer = course.stop(**quiet)
            case _:
                raise ValueError(do)
    except TwinstackError as error:
        return {"killed": False, "answer": None, "error": str(error)}
    return {"killed": False, "answer": answer, "error": ""}


if __name__ == "__main__":
    _serve()

"""Let one call to the kernel fail, inside a step that is under way: for `drive`'s children alone.

A call is whatever Python tells its audit hooks of (files, processes, sockets), and what our own
code asks of the kernel past them: netlink, mounts, namespaces. First a run counts how many calls
each step makes; then one of them can be named, and fails for want of memory, as the kernel itself
would refuse it. Source: PEP 578.
"""

from __future__ import annotations

import errno
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_AUDITED = ("open", "os.", "socket.", "subprocess.Popen", "fcntl.")
#: Python reading its own modules is no part of a step.
_CODE = (".py", ".pyc", ".so")


@dataclass
class Calls:
    """Counts the calls of each step into a file, or fails the one that is named; 0 is none."""

    log: Path
    step: str = ""
    call: int = 0
    _now: str = ""
    _made: int = 0

    def begin(self, step: str) -> None:
        """A step begins: the calls from now on are its own."""
        self._now, self._made = step, 0

    def end(self) -> None:
        """The step is over."""
        self._now = ""

    def made(self, what: str) -> None:
        """Count a call, or let it fail. Raises: OSError."""
        if not self._now:
            return
        self._made += 1
        if not self.call:
            self._note(self._now)
        elif (self._now, self._made) == (self.step, self.call):
            self.end()  # what puts things right afterwards finds memory again
            self._note(f"{what} failed")
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    def _note(self, line: str) -> None:
        now, self._now = self._now, ""  # its own opening is no call of the step's
        handle = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(handle, f"{line}\n".encode())
        os.close(handle)
        self._now = now

    def listen(self) -> None:
        """Hear of every call of this process from now on, and of those that it forks."""
        from twinstack.linux import libc
        from twinstack.linux.netlink import Netlink

        sys.addaudithook(self._audited)
        ours = (
            (Netlink, "send"),
            (Netlink, "get"),
            (libc, "call"),
        )
        for owner, name in ours:
            setattr(owner, name, self._heard(name, getattr(owner, name)))

    def _heard(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **named: Any) -> Any:
            self.made(name)
            return real(*words, **named)

        return call

    def _audited(self, event: str, words: tuple[Any, ...]) -> None:
        if self._now and event.startswith(_AUDITED):
            if event == "open" and str(words[0]).endswith(_CODE):
                return
            self.made(event)


def counted(log: Path) -> Counter[str]:
    """Read how many calls each step made."""
    return Counter(log.read_text().splitlines()) if log.exists() else Counter()

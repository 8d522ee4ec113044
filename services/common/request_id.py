"""One id for a request on its way through the whole chain.

A caller's `X-Request-ID` is kept when it is sane (it ends up in every log), else one is made:
a random head for the process and a counter, as unique as a UUID here and ten times cheaper.
"""

from __future__ import annotations

import itertools
import os
import re

HEADER = "X-Request-ID"
_sane = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+/=@-]{0,127}").fullmatch


class RequestIds:
    """Make ids; safe in threads and after a fork (each process has a head of its own)."""

    def __init__(self) -> None:
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._head = os.urandom(8).hex()
        self._count = itertools.count(1)

    def make(self) -> str:
        return f"{self._head}-{next(self._count):x}"

    def accept(self, given: str | None) -> str:
        """Keep the caller's id if it is sane, else make one."""
        return given if given and _sane(given) else self.make()

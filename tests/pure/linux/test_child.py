"""Children at work: who ends soon does not walk the parent's objects; who stays cleans up."""

from __future__ import annotations

import gc
import os
import signal
import weakref

from twinstack.linux import child


class Loop:
    """What nothing but the collector of cycles can free."""

    def __init__(self) -> None:
        self.itself = self


def test_a_child_that_stays_collects_its_cycles() -> None:
    reading, writing = os.pipe()

    def go_on() -> None:
        first = weakref.ref(Loop())
        for _ in range(2 * gc.get_threshold()[0]):  # a gateway that was made here sets its own
            Loop()
        os.write(writing, b"kept" if first() else b"collected")
        signal.pause()

    with (
        os.fdopen(reading, "rb", buffering=0) as pipe,
        child.staying("a child", None, gc.get_freeze_count, go_on) as (_, frozen),
    ):
        os.close(writing)
        assert pipe.read(20) == b"collected"
        assert frozen > 1_000  # what it has of its parent is left alone: no page of it is copied


def test_a_child_that_ends_soon_collects_nothing() -> None:
    assert child.inside("a child", None, gc.isenabled) is False

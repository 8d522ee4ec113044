"""Try a drill in a world that is up: all that must hold of it, and where it does not, why."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from twinstack.drill import check, hints, put, take_out
from twinstack.drill.difference import differences
from twinstack.drill.drill import Drill
from twinstack.drill.ground import AnyWorld, SpreadWorld, site_of
from twinstack.drill.shell import Shell
from twinstack.drill.snapshot import scope_of, take
from twinstack.errors import TwinstackError
from twinstack.faults import drill_record as record

TIMEOUT_S = 90.0
Say = Callable[[str], None]


def tried(world: AnyWorld, drill: Drill, say: Say, *, seed: int = 1) -> Iterator[str]:
    """Name all that a drill fails to keep, in the order of trying; leaves the world as it was."""
    began = time.monotonic()
    before = take(world)
    say(f"  a snapshot takes {time.monotonic() - began:.2f} s")
    instance = world.plan.instance

    def start() -> None:
        began = time.monotonic()
        put.start(world, drill.name, level=0, seed=seed, student="trial", progress=say)
        say(f"  started in {time.monotonic() - began:.1f} s")

    def unlike() -> Iterator[str]:
        after = take(world, before)
        for each in differences(before, after, scope_of(world, after.links)):
            yield str(each)

    def stopped(moment: str) -> Iterator[str]:
        if record.read(instance):
            began = time.monotonic()
            with suppress(TwinstackError):
                take_out.stop(world, timeout_s=TIMEOUT_S, progress=say)
            say(f"  stopped {moment} in {time.monotonic() - began:.1f} s")
        yield from (f"{moment}: stop leaves: {each}" for each in unlike())

    try:
        start()
        target = record.read(instance).target  # type: ignore[union-attr]
        began = time.monotonic()
        found = check.check(world, within_s=3.0)
        say(f"  checked in {time.monotonic() - began:.1f} s")
        say(f"  with nothing done: {found.sentence}")
        if found.symptom_gone:
            yield "its symptom goes by itself"
        if drill.restart and not found.solved:
            if not isinstance(world, SpreadWorld):
                world.restart(drill.restart, timeout_s=TIMEOUT_S, progress=lambda _line: None)
            found = check.check(world)
            if found.solved:
                yield f"a restart of {drill.restart} repairs it"
        if record.read(instance):
            for command in drill.wrong:
                Shell.of(world).run(site_of(world, target).written(command))
            found = check.check(world)
            sentences = (found.sentence, *found.findings)
            say(f"  with the wrong repair: {found.sentence}")
            if found.solved:
                yield "the wrong repair passes"
            elif not any(drill.refusal in each for each in sentences):
                yield f"the wrong repair is refused otherwise: {'; '.join(sentences)}"
        yield from stopped("after the wrong repair")
        start()
        solution = hints.solve(world, progress=say)
        say(f"  with its repair: {solution.checked.sentence}")
        if not solution.checked.solved:
            yield f"its repair is refused: {'; '.join(solution.checked.findings)}"
        yield from stopped("after its repair")
    except TwinstackError as error:
        yield str(error)
    finally:
        yield from stopped("at the end")

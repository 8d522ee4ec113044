"""Follow a world's logs as its user does, while a log is rotated and a replica is killed."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.project import ROOT
from tests.support.sandbox import eventually

REQUEST = "followed-0001"
FOLLOW = ("--follow", "--request", REQUEST, "--json")
#: Whose log is rotated, and who is killed.
REPLICA = "product-service"
_WAY = {"nginx-lb", "api-gateway", "product-service"}


def check_followed(
    command: Sequence[str],
    environment: Mapping[str, str],
    output: Path,
    ask: Callable[[], str],
    rotate: Callable[[], None],
    kill: Callable[[], None],
) -> None:
    """Every request that the replica served is one line of it, and Ctrl-C is 130.

    `ask` sends a request and gives the replica that served it.
    """

    def lines() -> list[dict[str, Any]]:
        whole = output.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def count() -> int:
        return sum(line["replica"] == REPLICA for line in lines())

    served = asked = 0

    def ask_until_served() -> None:
        nonlocal served, asked
        while served < 100:
            asked += 1
            if ask() == REPLICA:
                served += 1
                return

    ask_until_served()  # before it is followed
    with output.open("w") as file:
        following = subprocess.Popen(
            command, stdout=file, stderr=subprocess.PIPE, env=environment, cwd=ROOT, text=True
        )
    try:
        eventually(lambda: count() == served, within_s=15)
        for strike in (lambda: None, rotate, kill):
            strike()
            ask_until_served()
            eventually(lambda: count() == served, within_s=15)
        eventually(
            lambda: sum(line["replica"] == "nginx-lb" for line in lines()) == asked, within_s=5
        )
        following.send_signal(signal.SIGINT)
        _, errors = following.communicate(timeout=10)
    finally:
        following.kill()
        following.wait()
    assert (following.returncode, errors) == (130, "stopped by Ctrl-C\n")
    assert {line["request"] for line in lines()} == {REQUEST}
    assert {line["service"] for line in lines()} == _WAY

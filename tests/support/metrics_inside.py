"""Run `metrics.up` in a sandbox, and strike it before a certain act: file, directory, cgroup, fork.

`python -m tests.support.metrics_inside NUMBER SIGNAL` writes how many acts there were.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twinstack import stack
from twinstack.linux import cgroup, files
from twinstack.observe.prometheus.run import InstanceMetrics

_ACTS: tuple[tuple[Any, str], ...] = (
    (Path, "mkdir"),
    (os, "chown"),
    (files, "write"),
    (cgroup, "create"),
    (subprocess, "Popen"),
    (InstanceMetrics, "_await"),
)


def main(number: int, signal_number: int) -> None:
    """Bring Prometheus up, and get the signal before act `number`; 0: never."""
    acts = 0

    def counted(act: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **words: Any) -> Any:
            nonlocal acts
            acts += 1
            if acts == number:
                os.kill(os.getpid(), signal_number)
            return act(*arguments, **words)

        return counting

    for holder, name in _ACTS:
        setattr(holder, name, counted(getattr(holder, name)))
    stack.from_environment().metrics().up(
        port=None,
        metrics_port=None,
        interval_s=1,
        timeout_s=60,
        progress=lambda line: None,
    )
    sys.stdout.write(f"{acts}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

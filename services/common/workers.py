"""Several workers are one replica: whichever is asked adds up what all of them count.

Each answers the others, with its own exposition, on a Unix socket of the abstract namespace: no
other network namespace sees it, and it ends with its process. Source: unix(7).
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

ANSWER_S = 1.0
RETRY_S = 0.05
#: Gauges that say something of each worker alike, or of whichever began last.
_NOT_ADDED = frozenset(
    {
        "gateway_upstream_shunned",
        "process_max_fds",
        "process_start_time_seconds",
        "python_info",
    }
)


class Workers:
    """The workers of one server, which is their parent; this one among them."""

    def __init__(self, own_text: Callable[[], bytes]) -> None:
        self._own_text = own_text
        self._prefix = f"@twinstack-metrics-{os.getppid()}-"
        self._own_name = f"{self._prefix}{os.getpid()}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(_address(self._own_name))
        self._listener.listen()
        threading.Thread(target=self._serve, name="workers", daemon=True).start()

    def texts(self) -> Iterator[str]:
        """Give each worker's exposition. Raises: OSError when one does not answer."""
        for name in self._names():
            text = self._own_text() if name == self._own_name else _ask(name)
            yield text.decode()

    def _names(self) -> list[str]:
        """List who is there, by name. Source: proc_net(5), the last column of unix."""
        lines = Path("/proc/net/unix").read_text(errors="replace").splitlines()
        names = {line.rpartition(" ")[2] for line in lines}
        return sorted(name for name in names if name.startswith(self._prefix))

    def _serve(self) -> None:
        while True:
            try:
                asker, _ = self._listener.accept()
            except OSError:  # Without a descriptor left: the asker waits, and this goes on.
                time.sleep(RETRY_S)
                continue
            with asker, suppress(OSError):
                asker.settimeout(ANSWER_S)
                asker.sendall(self._own_text())


def merged(texts: Iterable[str]) -> list[Metric]:
    """Make one exposition of several: what is counted is added up; pure."""
    whole: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            name = family.name
            whole.setdefault(name, Metric(name, family.documentation, family.type))
            of_family = values.setdefault(name, {})
            for sample in family.samples:
                key = sample.name, tuple(sorted(sample.labels.items()))
                before = of_family.get(key, 0.0)
                added = name not in _NOT_ADDED
                of_family[key] = before + sample.value if added else max(before, sample.value)
    for name, family in whole.items():
        for (sample_name, labels), value in values[name].items():
            family.add_sample(sample_name, dict(labels), value)
    return list(whole.values())


def _ask(name: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(ANSWER_S)
        link.connect(_address(name))
        return b"".join(iter(lambda: link.recv(65_536), b""))


def _address(name: str) -> str:
    return "\0" + name[1:]

"""What a Prometheus in a sandbox says, through its API."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

from tests.support.sandbox import Sandbox

PROMETHEUS, METRICS = "http://127.0.0.1:9090", "http://127.0.0.1:7701/metrics"


def query(host: Sandbox, expression: str, port: int = 9090) -> dict[tuple[str, str], float]:
    """Give the value of each series now, by its world and replica; "" where it has none."""
    url = f"http://127.0.0.1:{port}/api/v1/query?query={quote(expression)}"
    answer = json.loads(host.fetch(url))
    assert answer["status"] == "success", answer
    return {
        (row["metric"].get("world", ""), row["metric"].get("replica", "")): float(row["value"][1])
        for row in answer["data"]["result"]
    }


def firing(host: Sandbox) -> set[tuple[str, str, str]]:
    """Name the alerts that fire, each with its world and replica."""
    answer = json.loads(host.fetch(f"{PROMETHEUS}/api/v1/alerts"))
    labels = [alert["labels"] for alert in answer["data"]["alerts"] if alert["state"] == "firing"]
    return {(each["alertname"], each.get("world", ""), each.get("replica", "")) for each in labels}


def own_pids(host: Sandbox) -> dict[str, tuple[int, ...]]:
    """Give the processes in each cgroup of ours beside the worlds."""
    groups = Path("/sys/fs/cgroup").glob(f"pids/twinstack/{host.instance}.metrics/*/cgroup.procs")
    unified = Path("/sys/fs/cgroup").glob(f"twinstack/{host.instance}.metrics/*/cgroup.procs")
    return {
        file.parent.name: tuple(map(int, file.read_text().split())) for file in (*groups, *unified)
    }

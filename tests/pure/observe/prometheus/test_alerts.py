"""Each alert fires for what it names, and not beside it: promtool evaluates the rules."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from twinstack.observe.metrics.families import OWN
from twinstack.observe.prometheus.alerts import ALERTS, rules

NET = 'world="net",service="s",replica="s-2"'
SCRAPED = 'instance="127.0.0.1:7701",job="twinstack"'
GATEWAY = 'world="net",service="api-gateway",replica="api-gateway"'
HTTP = f'http_requests_total{{{GATEWAY},method="GET",code="%s"}}'
BUCKET = f'http_request_duration_seconds_bucket{{{GATEWAY},le="%s"}}'


def replica(name: str, values: str) -> tuple[str, str]:
    return f"twinstack_replica_{name}{{{NET}}}", values


def world(name: str, values: str) -> tuple[str, str]:
    return f'twinstack_{name}{{world="net"}}', values


#: For each alert: series with which it fires after two minutes, and others with which it does not.
#: A scrape every five seconds: "0+5x30" grows by five with each.
CASES: dict[str, tuple[list[tuple[str, str]], list[tuple[str, str]]]] = {
    "ReplicaDown": ([replica("up", "1x20 0x20")], [replica("up", "1x22 0x0 1x20")]),
    "ReplicaRestarted": (
        [replica("restarts_total", "0x20 1x20")],
        [replica("restarts_total", "5x40")],
    ),
    "HighErrorRate": (
        [(HTTP % 200, "0+90x40"), (HTTP % 503, "0+10x40")],
        [(HTTP % 200, "0+99x40"), (HTTP % 404, "0+90x40"), (HTTP % 503, "0+1x40")],
    ),
    "HighLatency": (
        [(BUCKET % "1", "0+90x40"), (BUCKET % "2", "0+100x40"), (BUCKET % "+Inf", "0+100x40")],
        [(BUCKET % "0.5", "0+100x40"), (BUCKET % "1", "0+100x40"), (BUCKET % "+Inf", "0+100x40")],
    ),
    "CpuThrottled": (
        [
            replica("cpu_throttled_periods_total", "0+30x40"),
            replica("cpu_periods_total", "0+50x40"),
        ],
        [replica("cpu_throttled_periods_total", "0+5x40"), replica("cpu_periods_total", "0+50x40")],
    ),
    "MemoryNearLimit": (
        [replica("memory_bytes", "95x40"), replica("memory_limit_bytes", "100x40")],
        [replica("memory_bytes", "85x40"), replica("memory_limit_bytes", "100x40")],
    ),
    "ConntrackNearLimit": (
        [("twinstack_conntrack_entries", "81x40"), ("twinstack_conntrack_entries_limit", "100x40")],
        [("twinstack_conntrack_entries", "79x40"), ("twinstack_conntrack_entries_limit", "100x40")],
    ),
    "PolicyDrops": (
        [world("policy_drops_total", "3x20 9x20")],
        [world("policy_drops_total", "3x40")],
    ),
    "WorldDown": ([world("world_up", "1x15 0x25")], [world("world_up", "0x40")]),
    "WorldUnknown": (
        [(f"twinstack_world_up{{{SCRAPED}}}", "1x10 stale"), (f"up{{{SCRAPED}}}", "1x40")],
        [(f"twinstack_world_up{{{SCRAPED}}}", "1x10 stale"), (f"up{{{SCRAPED}}}", "0x40")],
    ),
    "ReplicaMetricsMissing": (
        [replica("metrics_up", "0x40"), replica("up", "1x40")],
        [replica("metrics_up", "0x40"), replica("up", "0x40")],
    ),
    "ScrapeFailing": ([('up{job="twinstack"}', "0x40")], [('up{job="other"}', "0x40")]),
}
assert set(CASES) == {alert.name for alert in ALERTS}


def promtool(folder: Path, *words: str) -> None:
    done = subprocess.run(
        ["promtool", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def case(name: str, series: list[tuple[str, str]], *, fires: bool) -> dict[str, Any]:
    expected = [{"labels": "{}", "value": 1}] if fires else []
    return {
        "name": name,
        "interval": "5s",
        "input_series": [{"series": each, "values": values} for each, values in series],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})',
                "eval_time": "2m",
                "exp_samples": expected,
            }
        ],
    }


def evaluated(folder: Path, *cases: dict[str, Any]) -> None:
    (folder / "alerts.yml").write_text(rules("main", 5))
    test = {"rule_files": ["alerts.yml"], "evaluation_interval": "5s", "tests": list(cases)}
    (folder / "test.yml").write_text(yaml.safe_dump(test))
    promtool(folder, "test", "rules", "test.yml")


def test_each_alert_fires_for_what_it_names_and_not_beside_it(tmp_path: Path) -> None:
    evaluated(
        tmp_path,
        *(case(name, firing, fires=True) for name, (firing, _) in CASES.items()),
        *(case(name, quiet, fires=False) for name, (_, quiet) in CASES.items()),
    )


def test_an_alert_names_the_replica_and_the_command_that_looks_closer(tmp_path: Path) -> None:
    down = case("ReplicaDown", CASES["ReplicaDown"][0], fires=True)
    notes = next(alert for alert in ALERTS if alert.name == "ReplicaDown")
    down["alert_rule_test"] = [
        {
            "alertname": "ReplicaDown",
            "eval_time": "2m",
            "exp_alerts": [
                {
                    "exp_labels": {
                        "severity": "critical",
                        "world": "net",
                        "service": "s",
                        "replica": "s-2",
                    },
                    "exp_annotations": {
                        "summary": "s-2 (net) is down",
                        "description": notes.description,
                        "command": "invoke net.logs s-2",
                    },
                }
            ],
        }
    ]
    evaluated(tmp_path, down)


@pytest.mark.parametrize("interval_s", [1, 5, 60])
def test_promtool_finds_no_fault_in_the_rules(tmp_path: Path, interval_s: int) -> None:
    (tmp_path / "alerts.yml").write_text(rules("lab", interval_s))
    promtool(tmp_path, "check", "rules", "alerts.yml")
    for group in yaml.safe_load((tmp_path / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["command"].startswith("TWINSTACK_INSTANCE=lab invoke ")


def test_no_rule_names_a_family_of_ours_that_there_is_not() -> None:
    named = {name for alert in ALERTS for name in re.findall(r"twinstack_\w+", alert.expr)}
    assert named <= {family.name for family in OWN}

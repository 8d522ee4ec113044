"""Both worlds up at once, on one host of their own, compared, and gone again."""

from __future__ import annotations

import json

import pytest

from tests.sandbox import HOST_ADDRESS, Sandbox, snapshot

pytestmark = [pytest.mark.e2e, pytest.mark.docker]


@pytest.fixture(scope="module")
def both(flat: Sandbox) -> Sandbox:
    """Give a host on which both worlds are up; its engine is started by docker.up."""
    told = flat.invoke("docker.up", "--timeout", "120", timeout_s=600)
    assert "starting dockerd" in told.stderr
    return flat


def doors(host: Sandbox) -> dict[str, int]:
    told = host.run("docker", "ps", "--format", "{{.Names}} {{.Ports}}").stdout.splitlines()
    published = [line.split(maxsplit=1) for line in told if "->" in line]
    return {
        name.split("-", 2)[2].removeprefix(host.instance.split("-", 1)[1] + "-"): int(
            ports.split("->")[0].rsplit(":", 1)[1]
        )
        for name, ports in published
    }


def test_every_container_is_healthy(both: Sandbox) -> None:
    told = both.run("docker", "ps", "--format", "{{.Status}}").stdout.splitlines()
    assert len(told) == 9
    assert all("(healthy)" in line for line in told)


def test_both_worlds_answer_side_by_side(both: Sandbox) -> None:
    found = doors(both)
    urls = ["http://10.0.0.10", "http://localhost:8080", f"http://localhost:{found['api-gateway']}",
            f"http://localhost:{found['nginx-lb']}"]  # fmt: skip
    for url in urls:
        assert len(json.loads(both.fetch(f"{url}/api/products"))["products"]) >= 20
    assert both.invoke("net.status", check=False).returncode == 0
    assert both.invoke("docker.status", check=False).returncode == 0


def test_only_the_edge_is_open_to_other_machines(both: Sandbox) -> None:
    found = doors(both)
    edge = f"http://{HOST_ADDRESS}:{found['nginx-lb']}/api/products"
    assert json.loads(both.fetch(edge, where="internet"))["count"] >= 20
    inner = f"http://{HOST_ADDRESS}:{found['api-gateway']}/health"
    refused = both.run("curl", "-sS", "--max-time", "3", inner, where="internet", check=False)
    assert refused.returncode != 0


def test_the_benchmark_compares_them_and_keeps_its_result(both: Sandbox) -> None:
    told = both.invoke("bench", "--requests", "100", "--concurrency", "10", "--rounds", "6",
                       "--seed", "1", "--json")  # fmt: skip
    page = told.stderr.strip().splitlines()[-1].removeprefix("kept as ")
    both.run("rm", page, page.removesuffix(".md") + ".json")
    document = json.loads(told.stdout)
    rows = {row["name"]: row for row in document["rows"]}
    assert {"namespaces", "docker"} <= set(rows)
    for row in rows.values():
        assert row["success_part"] == 1


def test_taking_one_world_down_leaves_the_other_reachable(both: Sandbox) -> None:
    both.invoke("net.down")
    found = doors(both)
    edge = f"http://{HOST_ADDRESS}:{found['nginx-lb']}/health"
    # From another machine: the way leads through the host, which must still forward.
    assert json.loads(both.fetch(edge, where="internet"))["status"] == "ok"
    assert both.invoke("docker.status", check=False).returncode == 0


def test_clean_takes_both_away_and_stops_the_engine(both: Sandbox) -> None:
    both.invoke("net.up")
    both.invoke("clean")
    assert both.run("docker", "ps", check=False).returncode != 0
    left = snapshot(both)
    assert left["cgroups"] == left["data"] == left["namespaces"] == ""
    assert "net.ipv4.ip_forward = 0" in left["sysctls"]
    assert left["links"].split() == ["lo", "uplink"]
    for word in ("TS-", "DOCKER", "twinstack"):
        assert word not in left["rules"]

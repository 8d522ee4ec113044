"""What another host costs is estimated from paired rounds, each path against a shorter one."""

from __future__ import annotations

from ipaddress import IPv4Address

from bench.questions.crossing import (
    BRIDGE,
    CONTRASTS,
    KEPT,
    LOOPBACK,
    NEW,
    PATHS,
    PORT,
    RAW,
    SAME,
    SWARM,
    CrossingSample,
    nginx,
    paths,
    summarise,
    table,
)
from bench.questions.crossing_lab import PathEnd

COST = {LOOPBACK: 30.0, BRIDGE: 32.0, SAME: 34.0, RAW: 45.0, SWARM: 50.0}


def samples() -> list[CrossingSample]:
    return [
        CrossingSample(
            number, path, load, 10_000, 0, COST[path] * drift * times, COST[path] * times
        )
        for number, drift in enumerate((1.0, 1.5, 0.9, 1.2, 3.0, 1.1, 1.0, 0.8))
        for path in PATHS
        for load, times in ((KEPT, 1.0), (NEW, 5.0))
    ]


def test_a_cost_is_the_ratio_within_a_round_however_the_machine_drifts():
    crossing = summarise(samples(), seed=1)
    swarm = next(cost for cost in crossing.rungs if "over raw VXLAN" in cost.what)
    assert abs(swarm.times[KEPT].estimate - 50 / 45) < 1e-9
    assert abs(swarm.cpu[NEW].estimate - 50 / 45) < 1e-9
    assert "a kept connection: time +11.1%" in swarm.sentence
    assert len(crossing.rungs) == len(CONTRASTS)


def test_the_table_fits_80_columns_and_names_every_path():
    drawn = table(summarise(samples(), seed=1))
    assert max(map(len, drawn.splitlines())) <= 80
    assert all(path in drawn for path in PATHS)


def test_a_paths_ends_are_on_the_hosts_that_its_name_says():
    def end(pid: int, host: str) -> PathEnd:
        return PathEnd(pid, IPv4Address(f"198.51.100.{pid}"), host)

    raw = [end(1, "a"), end(2, "a"), end(3, "b")]
    swarm = [end(4, "a"), end(5, "a"), end(6, "b")]
    laid = {path.name: (path.client, path.server, path.address) for path in paths(raw, swarm)}
    assert {name: (client, server, str(at)) for name, (client, server, at) in laid.items()} == {
        LOOPBACK: (1, 1, "127.0.0.1"),
        BRIDGE: (1, 2, "198.51.100.2"),
        SAME: (4, 5, "198.51.100.5"),
        RAW: (1, 3, "198.51.100.3"),
        SWARM: (4, 6, "198.51.100.6"),
    }


def test_every_server_answers_alike():
    assert f"listen {PORT};" in nginx()
    assert "x" * 1024 in nginx()

"""The race of issue 3: what it lets compete, in which order, and how it judges."""

from __future__ import annotations

import itertools
import random

import pytest

from bench.questions.provisioning import race, scripts, spec, topologies, verdict
from bench.questions.provisioning.contenders import FLOOR, MININET, OURS, SHELL
from bench.questions.provisioning.race import RaceSettings
from bench.questions.provisioning.verdict import Aim, RaceSample
from twinstack.errors import TopologyError
from twinstack.namespaces.steps import NAMESPACE_SYSCTLS, network_steps, script

SETTINGS = RaceSettings(
    "t", (8, 100, 1000), rounds=10, slow_rounds=6, shell_rounds=3, mininet_most=100, seed=1
)
NAMES = (OURS, FLOOR, SHELL, MININET)


@pytest.mark.parametrize("size", [8, 100, 1000])
def test_a_topology_of_any_size_is_accepted_and_has_so_many_namespaces(size):
    plan = topologies.plan(size, "t")

    assert len(plan.replicas) == size
    assert len({replica.address for replica in plan.replicas}) == size


def test_a_topology_beyond_the_ports_of_one_bridge_is_refused():
    with pytest.raises(TopologyError, match="1023 ports"):
        topologies.sized(1024)


def test_the_floor_is_told_every_namespace_link_and_switch_of_the_plan():
    plan = topologies.plan(8, "t")

    words = [line.split() for line in spec.spec(plan, 7).splitlines()]

    assert words[0] == ["world", "twinstack:t", str(plan.mtu), "7"]
    assert ["held", "/proc/sys/net/ipv4/ip_forward", "1", "0"] in words
    assert [one[1] for one in words if one[0] == "namespace"] == [
        replica.name for replica in plan.replicas
    ]
    assert sum(one[0] == "inside" for one in words) == len(NAMESPACE_SYSCTLS)


def test_the_rules_that_are_removed_are_those_that_were_made():
    plan = topologies.plan(8, "t")
    made = {line.split()[0][1:] for line in spec.rules_up(plan).splitlines() if line[0] == ":"}

    removed = {line.split()[1] for line in spec.rules_down(plan).splitlines() if line[:2] == "-X"}

    assert removed == made


def test_the_shell_removes_every_link_namespace_and_chain_that_it_makes():
    steps = network_steps(topologies.plan(8, "t"))

    made, removed = script(steps), scripts.down(steps)

    for pair in (
        ("ip netns add ", "ip netns delete "),
        (" -N TS-", " -X TS-"),
        ("ip link add name ", "ip link delete dev "),
    ):
        assert made.count(pair[0]) == removed.count(pair[1]) > 0


def test_every_round_has_ours_and_the_floor_beside_each_other_and_the_slow_ones_their_number():
    rounds = race.order(SETTINGS, NAMES)

    told = [turn for one in rounds for turn in one]
    assert all(told.count((name, size)) == 10 for name in NAMES[:2] for size in SETTINGS.sizes)
    assert [told.count((SHELL, size)) for size in SETTINGS.sizes] == [6, 6, 3]
    assert [told.count((MININET, size)) for size in SETTINGS.sizes] == [6, 6, 0]
    for one in rounds:
        sizes = [size for _, size in one]
        assert len([a for a, b in itertools.pairwise(sizes) if a != b]) == 2


def test_the_order_differs_from_round_to_round_and_is_the_seeds():
    assert race.order(SETTINGS, NAMES) == race.order(SETTINGS, NAMES)
    assert len(set(race.order(SETTINGS, NAMES))) > 3


def _samples(name: str, size: int, times: list[float]) -> list[RaceSample]:
    return [
        RaceSample(name, size, number, {"total": time}, {"total": time}, time)
        for number, time in enumerate(times)
    ]


def _judged(ours: float, other: float, aim: Aim, rounds: int = 10, noise: float = 0.02):
    chance = random.Random(1)

    def around(value: float) -> list[float]:
        return [value * (1 + chance.uniform(-noise, noise)) for _ in range(rounds)]

    told = [*_samples(*aim.numerator, around(ours)), *_samples(*aim.denominator, around(other))]
    return verdict.judge(told, [aim], seed=1)[0]


AT_MOST = Aim("up", (OURS, 100), (FLOOR, 100), "up", 1.5)
AT_LEAST = Aim("up", (SHELL, 100), (OURS, 100), "up", 15, at_least=True)


@pytest.mark.parametrize(
    ("aim", "first", "second", "expected"),
    [
        (AT_MOST, 140, 100, "holds"),
        (AT_MOST, 160, 100, "falls short"),
        (AT_MOST, 150, 100, "cannot tell"),
        (AT_LEAST, 1600, 100, "holds"),
        (AT_LEAST, 1400, 100, "falls short"),
        (AT_LEAST, 1500, 100, "cannot tell"),
    ],
)
def test_only_the_whole_interval_decides(aim, first, second, expected):
    assert _judged(first, second, aim).judgement == expected


def test_three_rounds_are_bounded_by_their_lowest_and_highest_ratio():
    pair = [*_samples(SHELL, 100, [1600, 1700, 1400]), *_samples(OURS, 100, [100] * 3)]

    found = verdict.judge(pair, [AT_LEAST], seed=1)[0]

    assert (found.pairs, round(found.low), round(found.high)) == (3, 14, 17)
    assert found.judgement == "cannot tell"


def test_times_of_two_sizes_are_compared_by_the_namespace():
    aim = Aim("up", (OURS, 1000), (OURS, 100), "up", 1.3, scale=10.0)

    assert _judged(1200, 100, aim).estimate == pytest.approx(1.2, rel=0.05)


def test_what_was_not_measured_is_not_judged():
    aims = verdict.aims((8, 100))

    assert verdict.judge(_samples(OURS, 100, [1.0] * 6), aims, seed=1) == ()


def test_the_check_passes_only_when_every_aim_is_reached():
    good, open_, bad = (_judged(value, 100, AT_MOST) for value in (140, 150, 160))

    assert [verdict.code(told) for told in ([good], [good, open_], [open_, bad], [])] == [
        0,
        2,
        1,
        2,
    ]


def test_the_table_is_eighty_columns_wide_and_says_what_was_left_out():
    told = [
        sample
        for name, base in ((OURS, 1.4), (FLOOR, 1.0), (SHELL, 45.0))
        for size in (100, 1000)
        for sample in _samples(name, size, [base * size] * 6)
    ]
    verdicts = verdict.judge(told, verdict.aims((100, 1000)), seed=1)

    text = verdict.table(verdict.rows(told), verdicts, {"mininet": "there is no network " * 6})

    assert max(map(len, text.splitlines())) <= 80
    assert "Left out: mininet" in text
    assert "holds" in text

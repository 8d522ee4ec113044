"""A trial is summed up in cells, and divides what was spent by its requests."""

from __future__ import annotations

from bench.engine.meter import Spending
from bench.engine.trials import Sample, Target, Trial, cells, each_world, sampled
from bench.load.ab import AbReport
from tests.support import bench_fakes as fakes

REPORT = AbReport(1000, 10, 5, 0.5, 3_000_000, 2_900_000, 12.5, 12.0, 20.0, 30.0)


def test_a_sample_holds_the_report_and_what_was_spent() -> None:
    world = fakes.FakeWorld("net", 1)
    spent = Spending(
        {"net": {"nginx-lb": 200_000, "redis-cache": 100_000}}, 450_000, 9, 8, 0.6, 1.5
    )
    trial = Trial(what="on", **sampled(3, REPORT, spent, world))
    assert (trial.round, trial.success, trial.rate) == (3, 985, 1970)
    assert (trial.cpu_us_per_request, trial.host_us_per_request) == (300, 450)
    assert (trial.client_us, trial.stolen_us, trial.window_s, trial.load) == (9, 8, 0.6, 1.5)


def test_work_is_what_is_spent_beyond_rest() -> None:
    fields = fakes.sampled(1, cpu_us=400_000)
    sample = Sample(target="net", place=0, rest_us=100_000, others_cpu_us=0, **fields)
    assert (sample.cpu_us_per_request, sample.work_us_per_request) == (400, 300)


def test_cells_are_medians_and_failures_are_not_rounded_away() -> None:
    trials = [Trial(what="on", **fakes.sampled(number, 1_000 + number)) for number in range(3)]
    failed = Trial(what="on", **fakes.sampled(3, 900.0, success=999))
    assert cells(trials) == ["1001", "(1000–1002)", "30.2", "100%", "400"]
    assert cells([*trials, failed])[3] == "99.98%"


def test_each_world_is_given_once() -> None:
    net, docker = fakes.FakeWorld("net", 1), fakes.FakeWorld("docker", 2)
    targets = [
        Target(str(number), world, world.endpoint("nginx-lb"))
        for number, world in enumerate((net, net, docker))
    ]
    assert each_world(targets) == (net, docker)

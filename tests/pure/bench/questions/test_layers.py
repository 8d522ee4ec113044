"""Each layer is two entry points, measured on comparable worlds of one shape."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bench.engine import comparability
from bench.engine.comparability import Comparability, Mismatch
from bench.engine.meter import Rest
from bench.engine.trials import Sample
from bench.questions import layers
from bench.questions.layers import Layer, LayerCost
from tests.support.bench_fakes import NOISE, quiet, sampled
from twinstack.errors import TwinstackError


def sample(target: str, number: int, rate: float, host_us: int) -> Sample:
    fields = sampled(number, rate, host_us=host_us)
    return Sample(target=target, place=0, rest_us=0, others_cpu_us=0, **fields)


def cost(rate: float, host_us: int) -> LayerCost:
    samples = [
        trial
        for number, noise in enumerate(NOISE)
        for trial in (
            sample("direct", number, 4_000.0, 500_000),
            sample("published", number, rate * (1 + noise), int(host_us * (1 - noise))),
        )
    ]
    return layers.result(samples, Layer("docker-proxy", "published", "direct"), seed=1)


def test_a_layer_that_costs_is_given_in_microseconds() -> None:
    sentence = cost(2_000, 900_000).sentence
    assert re.match(r"docker-proxy: CPU \+(399|400|401) µs a request \(×1\.80, ", sentence)
    assert "; rate ×0.50, " in sentence


def test_a_layer_that_cannot_be_seen_is_said_to_be_so() -> None:
    sentence = cost(4_000, 500_000).sentence
    assert "CPU cannot tell" in sentence
    assert "rate cannot tell" in sentence


def test_the_text_fits_eighty_columns() -> None:
    long = replace(cost(2_000, 900_000), rung=Layer("a layer of long name " * 3, "a", "b"))
    result = layers.Layers(
        (long, cost(4_000, 500_000)), (), Rest({"docker": 9e4}, 1e5), {"net": 0.5}, 1
    )
    assert max(map(len, layers.text(result).splitlines())) <= 80


def test_dockers_two_ways_to_a_port_are_two_layers() -> None:
    names = ["docker edge", "docker published edge", "docker DNAT edge"]
    measurable = layers.layers(names, proxied="docker-proxy")
    assert [layer.with_it for layer in measurable] == ["docker published edge", "docker DNAT edge"]


def test_a_layer_needs_both_of_its_entry_points() -> None:
    measurable = layers.layers(["net edge", "docker edge"], proxied="DNAT")
    assert [layer.layer for layer in measurable] == ["Docker around the whole chain"]


def test_layers_are_measured_in_one_shape_and_only_on_comparable_worlds(
    stack: Any, noted: Callable[..., list[tuple[Any, ...]]]
) -> None:
    stack.set("net", "tiered")
    calls = noted(layers, "measure")
    noted(layers, "text", "the layers")
    noted(comparability, "observe")
    mismatch = Mismatch("CPU limit", "1", "2", "misleads")
    noted(comparability, "compare", Comparability("net", "docker", (mismatch,)))
    with pytest.raises(TwinstackError, match="net and docker: are not alike"):
        layers.ask(stack, rounds=6, requests=100, progress=quiet)
    assert calls == []
    forced = layers.ask(stack, rounds=6, requests=100, force=True, progress=quiet)
    assert [world.plan.shape for world in calls[0][:2]] == ["tiered", "tiered"]
    assert "Forced, although NOT ALIKE:\n- CPU limit: net 1, docker 2" in forced.text
    assert forced.not_alike == ("CPU limit: net 1, docker 2",)


@pytest.mark.parametrize(("rounds", "requests"), [(5, 100), (6, 49)])
def test_odd_options_are_refused_before_a_world_is_touched(
    stack: Any, rounds: int, requests: int
) -> None:
    with pytest.raises(TwinstackError, match="cannot be"):
        layers.ask(stack, rounds=rounds, requests=requests, progress=quiet)
    assert stack.actions == []

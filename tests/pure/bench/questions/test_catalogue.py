"""The further questions: gateways, chain, layers, start-up; what is pure of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.engine.trials import Rest, Sample
from bench.load import programs
from bench.load.programs import Program, Running
from bench.load.wrk import WrkReport
from bench.questions import chain, gateways, layers, redis_stats, startup
from bench.questions.chain import CHAIN, DIRECT, NAIVE, ChainSample
from bench.questions.layers import Rung
from bench.questions.startup import Startup
from twinstack.errors import CannotTell

NOISE = (0.0, 0.01, -0.01, 0.005, -0.005, 0.002, -0.002, 0.008)


def wrk_report(rate: float) -> WrkReport:
    return WrkReport(int(rate), 0, 0, 1.0, 3_000_000, 1.0, 4.0)


def gateway_samples(ours: float) -> dict[str, list[tuple[WrkReport, int]]]:
    rates = {gateways.OURS: ours, gateways.NGINX: 50_000.0, gateways.NODE: 10_000.0}
    return {
        name: [(wrk_report(rate * (1 + one)), 1_000_000) for one in NOISE]
        for name, rate in rates.items()
    }


@pytest.mark.parametrize(
    ("ours", "expected"),
    [(20_000, "at least 1.5 times: holds"), (12_000, "at least 1.5 times: fails")],
)
def test_gateway_is_held_against_node(ours: float, expected: str) -> None:
    found = gateways.summarise(gateway_samples(ours), seed=1)
    assert expected in found.sentence
    assert expected in gateways.table(found)


def test_gateway_without_node_is_said_not_to_be_compared() -> None:
    samples = gateway_samples(20_000)
    del samples[gateways.NODE]
    found = gateways.summarise(samples, seed=1)
    assert found.against_node is None
    assert "not compared" in found.sentence


def test_upstream_of_the_gateways_answers_three_kilobytes() -> None:
    text = gateways.nginx_upstream(1234)
    body = re.search(r"location / { return 200 '([^']*)'", text)
    assert body
    assert len(body[1]) == gateways.ANSWER_BYTES


def chain_samples(whole: float, reads: int = 1000) -> list[ChainSample]:
    rates = {CHAIN: whole, DIRECT: 6_000.0, NAIVE: 300.0}
    return [
        ChainSample(
            number,
            what,
            1000,
            1000,
            rate * (1 + one),
            20.0,
            reads,
            int(1e9 / rate),
            {"nginx-lb": 60_000, "product-service": 250_000, "postgres-db": 3},
        )
        for number, one in enumerate(NOISE, start=1)
        for what, rate in rates.items()
    ]


def test_chain_is_held_against_both_references() -> None:
    found = chain.summarise(chain_samples(4_000), limited=False, seed=1)
    assert "0.67 times the requests of the product services alone" in found.sentences[0]
    assert "at least 0.5 times: holds" in found.sentences[0]
    assert "at least 10 times: holds" in found.sentences[1]
    assert "CPU µs of a chain request: product-service 250, nginx-lb 60." in chain.table(found)
    assert max(map(len, chain.table(found).splitlines())) <= 80


def test_chain_that_falls_short_is_reported_so() -> None:
    found = chain.summarise(chain_samples(2_000), limited=True, seed=1)
    assert [one.rsplit(" ", 1)[1] for one in found.sentences] == ["fails.", "fails."]
    assert "NOT lifted" in chain.table(found)


def test_chain_that_answers_from_memory_is_found_out() -> None:
    with pytest.raises(CannotTell, match="did not read Redis for every request"):
        chain.summarise(chain_samples(4_000, reads=999), limited=False, seed=1)


def test_redis_counts_are_read_by_command() -> None:
    text = (
        "# Commandstats\r\ncmdstat_get:calls=17,usec=30,usec_per_call=1.7\r\n"
        "cmdstat_config|get:calls=2,usec=3\r\n"
    )
    assert redis_stats.parse_calls(text) == {"get": 17, "config|get": 2}


def sample(target: str, number: int, rate: float, host_us: int) -> Sample:
    return Sample(
        round=number,
        place=0,
        target=target,
        complete=1000,
        success=1000,
        non_2xx=0,
        lost=0,
        seconds=1000 / rate,
        rate=rate,
        mean_ms=1.0,
        p50_ms=1.0,
        p95_ms=1.0,
        p99_ms=1.0,
        transferred_bytes=1,
        cpu_us=1,
        rest_us=0,
        host_us=host_us,
        client_us=0,
        stolen_us=0,
        others_cpu_us=0,
        window_s=0.1,
        load=0.0,
    )


def rung_result(rate: float, host_us: int) -> layers.RungResult:
    samples = [
        one
        for number, noise in enumerate(NOISE)
        for one in (
            sample("direct", number, 4_000.0, 500_000),
            sample("published", number, rate * (1 + noise), int(host_us * (1 - noise))),
        )
    ]
    return layers.result(samples, Rung("docker-proxy", "published", "direct"), seed=1)


def test_layer_that_costs_is_told_in_microseconds() -> None:
    said = rung_result(2_000, 900_000).sentence
    assert re.match(r"docker-proxy: CPU \+(399|400|401) µs a request \(×1\.80, ", said)
    assert "; rate ×0.50, " in said


def test_layer_that_cannot_be_seen_is_said_to_be_so() -> None:
    said = rung_result(4_000, 500_000).sentence
    assert "CPU cannot tell" in said
    assert "rate cannot tell" in said


def test_every_text_fits_eighty_columns() -> None:
    rung = replace(rung_result(2_000, 900_000), rung=Rung("a layer of long name " * 3, "a", "b"))
    found = layers.Layers(
        (rung, rung_result(4_000, 500_000)), (), Rest({"docker": 9e4}, 1e5), {"net": 0.5}, 1
    )
    start = Startup("net", (13.0, 13.1, 15.2), (1.0, 1.0, 1.0), {"nginx-lb": 10 << 20})
    texts = (
        layers.text(found),
        startup.table([start]),
        gateways.table(gateways.summarise(gateway_samples(20_000), seed=1)),
    )
    assert [line for text in texts for line in text.splitlines() if len(line) > 80] == []


def test_dockers_two_ways_in_are_two_rungs() -> None:
    names = ["docker edge", "docker published edge", "docker DNAT edge"]
    found = layers.rungs(names, proxied="docker-proxy")
    assert [one.with_it for one in found] == ["docker published edge", "docker DNAT edge"]


def test_rungs_need_both_of_their_ends() -> None:
    found = layers.rungs(["net edge", "docker edge"], proxied="DNAT")
    assert [one.layer for one in found] == ["Docker around the whole chain"]


def test_start_is_judged_by_the_slowest() -> None:
    found = Startup("net", (3.0, 3.1, 5.2), (1.0, 1.0, 1.0), {"nginx-lb": 10 << 20})
    assert "within 5 s: FAILS" in found.sentence
    assert "below 600: holds" in found.sentence
    assert "within 5 s: holds" in replace(found, up_s=(3.0,)).sentence
    assert "nginx-lb" in startup.table([found])


def test_memory_is_read_from_the_kernel() -> None:
    assert startup.parse_pss("5581-7fff ---p 0 00:00 0 [rollup]\nRss: 9 kB\nPss: 8 kB\n") == 8192
    assert startup.pss_bytes(os.getpid()) > 1 << 20
    assert startup.pss_bytes(2**22 - 1) == 0


def test_reference_program_is_started_in_its_tree_and_network() -> None:
    words = programs.launch_words(
        Program("x", ("/bin/true",), Path("/tree"), ((Path("/a b"), "/mnt"),), {"K": "v"}, 42)
    )
    assert words[:2] == ["nsenter", "--net=/proc/42/ns/net"]
    assert "mount --bind '/a b' \"$root\"/mnt" in words[-1]
    assert "--no-new-privs" in words[-1]
    assert "env -i K=v /bin/true" in words[-1]


def test_session_of_a_program_holds_its_children_and_their_time() -> None:
    script = "import os, time\nos.fork()\nwhile time.process_time() < 0.1: pass\ntime.sleep(20)"
    child = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    try:
        program = Running("x", child.pid, Path("/nonexistent"))
        deadline = time.monotonic() + 10
        while program.cpu_us() < 150_000 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert program.cpu_us() >= 150_000
        assert len(list(programs._session(child.pid))) == 2
    finally:
        programs._stop([child])
    assert list(programs._session(child.pid)) == []

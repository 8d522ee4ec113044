"""A journey's text fits a terminal and has every step; worlds are compared stage by stage."""

from __future__ import annotations

from dataclasses import replace

from tests.support.journey_cases import journey
from twinstack.observe.journey.text import table, text


def test_the_text_fits_80_columns_and_has_each_step():
    words = text([journey(), journey("docker")])
    assert max(map(len, words.splitlines())) <= 80
    for step in journey().steps:
        assert step.what in words
    assert "    1 nat OUTPUT -p tcp -j DNAT  (the published port)" in words
    assert "127.0.0.1:40000 → 127.0.0.1:8080   (the client's socket)" in words
    (line,) = [line for line in words.splitlines() if line.startswith("in all")]
    assert line.split() == ["in", "all", "120", "120"]


def test_a_stage_of_one_world_alone_has_its_place():
    docker = journey("docker")
    extra = replace(docker.steps[3], stage="docker-proxy")
    words = table([journey(), replace(docker, steps=(*docker.steps[:4], extra))])
    (line,) = [line for line in words.splitlines() if line.startswith("docker-proxy")]
    assert line.split()[1:3] == ["–", "19"]

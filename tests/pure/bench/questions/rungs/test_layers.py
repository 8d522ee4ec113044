"""What sets a setting up is only what its rungs are."""

from __future__ import annotations

import pytest

from bench.questions.rungs import course, layers
from tests.support.bench_fakes import TOPOLOGY
from twinstack.model.plan import resolve

PLAN = resolve(TOPOLOGY, "tiered")


@pytest.mark.parametrize(
    ("rung", "words"),
    [
        ("bridge", "type bridge"),
        ("br_netfilter", "bridge-nf-call-iptables=1"),
        ("routed", "br-backend"),
        ("conntrack", "--ctstate"),
        ("DNAT", "--to-destination 172.21.0.30:5000"),
        ("PID namespace", "unshare --pid"),
        ("bind", "mount --bind / /mnt"),
        ("overlayfs", "lowerdir=/"),
    ],
)
def test_a_rungs_commands_come_with_it(rung: str, words: str) -> None:
    edge = next(edge for edge in course.edges() if edge.rung == rung)
    lower, upper = (commands(course.settings()[place]) for place in (edge.lower, edge.upper))
    assert words not in lower
    assert words in upper


def commands(setting: course.Setting) -> str:
    lines = [*layers.links(setting, PLAN, (7, 8)), *layers.firewall(setting, PLAN)]
    return "\n".join([*lines, " ".join(layers.launch(setting))])


def test_every_rung_has_a_proof() -> None:
    assert {layer.name for layer in course.LAYERS} < layers.PROOFS.keys()

"""Day 7: one of two hosts is joined to the other by a tunnel."""

from __future__ import annotations

from twinstack.course.lesson import Lesson, Part

DAY = Lesson(
    day=7,
    title="VXLAN, and measuring honestly",
    world="overlay",
    host="host-2",
    policy=True,
    parts=(
        Part("the tunnel", ("tunnel vx-app",)),
        Part("who is behind which host", ("entries vx-app",)),
        Part("the host's own way to the replicas", ("route 10.0.0.0/24",)),
        Part(
            "what the tunnel costs",
            question="By how many bytes is an outer packet longer than the inner one?",
            answer=(
                "mtu() {{ {enter} ip -o link show dev $1 | grep -oE 'mtu [0-9]+' | cut -c5-; }};"
                " echo $(($(mtu eth0) - $(mtu br-app)))"
            ),
        ),
        Part(
            "where Redis is",
            question="Which address do outer packets for redis-cache go to?",
            answer=(
                "{enter} bridge fdb show dev vx-app"
                " | sed -nE 's/^02:54:0a:00:00:32 dst ([0-9.]+) .*/\\1/p'"
            ),
        ),
    ),
)

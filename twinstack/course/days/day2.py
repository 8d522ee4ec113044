"""Day 2: the bridge and its ports, the way out and the published port."""

from __future__ import annotations

from twinstack.course.lesson import Lesson, Part

DAY = Lesson(
    day=2,
    title="Bridge and NAT",
    parts=(
        Part("forwarding between links", ("sysctl net.ipv4.ip_forward",)),
        Part("the bridge br-app", ("bridge br-app",)),
        Part("the bridge's ports", ("veth *",), only=(" master ", " hairpin ")),
        Part(
            "localhost's way into the bridge",
            ("sysctl net.ipv4.conf.br-app.route_localnet", "rules raw PREROUTING"),
        ),
        Part("port 8080 for other machines", ("rules nat PREROUTING",)),
        Part("port 8080 for this host", ("rules nat OUTPUT",)),
        Part("the way out and back", ("rules nat POSTROUTING",)),
    ),
)

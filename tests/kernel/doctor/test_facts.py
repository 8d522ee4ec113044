"""The doctor looks and changes nothing."""

from __future__ import annotations

import subprocess

import pytest

from twinstack.doctor.facts import observe


def host() -> str:
    commands = (["ip", "-br", "link"], ["iptables-save"], ["ip", "netns", "list"])
    return "".join(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for command in commands
    )


@pytest.mark.kernel
def test_looking_leaves_no_doctor_object_on_the_host():
    facts = observe()
    assert "doctor" not in host()
    assert facts.root
    assert facts.features is not None
    assert facts.features["bridge"]
    assert facts.routes is not None
    assert "cpu" in facts.controllers

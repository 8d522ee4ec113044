"""Set-up installs daemons and starts and enables nothing: seen in throw-away Debian trees.

Each test runs the real script on the real packages; only the network is taken away. The rarer
combinations are marked long: make check-setup runs them too.
"""

from __future__ import annotations

import pytest

SETUP = "/src/scripts/setup-system >/run/said 2>&1"
INSTALL = "apt-get -q -y install --no-install-recommends"
OBSERVE = "echo '== {0}'; observe"
BEFORE = OBSERVE.format("before") + "\n"
AFTER = "\n" + OBSERVE.format("after")
MISSING = "\necho '== missing'; /src/scripts/setup-system --missing"
LONG = pytest.mark.long
POLICIES = {
    "none": "",
    "a script": (
        "printf '#!/bin/sh\\nexit 0 # mine\\n' >/usr/sbin/policy-rc.d\n"
        "chown 7:8 /usr/sbin/policy-rc.d; chmod 4751 /usr/sbin/policy-rc.d\n"
        "touch -d 2001-02-03 /usr/sbin/policy-rc.d\n"
    ),
    "a dangling link": "ln -s /etc/alternatives/policy-rc.d /usr/sbin/policy-rc.d\n",
}
# Set-up in a session of its own, caught while dpkg works.
CAUGHT = """
set -m
/src/scripts/setup-system >/run/setup.log 2>&1 & pid=$!
until [ -e /var/lib/dpkg/info/docker.io.postinst ]; do sleep 0.02; done
"""


@pytest.mark.kernel
@pytest.mark.parametrize(
    "systemd",
    [pytest.param(False, id="sysv"), pytest.param(True, id="systemd", marks=LONG)],
)
def test_an_ordinary_installation_is_seen_to_start_and_enable(run_in_tree, systemd):
    seen = run_in_tree(
        BEFORE + f"{INSTALL} docker.io prometheus </dev/null >/run/log 2>&1; sleep 1" + AFTER,
        systemd=systemd,
    )
    before, after = seen.at("before"), seen.at("after")
    for name in ("docker", "prometheus"):
        assert f"{name}.service" not in before["enabled"]
        assert f"{name}.service" in after["enabled"]
        assert f"S01{name}" in after["run levels"]
    assert "start" in after["asked of systemd"] if systemd else "dockerd" in after["running"]


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("policy", "systemd"),
    [
        pytest.param("none", False, id="none-sysv"),
        pytest.param("a script", True, id="a script-systemd"),
        pytest.param("none", True, id="none-systemd", marks=LONG),
        pytest.param("a script", False, id="a script-sysv", marks=LONG),
        pytest.param("a dangling link", False, id="a dangling link-sysv", marks=LONG),
        pytest.param("a dangling link", True, id="a dangling link-systemd", marks=LONG),
    ],
)
def test_setup_leaves_services_and_policy_as_they_were(run_in_tree, policy, systemd):
    seen = run_in_tree(
        f"{POLICIES[policy]}{BEFORE}{SETUP}\nsleep 1{AFTER}{MISSING}",
        systemd=systemd,
    )
    assert seen.at("after") == seen.at("before")
    assert seen.at("missing") == {}


@pytest.mark.kernel
@pytest.mark.parametrize(
    "signal", ["INT", pytest.param("TERM", marks=LONG), pytest.param("HUP", marks=LONG)]
)
def test_setup_stopped_by_a_signal_leaves_everything_as_it_was(run_in_tree, signal):
    policy = POLICIES["a script"]
    seen = run_in_tree(
        f"{policy}{BEFORE}{CAUGHT}kill -{signal} -- -$pid; wait $pid; s=$?\n"
        f"echo == status; echo ended: $s{AFTER}"
    )
    assert seen.at("status")["ended"] == {"INT": "130", "TERM": "143", "HUP": "129"}[signal]
    assert seen.at("after") == seen.at("before")


@pytest.mark.kernel
@pytest.mark.parametrize(
    "policy",
    ["a script", pytest.param("none", marks=LONG), pytest.param("a dangling link", marks=LONG)],
)
def test_setup_killed_is_finished_by_the_next(run_in_tree, policy):
    seen = run_in_tree(
        f"{POLICIES[policy]}{BEFORE}{CAUGHT}kill -9 $pid; wait $pid; echo == killed; observe\n"
        f"{SETUP}{AFTER}{MISSING}"
    )
    assert seen.at("killed") != seen.at("before")
    assert seen.at("after") == seen.at("before")
    assert seen.at("missing") == {}


@pytest.mark.kernel
def test_setup_that_fails_puts_the_policy_back(run_in_tree):
    seen = run_in_tree(
        POLICIES["a script"]
        + """echo 'DPkg::Pre-Invoke {"false";};' >/etc/apt/apt.conf.d/99fails\n"""
        + f"{BEFORE}{SETUP}; s=$?; echo == status; echo ended: $s{AFTER}; cat /run/said"
    )
    assert seen.at("status")["ended"] == "1"
    after = seen.at("after")
    assert {key: after[key] for key in seen.at("before")} == seen.at("before")
    assert 'mend that and run "make setup"' in seen.text


@pytest.mark.kernel
def test_setup_touches_nothing_of_a_docker_that_was_there(run_in_tree):
    seen = run_in_tree(
        f"{INSTALL} docker.io </dev/null >/run/log 2>&1; sleep 1\n{BEFORE}{SETUP}; sleep 1{AFTER}"
    )
    assert "dockerd" in seen.at("before")["running"]
    assert seen.at("after") == seen.at("before")


@pytest.mark.kernel
@pytest.mark.long
def test_a_second_setup_does_nothing(run_in_tree):
    seen = run_in_tree(
        f"{SETUP}; before=$(sha256sum /var/log/dpkg.log); {SETUP}; echo == said; cat /run/said\n"
        'echo == log; [ "$before" = "$(sha256sum /var/log/dpkg.log)" ] && echo same: yes'
    )
    assert seen.at("said") == {}
    assert seen.at("log") == {"same": "yes"}

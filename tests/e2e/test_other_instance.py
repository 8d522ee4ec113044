"""Another instance acts on nothing of the one that is up, and names it: OWNER stands for that."""

from __future__ import annotations

import pytest

from tests.support.sandbox import Sandbox, differences, snapshot

pytestmark = pytest.mark.e2e

NOT_UP = "net world: is not up: bridge br-app belongs to instance OWNER; look at that one "
REFUSED = "bridge br-app: is not ours: it belongs to instance OWNER, "
#: Tasks that read or enter a world: one line on the output for errors, exit code 2.
LOOKING = (
    "net.exec nginx-lb -- true",
    "net.logs nginx-lb",
    "net.restart order-service",
    "net.scale product-service=2",
    "net.release product-service --rollback",
    "policy.confinement",
    "policy.drops --seconds 1",
    "policy.verify",
    "topology",
    "topology --world net",
    "flows",
    "conntrack --once",
    "conntrack --seconds 1",
    "traffic.capture --seconds 1",
    "traffic.report --seconds 1",
    "traffic.journey",
    "chaos",
    "chaos --world net --what kill:redis-cache",
)
#: Others: the exit code, and a part of what they say.
SAYING = {
    "net.status": (2, NOT_UP),
    "health --once": (2, "net is not up"),
    "net.plan": (1, "- bridge br-app: belongs to instance OWNER\n"),
    "net.plan --shape tiered": (1, "- namespace nginx-lb: belongs to instance OWNER\n"),
    "net.up": (1, REFUSED),
    "net.up --shape tiered": (1, "namespace nginx-lb: is not ours: it belongs to instance OWNER, "),
    "net.down": (0, "Nothing of ours is here."),
    "doctor": (1, "nginx-lb (net): held by instance OWNER's net world\n"),
    "tour --yes": (1, REFUSED),
    "bench --quick": (1, REFUSED),
    "bench.startup --times 1": (1, REFUSED),
    "bench.policy": (1, REFUSED),
}
Answers = dict[str, tuple[int, str, str]]


def seen(host: Sandbox) -> dict[str, str]:
    """Write down the host, and which instances keep something on it."""
    directories = host.run("ls", "/run/twinstack", "/var/lib/twinstack").stdout
    return {**snapshot(host), "instances": directories}


@pytest.fixture(scope="module")
def before(flat: Sandbox) -> dict[str, str]:
    return seen(flat)


@pytest.fixture(scope="module")
def answers(flat: Sandbox, before: dict[str, str]) -> Answers:
    """Ask all as an instance that was never up."""
    return flat.calls((*LOOKING, *SAYING), TWINSTACK_INSTANCE="other")


def test_it_leaves_everything_as_it_is(
    answers: Answers, flat: Sandbox, before: dict[str, str]
) -> None:
    assert answers
    left = differences(before, seen(flat))
    assert [line for line in left if "sleep 5" not in line] == []  # the log rotator's
    assert flat.invoke("net.status", check=False).returncode == 0


@pytest.mark.parametrize("line", LOOKING)
def test_a_task_that_looks_names_whose_world_it_is(
    answers: Answers, flat: Sandbox, line: str
) -> None:
    code, output, errors = answers[line]
    assert errors.startswith(NOT_UP.replace("OWNER", flat.instance))
    assert (code, output, len(errors.splitlines())) == (2, "", 1)


@pytest.mark.parametrize("line", SAYING)
def test_any_other_task_changes_nothing_and_says_why(
    answers: Answers, flat: Sandbox, line: str
) -> None:
    expected, words = SAYING[line]
    code, output, errors = answers[line]
    said = " ".join((output + errors).split())  # tables wrap at the terminal's width
    sought = " ".join(words.replace("OWNER", flat.instance).split())
    assert (code, sought in said) == (expected, True), output + errors

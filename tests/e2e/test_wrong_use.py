"""Wrong values, names and files are one line and exit code 64; a world that is not up is 2."""

from __future__ import annotations

import re

import pytest

from tests.support.core_cases import planned
from tests.support.sandbox import INVOKE, Sandbox, snapshot

pytestmark = pytest.mark.e2e

#: A command line, and how what it says begins.
WRONG = {
    "net.up --timeout 0": "--timeout: cannot be 0: ",
    "net.up --timeout soon": "--timeout: cannot be soon: it is a whole number",
    "net.up --timeout=1e3": "--timeout: cannot be 1e3: it is a whole number",
    "net.up --shape round": "shape round: is not declared: ",
    "net.up --shap flat": "No idea what '--shap' is!",
    "net.plan --shape ../flat": "shape ../flat: is not declared: ",
    "net.exec": "'net.exec' did not receive required positional arguments: 'service'",
    "net.logs nobody": "nobody: is no service: ",
    "net.logs nginx-lb nobody": "nobody: is no service: ",
    "net.logs --since soon": "--since: cannot be soon: ",
    "net.logs --level loud": "--level: cannot be loud: ",
    "docker.logs --since 10": "--since: cannot be 10: ",
    "overlay.logs --follow --ssh": "--follow: cannot go with --ssh: ",
    "net.logs nginx-lb --lines 0": "--lines: cannot be 0",
    "net.logs nginx-lb --lines -5": "--lines: cannot be -5",
    "net.exec nginx-lb": "net.exec: has nothing to run: ",
    "net.scale product-service": "product-service: is no scale",
    "net.scale product-service=many": "product-service=many: is no scale",
    "net.scale nobody=2": "nobody: is no service: ",
    "net.scale postgres-db=2": "postgres-db: cannot be scaled: ",
    "net.release product-service --how red --rollback": "--how: cannot be red: ",
    "net.release product-service": "net.release: cannot be done: ",
    "net.release product-service --rollback --seconds 1": "--seconds: cannot be 1: ",
    "docker.up --timeout -1": "--timeout: cannot be -1: ",
    "docker.logs nginx-lb --lines 0": "--lines: cannot be 0",
    "overlay.up --hosts 0": "--hosts 0: is out of range: ",
    "overlay.up --hosts 100000": "--hosts 100000: is out of range: ",
    "overlay.up --without host-9": "host-9: is no host: ",
    "overlay.watch --seconds 0": "--seconds: cannot be 0: ",
    "swarm.up --hosts 99": "--hosts: cannot be 99: ",
    "policy.drops --seconds 0": "--seconds: cannot be 0: ",
    "policy.show --world mars": "--world: cannot be mars: ",
    "traffic.capture --seconds -1": "--seconds: cannot be -1: ",
    "traffic.capture --snap -1": "--snap: cannot be -1: ",
    "traffic.capture --size 0": "--size: cannot be 0: ",
    "traffic.report /nowhere/a.pcap": "/nowhere/a.pcap: cannot be read: it does not exist; ",
    "traffic.report /nowhere/ü\x1b[31m.pcap": "/nowhere/ü\\x1b[31m.pcap: cannot be read: ",
    "traffic.report --html /nowhere/a.html": "/nowhere/a.html: cannot be written: ",
    "traffic.journey --times 0": "--times: cannot be 0",
    "conntrack --once --seconds 3": "--once: cannot go with --seconds: ",
    "traffic.capture --world mars": "--world: cannot be mars: ",
    "traffic.report --world mars": "--world: cannot be mars: ",
    "flows --verdict maybe": "--verdict: cannot be maybe: it is allowed or dropped; ",
    "flows --from nobody": "nobody: is no end of a flow: ",
    "flows --to 10.0.0": "10.0.0: is no end of a flow: ",
    "flows --port 70000": "--port: cannot be 70000: ",
    "flows --last 0": "--last: cannot be 0: ",
    "flows --since soon": "--since: cannot be soon: ",
    "overlay.exec host-1": "overlay.exec: has nothing to run: ",
    "swarm.exec host-1": "swarm.exec: has nothing to run: ",
    "docker.exec nginx-lb": "docker.exec: has nothing to run: ",
    "conntrack --seconds -1": "--seconds: cannot be -1: ",
    "policy.show --shape round": "shape round: is not declared: ",
    "overlay.plan --shape round": "shape round: is not declared: ",
    "swarm.up --timeout 0": "--timeout: cannot be 0: ",
    "overlay.up --timeout 0": "--timeout: cannot be 0: ",
    "chaos --count -1": "--count: cannot be -1: ",
    "doctor --fix": "No idea what '--fix' is!",
    "clean --all": "No idea what '--all' is!",
    "docker.render everything": "No idea what 'everything' is!",
    "bench.commands --times 0": "--times: cannot be 0: ",
    "dashboard --port 70000": "--port: cannot be 70000: ",
    "dashboard --allow-host http://lab.example/": "--allow-host: cannot be http://lab.example/: ",
    "dashboard --allow-host lab.example --allow-host *": "--allow-host: cannot be *: ",
    "health --world mars": "--world: cannot be mars: ",
    "topology --format pdf": "--format: cannot be pdf: ",
    "chaos --world mars": "--world: cannot be mars: ",
    "chaos --seconds 0": "--seconds: cannot be 0: ",
    "bench --minutes 0": "--minutes: cannot be 0.0: ",
    "bench --minutes nan": "--minutes: cannot be nan: ",
    "bench docker": "No idea what 'docker' is!",
    "traffic.capture nginx-lb": "No idea what 'nginx-lb' is!",
    "bench --requests 0": "--requests: cannot be 0: ",
    "bench --requests 10 --concurrency 50": "--requests: cannot be 10: ",
    "bench --aa moon": "--aa: cannot be moon: ",
    "bench.selftest --plant fire": "--plant: cannot be fire: ",
    "no.such.task": "No idea what 'no.such.task' is!",
}
#: Tasks that look at a world, or change what runs.
LOOKING = (
    "net.status",
    "net.logs",
    "net.logs nginx-lb",
    "net.logs nginx-lb --follow",
    "net.exec nginx-lb -- true",
    "net.restart order-service",
    "net.scale product-service=2",
    "net.release product-service --rollback",
    "docker.status",
    "docker.logs",
    "docker.logs nginx-lb --follow",
    "docker.exec nginx-lb -- true",
    "docker.restart order-service",
    "overlay.status",
    "overlay.verify",
    "overlay.logs nginx-lb",
    "overlay.logs --follow",
    "overlay.exec host-1 -- true",
    "swarm.status",
    "swarm.exec host-1 -- true",
    "policy.verify",
    "policy.drops --seconds 1",
    "policy.confinement",
    "topology",
    "flows",
    "flows --follow",
    "health --once",
    "conntrack --once",
    "traffic.capture --seconds 1",
    "traffic.report --seconds 1",
    "traffic.journey",
    "chaos",
)


#: Surroundings in which no task can work: what is set, and how what is said begins.
SURROUNDINGS = {
    "an instance of capitals": (
        {"TWINSTACK_INSTANCE": "Lab"},
        "TWINSTACK_INSTANCE=Lab: cannot be used: ",
    ),
    "an instance with a path": (
        {"TWINSTACK_INSTANCE": "../main"},
        "TWINSTACK_INSTANCE=../main: cannot be used: ",
    ),
    "an instance in another script": (
        {"TWINSTACK_INSTANCE": "labör"},
        "TWINSTACK_INSTANCE=labör: cannot be used: ",
    ),
    "a topology that is not there": (
        {"TWINSTACK_TOPOLOGY": "/nowhere/topology.yml"},
        "/nowhere/topology.yml: cannot be read: ",
    ),
    "a folder as topology": ({"TWINSTACK_TOPOLOGY": "/etc"}, "/etc: cannot be read: "),
    "a program as topology": ({"TWINSTACK_TOPOLOGY": "/bin/sh"}, "/bin/sh: cannot be read: "),
    "nothing as topology": ({"TWINSTACK_TOPOLOGY": "/dev/null"}, "/dev/null: is no topology: "),
}
#: A task of each noun that reads what is declared.
READING = (
    *("policy.show", "net.plan", "docker.plan", "overlay.plan", "swarm.plan"),
    *("net.logs", "flows", "topology", "traffic.report"),
)


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_surroundings_in_which_nothing_can_work_are_said_in_a_line(
    host: Sandbox, name: str
) -> None:
    """Also where the output can write ASCII alone."""
    set_to, beginning = SURROUNDINGS[name]
    before = snapshot(host)
    answers = host.calls(READING, PYTHONIOENCODING="ascii", **set_to)
    assert snapshot(host) == before
    for line, (code, output, errors) in answers.items():
        expected = beginning.encode("ascii", "replace").decode()
        assert errors.startswith(expected), line
        assert (code, output, len(errors.splitlines())) == (64, "", 1), line


@pytest.mark.parametrize("line", ["net.up --timeout soon", "flows --from nobody", "net.status"])
def test_a_small_terminal_gets_the_same_line(host: Sandbox, line: str) -> None:
    """Of 20 lines of 60 columns, which stdin, output and errors are."""
    piped = host.run(INVOKE, *line.split(), check=False)
    typed = f"stty rows 20 columns 60; unset COLUMNS; exec {INVOKE} {line}"
    done = host.run("script", "-qec", typed, "/dev/null", check=False)
    assert done.returncode == piped.returncode != 0
    shown = done.stdout.replace("\r\n", "\n")
    assert piped.stderr in shown
    assert "Traceback" not in shown
    if line == "net.status":
        rows = [row for row in shown.splitlines() if "absent" in row]
        assert len(rows) == len(planned().replicas)
        assert all(len(uncoloured(row)) <= 60 for row in rows)
        assert "not shown: " in shown


def uncoloured(row: str) -> str:
    return re.sub(r"\x1b\[\d+m", "", row)


@pytest.fixture(scope="module")
def answers(host: Sandbox) -> dict[str, tuple[int, str, str]]:
    before = snapshot(host)
    answers = host.calls((*WRONG, *LOOKING))
    assert snapshot(host) == before
    return answers


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_use_is_one_line(answers: dict[str, tuple[int, str, str]], line: str) -> None:
    code, output, errors = answers[line]
    assert errors.startswith(WRONG[line])
    assert (code, output, len(errors.splitlines())) == (64, "", 1)


@pytest.mark.parametrize("line", LOOKING)
def test_a_world_that_is_not_up_is_nothing_to_look_at(
    answers: dict[str, tuple[int, str, str]], line: str
) -> None:
    code, output, errors = answers[line]
    assert code == 2, (output, errors)
    assert "Traceback" not in errors

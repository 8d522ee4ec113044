"""Wrong values, names and files are one line and exit code 64; a world that is not up is 2."""

from __future__ import annotations

import pytest

from tests.support.sandbox import Sandbox, snapshot

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
    "traffic.capture --world both": "--world: cannot be both: ",
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
    "health --once",
    "conntrack --once",
    "traffic.capture --seconds 1",
    "traffic.report --seconds 1",
    "traffic.journey",
    "chaos",
)


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

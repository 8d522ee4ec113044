from __future__ import annotations

import threading
from collections.abc import Callable
from ipaddress import IPv4Address

import pytest

from tests.support.machines import HERE
from twinstack.errors import NotHealthy, SeveralFailed, StepFailed, TwinstackError
from twinstack.model.placement import Host
from twinstack.overlay import ssh
from twinstack.overlay.ssh import Machine


def test_a_machine_is_reached_without_a_password_and_not_for_ever():
    prefix = ssh.machine(Host("left", IPv4Address("10.88.0.11")), ("-i", "key")).prefix
    assert prefix[0] == "ssh"
    assert "BatchMode=yes" in prefix
    assert "ConnectTimeout=10" in prefix
    assert prefix[-3:] == ("-i", "key", "root@10.88.0.11")


def test_a_command_gives_what_it_printed():
    assert ssh.run(HERE, "echo hello") == "hello\n"
    with pytest.raises(StepFailed, match="host here: refused: no"):
        ssh.run(HERE, "echo no >&2; exit 3")
    with pytest.raises(StepFailed, match="host here: cannot be reached"):
        ssh.run(HERE, "exit 255")
    with pytest.raises(StepFailed, match=r"still running after 0\.1 s"):
        ssh.run(HERE, "sleep 5", timeout_s=0.1)


def test_an_attached_command_keeps_its_words_and_its_exit_code(
    capfd: pytest.CaptureFixture[str],
) -> None:
    words = ["printf", "%s|", "two words", "$HOME", "it's"]
    assert ssh.attached(HERE, words, terminal=False) == 0
    assert capfd.readouterr().out == "two words|$HOME|it's|"
    assert ssh.attached(HERE, ["sh", "-c", "exit 3"], terminal=True) == 3
    with pytest.raises(StepFailed, match="host here: cannot be reached"):
        ssh.attached(HERE, ["sh", "-c", "exit 255"], terminal=False)


def request(command: str, stop: threading.Event | None = None) -> tuple[str, list[str]]:
    progress: list[str] = []
    stop = stop or threading.Event()
    reply = ssh.request(HERE, command, b"question", progress.append, stop, timeout_s=10)
    return reply, progress


def test_a_request_goes_by_standard_input_and_its_reply_is_the_last_line():
    reply, progress = request('read line; echo "about $line" >&2; echo first; echo "to $line"')
    assert (reply, progress) == ("to question", ["about question"])


def test_a_request_without_a_reply_fails():
    with pytest.raises(StepFailed, match="host here: does not answer: why"):
        request("echo why >&2")


def test_a_stop_closes_the_channel_and_the_reply_is_still_read():
    stop = threading.Event()
    stop.set()
    reply, _ = request("read line; read more; echo closed", stop)
    assert reply == "closed"


def test_a_stopped_machine_is_not_named_beside_the_one_that_failed():
    stopped = ssh.Stopped("host left", "was stopped")
    failed = StepFailed("host right", "cannot be reached")
    with pytest.raises(StepFailed, match="host right: cannot be reached"):
        ssh.raise_failures([stopped, failed])
    unhealthy = SeveralFailed("up", [NotHealthy("a", "is down"), NotHealthy("b", "is down")])
    with pytest.raises(SeveralFailed, match="2 steps failed"):
        ssh.raise_failures([unhealthy])
    ssh.raise_failures([])


def _unhealthy(_: Machine) -> None:
    raise NotHealthy("here: nginx-lb", "is starting after 1 s")


def _broken(_: Machine) -> None:
    raise TwinstackError("here: bridge br-app", "is not ours")


@pytest.mark.parametrize(("work", "stops"), [(_unhealthy, False), (_broken, True)])
def test_an_unhealthy_service_does_not_stop_the_other_machines(
    work: Callable[[Machine], None], stops: bool
):
    stop = threading.Event()
    results, failures = ssh.each([HERE], work, stop)
    assert (results, set(failures)) == ({}, {"here"})
    assert stop.is_set() is stops

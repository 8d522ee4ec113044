"""A namespace is pinned where `ip netns` has it, seen by it, and let go without a trace."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from tests.support.loopback import in_own_netns
from twinstack.linux import child, libc, mounts, netns
from twinstack.linux.libc import Clone, Mount

pytestmark = pytest.mark.kernel
Result = TypeVar("Result")


def with_own_run(work: Callable[[], Result]) -> Result:
    """Work where /run is empty and nobody else's."""

    def inside() -> Result:
        libc.unshare(Clone.NEWNS)
        libc.mount("none", "/", "none", Mount.REC | Mount.PRIVATE)
        libc.mount("tmpfs", "/run", "tmpfs", 0, "mode=755")
        return work()

    return in_own_netns(inside)


def pin_new(name: str) -> int:
    def work() -> int:
        child.unshare_netns()
        netns.pin(name)
        return os.stat("/proc/thread-self/ns/net").st_ino

    return child.inside("a namespace to pin", None, work)


def test_a_pinned_namespace_is_listed_by_ip_and_leaves_nothing_when_unpinned():
    def work() -> list[object]:
        before = netns.pins_are_mounted()
        netns.mount_pins()
        inode = pin_new("web")
        seen = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
        states = [before, netns.pins_are_mounted(), netns.pinned(), seen.stdout.split()[0]]
        states.append(os.stat("/run/netns/web").st_ino == inode)
        netns.unpin("web")
        netns.unmount_pins()
        return [*states, netns.pins_are_mounted(), netns.PINS.exists()]

    assert with_own_run(work) == [False, True, ("web",), "web", True, False, False]


def test_an_empty_file_is_no_namespace_and_gives_way_to_one():
    def work() -> tuple[object, ...]:
        netns.mount_pins()
        (netns.PINS / "web").touch()
        before = netns.is_empty_pin("web"), netns.pinned()
        pin_new("web")
        return *before, netns.is_empty_pin("web"), netns.pinned()

    assert with_own_run(work) == (True, (), False, ("web",))


def test_namespaces_are_visited_in_one_child_and_one_that_is_gone_is_left_out():
    def work() -> dict[str, list[str]]:
        netns.mount_pins()
        pin_new("web")
        paths = {"host": None, "web": netns.PINS / "web", "gone": netns.PINS / "gone"}
        subprocess.run(["ip", "link", "add", "br-x", "type", "bridge"], check=True)
        return child.each(paths, lambda _name: [name for _, name in socket.if_nameindex()])

    assert with_own_run(work) == {"host": ["lo", "br-x"], "web": ["lo"]}


def test_a_socket_stays_in_the_namespace_that_it_was_made_in():
    def work() -> tuple[list[int], bool]:
        netns.mount_pins()
        pin_new("web")
        made = [child.socket_in(netns.PINS / "web") for _ in range(2)]
        for sock in made:
            sock.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="unreachable"):  # its lo is down
            made[0].connect(("127.0.0.1", 9))
        return [sock.family for sock in made], made[0].getsockname()[1] > 0

    assert with_own_run(work) == ([socket.AF_INET] * 2, True)


def test_a_hosts_mounts_have_a_run_of_their_own_and_go_with_their_pin(tmp_path: Path):
    def work() -> tuple[object, ...]:
        run = Path("/run/twinstack/t")
        netns.mount_pins()
        pin_new("host")
        pin = run / mounts.DIRECTORY / "host"
        mounts.make("host", pin)
        mounts.make("host", pin)  # again: the older ones are replaced
        listing = child.inside("host", netns.PINS / "host", lambda: os.listdir("/run"), pin)
        pinned = mounts.pinned(run)
        mounts.release(pin)
        released = mounts.pinned(run)
        mounts.remove(run)
        return listing, pinned, released, mounts.is_kept(run)

    assert with_own_run(work) == ([], ("host",), (), False)

"""Sysctls are those of the namespace that was entered last."""

from __future__ import annotations

import pytest

from tests.support.loopback import in_own_netns
from twinstack.linux import child
from twinstack.linux.sysctl import Sysctls

pytestmark = pytest.mark.kernel
KEY = "net.ipv4.conf.lo.forwarding"


def test_a_namespace_has_its_own_sysctls():
    def work() -> list[dict[str, str]]:
        sysctls = Sysctls()
        sysctls.enter()
        initial = sysctls.read([KEY])  # the host's, which a new namespace begins with
        sysctls.write([(KEY, "0" if initial == {KEY: "1"} else "1")])
        first = sysctls.read([KEY, "net.ipv4.conf.none.forwarding"])
        child.unshare_netns()
        sysctls.enter()
        second = sysctls.read([KEY])
        sysctls.close()
        return [initial, first, second]

    initial, first, second = in_own_netns(work)
    assert first != initial
    assert second == initial


def test_only_an_optional_sysctl_may_be_missing():
    def work() -> None:
        sysctls = Sysctls()
        sysctls.enter()
        missing = [("net.ipv4.conf.none.forwarding", "1")]
        sysctls.write(missing, optional="net.ipv4.conf.none")
        with pytest.raises(FileNotFoundError):
            sysctls.write(missing)

    in_own_netns(work)

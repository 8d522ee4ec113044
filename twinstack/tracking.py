"""What the kernel remembers of connections between our own addresses, and forgetting it.

While a bridge's frames pass no iptables, nobody follows their connections; what was remembered of
them before no longer fits, and their replies would look like nobody's. And what a withdrawn flow
had opened is remembered as open. Forgotten, a connection is judged anew by its next packet.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Network
from itertools import product

from twinstack import shell
from twinstack.errors import Missing


def forget(subnets: Iterable[IPv4Network], prefix: tuple[str, ...] = ()) -> None:
    """Forget every connection from one of the subnets to one of them.

    None of these is translated, so none is lost. Where the program is not installed they run out
    by themselves. Same as: conntrack -D -s SUBNET -d SUBNET. Raises: StepFailed.
    """
    known = list(subnets)
    with suppress(Missing):
        for source, destination in product(known, known):
            # It exits 1 when there was nothing to forget.
            shell.run([*prefix, "conntrack", "-D", "-s", str(source), "-d", str(destination)],
                      check=False)  # fmt: skip

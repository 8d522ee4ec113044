"""Protocols have names, and header layouts the sizes of their RFCs."""

from __future__ import annotations

import pytest

from twinstack.observe.traffic import protocols as p


@pytest.mark.parametrize(
    ("protocol", "name"),
    [
        (6, "TCP"),
        (p.ETHERTYPE + 0x0806, "ARP"),
        (p.ETHERTYPE + 0x1234, "type 0x1234"),
        (99, "IP protocol 99"),
    ],
)
def test_a_protocol_has_a_name_or_its_number(protocol: int, name: str):
    assert p.protocol_name(protocol) == name


def test_layouts_have_the_size_of_their_headers():
    headers = (p.IPV4_HEADER, p.IPV6_HEADER, p.TCP_HEADER, p.VXLAN_HEADER, p.ARP_HEADER)
    assert [header.itemsize for header in headers] == [20, 40, 20, 8, 28]

"""Addresses survive as numbers; columns are joined and taken apart."""

from __future__ import annotations

from ipaddress import ip_address

import numpy as np
import pytest

from twinstack.observe.traffic.packets import Packets, address_of, numbers_of


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "10.0.0.1", "255.255.255.255", "::1", "2001:db8::ff"]
)
def test_an_address_survives_its_two_numbers(address: str):
    assert address_of(*numbers_of(ip_address(address))) == ip_address(address)


def test_columns_are_joined_and_taken_apart():
    few, many = Packets.blank(1), Packets.blank(2)
    many.seq[:] = 7, 8
    joined = Packets.join([few, many])
    assert joined.seq.tolist() == [0, 7, 8]
    assert joined.take(np.array([True, False, True])).seq.tolist() == [0, 8]
    assert joined.flags.dtype == np.uint8

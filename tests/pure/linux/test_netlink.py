"""Attributes are read as they were packed; a refusal says the system's word and the kernel's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinstack.linux import netlink


@given(st.lists(st.tuples(st.integers(1, 60), st.binary(max_size=40)), unique_by=lambda x: x[0]))
def test_attributes_are_taken_apart_as_they_were_packed(wanted: list[tuple[int, bytes]]):
    packed = b"".join(netlink.attribute(kind, value) for kind, value in wanted)
    assert len(packed) % 4 == 0
    found = netlink.attributes(memoryview(packed))
    assert {kind: bytes(value) for kind, value in found.items()} == dict(wanted)


@given(st.binary(max_size=64))
def test_attributes_of_nonsense_end_quietly(data: bytes):
    netlink.attributes(memoryview(data))


@pytest.mark.parametrize("code", [1, 17, 19])
def test_a_refusal_says_the_systems_word_and_the_kernels(code: int):
    refused = netlink.Refused(code, "Unknown device", 2)
    assert (refused.errno, refused.number) == (code, 2)
    assert "Unknown device" in str(refused)

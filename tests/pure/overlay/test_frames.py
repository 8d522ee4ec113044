from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.vxlan_frames import HERE, THERE, vxlan_frame
from twinstack.overlay.frames import decode, layers


def test_a_frame_is_decoded_from_the_outside_in():
    frame = decode(vxlan_frame())
    assert frame is not None
    assert (frame.outer_source, frame.outer_destination, frame.vni) == (str(HERE), str(THERE), 7300)
    assert (frame.inner_source, frame.inner_destination) == ("10.0.0.31", "10.0.0.30")
    assert (frame.protocol, frame.ports, frame.whole) == ("TCP", (40000, 5000), True)
    assert frame.size - frame.inner_size == 50
    assert "VNI 7300" in layers(frame)


@given(st.binary(max_size=200))
def test_no_bytes_are_too_odd_to_decode(data: bytes):
    decode(data)
    decode(vxlan_frame()[: len(data)] + data)

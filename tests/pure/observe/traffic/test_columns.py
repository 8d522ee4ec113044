"""Headers are gathered; rows are hashed, grouped and summed, whatever the hashes are."""

from __future__ import annotations

import numpy as np
import pytest

from twinstack.observe.traffic.columns import gather, group_rows, hash_rows, layout, sum_groups


def test_headers_are_gathered_from_any_position():
    data = np.frombuffer(bytes(range(20)), np.uint8)
    rows = gather(data, np.array([1, 16]), layout("u1 first, >u2 second"))
    assert rows["first"].tolist() == [1, 16]
    assert rows["second"].tolist() == [0x0203, 0x1112]


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_groups_keep_the_order_of_their_rows(kind: type):
    order, begins = group_rows(np.array([7, 3, 7, 3, 5], kind))
    assert sorted(np.split(order, np.flatnonzero(begins)[1:]), key=lambda group: group[0]) == [
        pytest.approx([0, 2]),
        pytest.approx([1, 3]),
        pytest.approx([4]),
    ]


def test_hashes_that_agree_in_their_upper_bits_stay_apart():
    keys = np.array([1 << 63 | 1, 1 << 63, 1 << 63 | 1, 1 << 63], np.uint64)
    order, begins = group_rows(keys)
    assert keys[order].tolist() == sorted(keys.tolist())
    assert begins.tolist() == [True, False, True, False]


def test_nothing_has_no_groups():
    order, begins = group_rows(np.zeros(0, np.uint64))
    assert (len(order), len(begins)) == (0, 0)


def test_equal_rows_hash_alike_and_others_apart():
    hashes = hash_rows(np.array([1, 1, 2]), np.array([5, 5, 5], np.uint8))
    assert hashes[0] == hashes[1] != hashes[2]


def test_values_are_summed_by_the_rows_of_their_keys():
    keys = (np.array([1, 2, 1]), np.array([9, 9, 9], np.uint8))
    sums = sum_groups(keys, (np.array([10, 20, 30]), np.array([1, 1, 1])))
    assert dict(sums) == {(1, 9): (40, 2), (2, 9): (20, 1)}

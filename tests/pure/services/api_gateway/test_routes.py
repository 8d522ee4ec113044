"""The gateway's routes: any path has one or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api_gateway import routes


@given(st.binary(max_size=40))
def test_any_path_has_a_route_or_none(path: bytes) -> None:
    match = routes.find(b"/" + path)
    if match is not None:
        assert match[1].startswith((b"/products", b"/orders", b"/cart", b"/shop", b"/docs"))


@pytest.mark.parametrize(
    ("path", "upstream"),
    [
        (b"/api/products", b"/products"),
        (b"/api/products/7", b"/products/7"),
        (b"/api/orders/abc", b"/orders/abc"),
        (b"/api/cart", b"/cart"),
        (b"/api/products/", None),
        (b"/api/products/7/8", None),
        (b"/api/products/..", None),
        (b"/api/cart/1", None),
        (b"/api", None),
        (b"/", b"/shop"),
        (b"//", None),
        (b"/7", None),
        (b"/docs", b"/docs"),
        (b"/docs/", None),
        (b"/shop", None),
        (b"/shop/", None),
        (b"/shop/cart", b"/shop/cart"),
        (b"/shop/cart/remove", b"/shop/cart/remove"),
        (b"/shop/cart/7", None),
        (b"/shop/orders/abc", b"/shop/orders/abc"),
        (b"/shop/orders/..", None),
    ],
)
def test_a_path_goes_to_its_service(path: bytes, upstream: bytes | None) -> None:
    match = routes.find(path)
    assert (match[1] if match else None) == upstream

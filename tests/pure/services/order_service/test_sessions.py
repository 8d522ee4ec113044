"""Only ids that the service has given out are sessions."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.common.settings import SettingError
from services.common.wsgi import ApiError
from services.order_service.sessions import ClientSession, Sessions

known = Sessions("key")


def test_a_session_is_known_by_its_id_to_all_that_have_the_key() -> None:
    session = known.make()
    assert Sessions("key").find(session.id, None) == session
    assert Sessions("another").find(None, session.id) is None
    assert session.id != known.make().id


def test_the_stores_name_of_a_session_is_no_id() -> None:
    session = known.make()
    assert session.id.startswith(session.name)
    assert known.find(None, session.name) is None


def test_the_header_goes_before_the_cookie() -> None:
    header, cookie = known.make(), known.make()
    assert known.find(header.id, cookie.id) == header
    assert known.find(None, cookie.id) == cookie
    assert known.find(None, None) is None


@given(st.text(max_size=64), st.integers(0, 47), st.characters())
@example("", 24, "\ud800")
def test_whatever_was_not_given_out_is_refused_in_a_header_and_ignored_in_a_cookie(
    text: str, place: int, character: str
) -> None:
    session_id = known.make().id
    altered = session_id[:place] + character + session_id[place + 1 :]
    for given_id in {text, altered, session_id + text} - {"", session_id}:
        assert known.find(None, given_id) is None
        with pytest.raises(ApiError) as caught:
            known.find(given_id, None)
        assert caught.value.status == 400


def test_nothing_is_signed_without_a_key() -> None:
    with pytest.raises(SettingError, match="session_password"):
        Sessions("")


def test_a_session_fits_a_cookie_and_a_key_of_redis() -> None:
    assert ClientSession.__slots__ == ("name", "id")
    assert known.make().id.replace("-", "").replace("_", "").isalnum()

"""A mistake is left out where it rests on a value that is one itself."""

from __future__ import annotations

import pytest

from twinstack.model.mistakes import Mistake, ValuePath, meant, nearest

WEB: ValuePath = ("services", "web")
PORT = Mistake((*WEB, "port"), "is used twice", judged_by=(("services", "api", "port"),))
NAME = Mistake(WEB, "cannot be named so", of_key=True)


@pytest.mark.parametrize(
    ("mistake", "unusable", "rests"),
    [
        (PORT, (*WEB, "port"), True),
        (PORT, WEB, True),
        (PORT, ("services", "api", "port"), True),
        (PORT, ("services",), True),
        (PORT, (*WEB, "user"), False),
        (PORT, ("services", "api", "user"), False),
        (PORT, ("services", "webs"), False),
        (NAME, (*WEB, "port"), False),
        (NAME, WEB, True),
    ],
)
def test_a_mistake_rests_on_its_own_value_and_those_that_it_is_judged_by(
    mistake: Mistake, unusable: ValuePath, rests: bool
):
    assert mistake.rests_on({unusable}) is rests
    assert not mistake.rests_on(())


def test_the_nearest_known_word_is_offered_if_one_is_near():
    assert nearest("prot", ["user", "port"]) == "port"
    assert nearest(80, ["user", "port"]) is None
    assert meant("prot", ["port"], "remove it") == "did you mean port?"
    assert meant("zzz", ["port"], "remove it") == "remove it"


def test_an_error_has_the_path_as_users_read_it():
    error = Mistake(("flows", 3, "to"), "is no service", "", "name one").error
    assert str(error) == "flows.3.to: is no service; name one"

"""What `docker.down` and `docker.clean` remove, and that a failure keeps nothing else."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from docker.errors import APIError, NotFound
from requests.exceptions import ReadTimeout

from twinstack.compose import engine_leftovers, teardown
from twinstack.compose.engine_paths import DEFAULT
from twinstack.compose.teardown import OwnedObject, removals
from twinstack.errors import SeveralFailed, StepFailed
from twinstack.reconcile import UNWATCHED, Watch


def test_what_is_owned_is_removed_in_order_and_the_engine_when_it_is_empty():
    owned = {
        "file": ("/f",),
        "engine": ("/e",),
        "base": ("twinstack-base-nginx:host",),
        "run files": ("/r",),
        "container": ("c",),
        "network": ("n",),
        "volume": ("v",),
        "build stage": ("sha256:s",),
        "image": ("twinstack-main/i:latest",),
        "secrets": ("/s",),
        "policy": ("rules",),
    }
    assert [removal.name for removal in removals(owned)] == [
        "container c: remove",
        "network n: remove",
        "policy rules: remove",
        "volume v: remove",
        "image twinstack-main/i:latest: remove",
        "build stage sha256:s: remove",
        "image twinstack-base-nginx:host: remove",
        "engine /e: stop",
        "secrets /s: remove",
        "file /f: remove",
        "run files /r: remove",
    ]
    assert removals({}) == ()


def test_stores_are_kept_with_the_engine_that_holds_them():
    every: dict[str, tuple[str, ...]]
    every = {"volume": ("v",), "engine": ("/e",), "image": ("i",), "secrets": ("/s",)}
    of_down: dict[str, tuple[str, ...]]
    of_down = {"container": ("c",), "file": ("/f",), "secrets": ()}
    assert teardown.without_stores(every, of_down) == {**of_down, "image": ("i",)}
    every["volume"] = ()
    with_engine = {**of_down, "image": ("i",), "engine": ("/e",)}
    assert teardown.without_stores(every, of_down) == with_engine


@pytest.fixture
def down(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give `down` of a host that holds images a to e and a network, by what removing each does."""

    def run(outcomes: dict[str, Exception | None], watch: Watch = UNWATCHED) -> tuple[str, ...]:
        def remove(_client: object, _instance: str, removal: OwnedObject) -> None:
            error = outcomes.get(removal.label)
            if error:
                raise error

        monkeypatch.setattr(teardown, "_remove_from_engine", remove)
        owned = {"image": tuple(outcomes), "engine": ("/data",)}
        monkeypatch.setattr(teardown, "observe_owned", lambda *_words, **_more: owned)
        return teardown.clean("pure", progress=lambda _line: None, watch=watch)

    for name, stand_in in {
        "require_root": lambda *_words: None,
        "locked": lambda *_words: nullcontext(),
        "revive": lambda *_words, **_more: None,
        "connect": lambda *_words: type("Client", (), {"close": lambda _self: None})(),
        "stop_engine": lambda *_words: (f"engine: {DEFAULT.data_root}",),
    }.items():
        monkeypatch.setattr(teardown, name, stand_in)
    monkeypatch.setattr(engine_leftovers, "bridge_links", lambda _prefix: {})
    monkeypatch.setattr(engine_leftovers, "remove_links", lambda *_words: ())
    return run


def test_what_is_gone_already_is_no_failure_and_the_engine_goes_when_all_went(down: Any):
    assert down({"a": NotFound("gone"), "b": None}) == (
        "image b",
        "engine: /var/lib/twinstack/docker",
    )


def test_a_failure_in_our_words_keeps_no_other_object_but_the_engine(down: Any):
    outcomes = {
        "a": APIError("409", explanation="is in use"),
        "b": ReadTimeout("slow"),
        "c": OSError(5, "Input/output error"),
        "d": None,
    }
    with pytest.raises(SeveralFailed) as caught:
        down(outcomes)
    a, b, c = caught.value.failures
    assert all(isinstance(failure, StepFailed) for failure in (a, b, c))
    assert str(a).startswith("image a: remove: the engine fails: is in use")
    assert str(c) == "image c: remove: cannot be removed: Input/output error"


def test_a_removal_that_fails_before_it_begins_keeps_no_other_from_going(down: Any):
    class Fails:
        def before(self, step: str) -> None:
            pass

        def during(self, step: str) -> None:
            if step == "image a: remove":
                raise OSError(12, "Cannot allocate memory")

        after = before

    with pytest.raises(StepFailed, match="image a: remove: cannot be removed: Cannot allocate"):
        down({"a": None, "b": None}, Fails())

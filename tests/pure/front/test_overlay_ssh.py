from __future__ import annotations

import pytest

from front import overlay_ssh
from twinstack.errors import TwinstackError
from twinstack.overlay.protocol import RemoteAction
from twinstack.reconcile import Change, Preview


def test_options_of_ssh_with_an_open_quote_are_one_clear_line():
    assert overlay_ssh.options("-i 'a b'") == ("-i", "a b")
    with pytest.raises(TwinstackError, match="--ssh: cannot be read: No closing quotation"):
        overlay_ssh.options("-i 'a")


def test_differences_name_what_is_unbuilt_and_each_change():
    change = Change(RemoteAction("bridge br-app", ()), "is down")
    preview = Preview(9, (change,), ("software is to be built first",))
    assert overlay_ssh.differences(preview) == [
        "software is to be built first",
        "! bridge br-app is down",
    ]

from __future__ import annotations

import pytest

from front import overlay_ssh
from twinstack.errors import TwinstackError


def test_options_of_ssh_with_an_open_quote_are_one_clear_line():
    assert overlay_ssh.options("-i 'a b'") == ("-i", "a b")
    with pytest.raises(TwinstackError, match="--ssh: cannot be read: No closing quotation"):
        overlay_ssh.options("-i 'a")

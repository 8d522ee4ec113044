"""What an image is built from."""

from __future__ import annotations

from pathlib import Path

from twinstack.compose.images import BuildContext


def test_a_context_digest_follows_names_and_contents_and_nothing_else(tmp_path: Path):
    file = tmp_path / "app.py"
    file.write_text("one")
    first = BuildContext("Dockerfile", {"services/app.py": file})
    same = BuildContext("Dockerfile", {"services/app.py": b"one"})
    assert first.digest == same.digest
    assert first.tar().getvalue() == same.tar().getvalue()
    assert BuildContext("Dockerfile", {"services/b.py": b"one"}).digest != same.digest
    file.write_text("two")
    assert first.digest != same.digest

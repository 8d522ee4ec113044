"""The JSON Schema of topology.yml, for editors: `python -m docs.topology_schema` writes it."""

from __future__ import annotations

import json
from pathlib import Path

from twinstack.model.schema import topology_schema

FILE = Path(__file__).parent / "schemas/topology.json"


def text() -> str:
    """Give the file's text, from the classes that read topology.yml."""
    return json.dumps(topology_schema(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")

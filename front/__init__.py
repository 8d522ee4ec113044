"""The tasks of `invoke --list`: one module for each noun, and what all tasks share.

Invoke turns off .pyc files, and without them every task would compile all of this again. Root
writes none into another user's clone: there `make setup` compiled, as the clone's owner.
"""

import os
import sys
from pathlib import Path

sys.dont_write_bytecode = (
    bool(os.environ.get("PYTHONDONTWRITEBYTECODE")) or os.geteuid() != Path(__file__).stat().st_uid
)

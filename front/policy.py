"""The tasks of the policies: what is allowed, and whether it is what holds."""

from __future__ import annotations

from front.policy_cis import policy_cis
from front.policy_confinement import policy_confinement

#: The collection `policy`, by the word after its dot.
TASKS = {"cis": policy_cis, "confinement": policy_confinement}

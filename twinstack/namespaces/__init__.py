"""The namespace world: the plan as network namespaces, veth pairs, bridges and iptables.

`steps` and `launch` list what must be there (pure), `observe` gathers the facts, `apply` takes the
steps that differ, `teardown` removes everything from the marks alone, and `world` is all of it as
the rest of the project sees it.
"""

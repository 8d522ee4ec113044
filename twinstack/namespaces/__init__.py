"""The namespace world: the plan as network namespaces, veth pairs, bridges and iptables.

`steps` (pure) says what must be there, `observe` what is, `diff` what differs and why, `apply`
makes it so. `launch`, `cgroups` and `processes` start the services in it, `teardown` removes
everything from the marks alone, and `world` is the whole as the rest of the project sees it.
"""

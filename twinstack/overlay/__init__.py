"""The namespace world on several hosts, joined by VXLAN.

`host_plans` decides (pure): the underlay's plan, and each host's. Hosts are simulated (`hosts`,
`world`) or machines that ssh reaches (`remote`, and `agent` on them); both take the steps of
`twinstack.namespaces`.
"""

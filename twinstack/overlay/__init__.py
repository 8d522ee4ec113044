"""The namespace world spread over several hosts, joined by VXLAN.

`spread` decides (pure): the underlay's plan and each host's. `hosts` makes the hosts and works
inside them; `world` brings all of it up and down, with the steps of `twinstack.namespaces`.
"""

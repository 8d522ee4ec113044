"""The plan on Docker Swarm: one engine on each simulated host, joined to a cluster.

`nodes` holds paths and names, `exposure` decides how services are reached, `render` writes the
stack file; all pure. The other rooms are those of every world: `facts`, `observe`, `steps`,
`apply` (with `hosts` and `client`), `teardown`, `world`.
"""

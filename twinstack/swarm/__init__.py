"""The same plan on Docker Swarm: one engine on each host, joined to a cluster that places tasks.

`nodes` says where each engine lives, `exposure` what this kernel can do for a service, `render`
writes the stack file; all pure. `observing` looks, `steps` decides, `apply` does it: hosts and
engines (`engines`), membership (`cluster`), images without a registry (`carrying`), the stack.
`teardown` takes all of it away, from what is there alone.
"""

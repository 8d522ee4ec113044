"""The benchmark: what one world costs over the other, measured so that the answer can be defended.

`run` is the front: options in, comparison out. `measure` interleaves trials of `ab` over targets
and keeps every sample; `statistics` (pure) turns samples into ratios with intervals; `likeness`
says beforehand what is not alike; `report` (pure) writes the table, the sentences and the files.
`gateways`, `chain`, `startup` and `layers` each answer one further question; `questions` asks
them of the `worlds` that they need. `provisioning` races the making of networks of any size.
`invocation`, `bounds`, `failures` and `plain` serve the front door.
"""

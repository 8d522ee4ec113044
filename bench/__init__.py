"""The benchmark: what one world costs over the other, measured so that the answer can be defended.

`engine` is what every question uses: `worlds` brings them up and leaves them as they were, `gate`
refuses unlike ones, `experiment` measures arms by a `design`, `meter` reads the counters,
`estimate` turns samples into ratios with intervals, `result` and `store` write the answer down.
`questions` has a module for each task, with `ask` at its entry; `load` the load generators.
"""

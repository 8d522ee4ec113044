"""How fast does the network of a namespace world come up and go, and where does the time go?

`scale` asks. `topologies` writes topologies of any size; `files` writes a plan for `floor.c`, the
smallest program that does the same to the kernel, and for the others. `contenders` are the ways to
bring a plan up that are compared. `race` runs them interleaved in a `host` of their own and keeps
every sample; `verdict` (pure) judges them.
"""

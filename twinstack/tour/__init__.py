"""A walk through the running stack: screens of sentences, each with commands that are really run.

`screens` is the data, `page` lays a screen out for a terminal, `run` runs its commands.
"""

"""Faults of a running single-host world: put, taken away again, and found after a crash.

`catalogue` is the table of them, `drawing` draws from it, `effect` says what each is made of,
`record` what is in place now, `hold` puts and takes away under the world's lock, `repair` does what
a killed `chaos` did not.
"""

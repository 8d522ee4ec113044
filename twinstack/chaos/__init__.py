"""Chaos: seeded faults strike a running single-host world under a small load, and are judged.

`schedule` draws, `clients` sends the load, `run` carries out, `judge` says what did not hold.
The faults themselves are `twinstack.faults`; those of an overlay's hosts `twinstack.overlay.chaos`.
"""

"""The policy: what the declared flows open, what enforces it, and the proof that it does.

`permissions` lists what is open, `chains` writes it as rules for both worlds, `show` prints both.
`truth_table` lists every question, `probe` asks them all at once, `outside` is a machine of the
internet to ask from, `trace` finds the rule behind an answer, `verdict` lays the results out, and
`verify` does all of it. `drops` reports what is denied. Only `probe`, `outside`, `verify` and
`drops` act.
"""

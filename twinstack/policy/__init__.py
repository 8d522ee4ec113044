"""The policy: what the declared flows open, what enforces it, and the proof that it does.

`model` (pure) says who may reach what, `chains` (pure) writes it as rules for both worlds, `probe`
asks every question of the truth table at once, `outside` is a machine of the internet's to ask
from, `trace` (pure) finds the rule behind an answer, `table` (pure) lays out what was found,
`verify` does all of it, `drops` tells what was denied.
"""

"""The CIS gate: what is rendered for Docker, held against the CIS Docker Benchmark; mostly pure.

`dockerfile` and `document` read; `images`, `privileges`, `sharing` and `beyond` hold the rules;
`known` holds what is excepted, and what no file can tell; `gate` judges; `tools` runs the linters.
"""

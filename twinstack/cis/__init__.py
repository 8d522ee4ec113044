"""The CIS gate: what is rendered for Docker, held against the CIS Docker Benchmark.

`dockerfile` and `compose_document` read. `images`, `packages`, `secrecy`, `limits`, `sharing` and
`closed` hold the checks, `catalogue` their numbers and titles, `known` the exceptions, and what no
file can tell. `gate` judges. All of these are pure; `tools` runs the linters and reads the files.
"""

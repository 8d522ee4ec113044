"""Kill a replica's main process; time, inside the host, until it and the stack are healthy."""

import json
import os
import signal
import sys
import time

from twinstack.stack import from_environment

world = from_environment().net()
name = sys.argv[1]
old = {state.name: state.pid for state in world.status()}[name]
assert old is not None
os.kill(old, signal.SIGKILL)
start = time.monotonic()
took: dict[str, float] = {}
while len(took) < 2 and time.monotonic() - start < 20:
    states = {state.name: state for state in world.status()}
    back = states[name].state == "healthy" and states[name].pid != old
    if back:
        took.setdefault("itself", time.monotonic() - start)
    if back and all(state.state == "healthy" for state in states.values()):
        took.setdefault("all", time.monotonic() - start)
    time.sleep(0.02)
json.dump({"itself": 99, "all": 99, **took}, sys.stdout)

"""Bring the hosts of a list up behind one Linux bridge by Mininet, and take them down again.

Run by Debian's python3 with Mininet 2.3 on its path. Reads NAME ADDRESS/LENGTH GATEWAY lines from
the file given; times itself from after its imports; prints one JSON object for `up`, waits for a
line on standard input, prints one for `down`.
"""

import json
import sys
import time

from mininet.link import Link
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.node import Host
from mininet.nodelib import LinuxBridge


def main():
    setLogLevel("error")
    # What init() would do besides looking for root is to raise limits of the whole machine.
    Mininet.inited = True
    LinuxBridge.setup()
    with open(sys.argv[1], encoding="ascii") as file:
        places = [line.split() for line in file]

    start = time.monotonic()
    net = Mininet(switch=LinuxBridge, host=Host, link=Link, controller=None)
    bridge = net.addSwitch("s1")
    for number, (_, address, gateway) in enumerate(places, 1):
        host = net.addHost(f"h{number}", ip=address, defaultRoute=f"via {gateway}")
        net.addLink(host, bridge)
    net.build()
    net.start()
    bridge.cmd("ip address add", f"{places[0][2]}/{places[0][1].split('/')[1]}", "dev s1")
    print(json.dumps({"total": (time.monotonic() - start) * 1e3}), flush=True)

    sys.stdin.readline()
    start = time.monotonic()
    net.stop()
    print(json.dumps({"total": (time.monotonic() - start) * 1e3}), flush=True)


main()

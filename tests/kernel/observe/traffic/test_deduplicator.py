"""Real traffic counts once: bridged, and by a published port with NAT at both ends (hairpin)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support import craft

pytestmark = pytest.mark.kernel

# A bridge, two namespaces by bare links (a network namespace each, held by a sleeping process), a
# published port with hairpin, and a capture of bridge and both links. $1 is the file, $2 the
# server's folder.
SCRIPT = r"""
ip link set lo up
ip link add br-app type bridge
ip address add 10.0.0.1/24 dev br-app
ip link set br-app up
sysctl -q -w net.ipv4.ip_forward=1
# Bridged NAT (br_netfilter) is another way through the kernel; docs/traffic.md says what it shows.
echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables || true
join() {
    unshare --net sleep 60 &
    pid=$!
    own=$(readlink /proc/self/ns/net)
    until [ "$(readlink /proc/$pid/ns/net)" != "$own" ]; do sleep 0.05; done
    ip link add "ve-$1" type veth peer name eth0 netns "$pid"
    ip link set "ve-$1" master br-app up
    nsenter --target "$pid" --net sh -euc "ip link set lo up; ip address add $2/24 dev eth0
        ip link set eth0 up; ip route add default via 10.0.0.1"
}
join a 10.0.0.20; client=$pid
join b 10.0.0.10; server=$pid
iptables -t nat -A PREROUTING -p tcp -m addrtype --dst-type LOCAL --dport 8080 \
    -j DNAT --to 10.0.0.10:80
iptables -t nat -A POSTROUTING -s 10.0.0.0/24 -d 10.0.0.10 -p tcp --dport 80 \
    -m conntrack --ctstate DNAT -j MASQUERADE
nsenter --target $server --net python3 -m http.server 80 --directory "$2" >/dev/null 2>&1 &
http=$!
ask() { nsenter --target $client --net curl -sf --max-time 5 -o /dev/null "$1"; }
for try in 1 2 3 4 5 6 7 8 9 10; do ask http://10.0.0.10/x && break; sleep 0.3; done
dumpcap -q -i br-app -i ve-a -i ve-b -w "$1" 2>/dev/null &
dump=$!
until [ -s "$1" ]; do sleep 0.1; done
sleep 1
for try in 1 2 3; do
    ask http://10.0.0.10/x; ask http://10.0.0.10/big
    ask http://10.0.0.1:8080/x; ask http://10.0.0.1:8080/big
done
sleep 1
kill -INT $dump
wait $dump || true
kill $http $client $server
"""


def test_packets_that_three_links_saw_count_once(tmp_path: Path):
    file, folder = tmp_path / "a.pcapng", tmp_path / "www"
    folder.mkdir()
    (folder / "x").write_text("hi")
    (folder / "big").write_bytes(bytes(200_000))
    done = subprocess.run(
        [
            "unshare",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "/bin/bash",
            "-euc",
            SCRIPT,
            "sh",
            str(file),
            str(folder),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = craft.report(file)
    on_veth = craft.tshark_matching(file, 'frame.interface_name == "ve-a" && tcp')
    on_bridge = craft.tshark_matching(file, 'frame.interface_name == "br-app" && tcp')
    asked = craft.pair(report, "api-gateway", "nginx-lb")
    assert asked.packets == on_veth < on_bridge
    assert asked.connections == 12
    assert [pair for pair in report.pairs if pair.protocol == "TCP"] == [asked]
    assert sum(http.count for http in report.http if http.status == 200) == 12

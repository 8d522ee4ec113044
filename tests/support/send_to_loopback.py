"""Send one UDP datagram for 127.0.0.1:9999 straight to a bridge, as a hostile namespace could."""

import socket
import struct
import sys

mac = bytes.fromhex(sys.argv[1].replace(":", ""))
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("eth0", 0))
own = wire.getsockname()[4]
source, target = socket.inet_aton("10.0.0.30"), socket.inet_aton("127.0.0.1")
datagram = struct.pack("!HHHH", 40000, 9999, 13, 0) + b"hello"
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 33, 1, 0, 64, 17, 0, source, target)
total = sum(struct.unpack("!10H", head))
checksum = ~(total + (total >> 16)) & 0xFFFF
head = head[:10] + struct.pack("!H", checksum) + head[12:]
wire.send(mac + own + b"\x08\x00" + head + datagram)

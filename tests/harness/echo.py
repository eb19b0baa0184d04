"""A server that answers with its name and who asked, and a client that asks it.

echo.py serve NAME PORT          TCP and UDP, IPv4 and IPv6; prints "ready"
echo.py ask tcp|udp ADDRESS PORT FROM-PORT PATIENCE-MS   prints the answer, or "no answer"
"""
import socket
import sys
import threading
import time


def serve(name, port):
    # One socket for both families, as `::` is to Linux.
    tcp = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(("::", port))
    answer = lambda peer: f"{name} {peer[0].replace('::ffff:', '')}".encode()

    def datagrams():
        while True:
            _, peer = udp.recvfrom(100)
            udp.sendto(answer(peer), peer)

    threading.Thread(target=datagrams, daemon=True).start()
    print("ready", flush=True)
    while True:
        one, peer = tcp.accept()
        with one:
            try:
                one.sendall(answer(peer))
            except OSError:
                pass  # a client that gave up


def ask_tcp(address, port, _, left):
    """The kernel sends the first packet again and again."""
    with socket.create_connection((address, port), timeout=left) as one:
        text = b""
        while data := one.recv(100):
            text += data
        return text.decode()


def ask_udp(address, port, from_port, left):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    end = time.monotonic() + left
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.bind(("", from_port))
        while (left := end - time.monotonic()) > 0:
            one.sendto(b"\0", (address, port))
            one.settimeout(min(1, left))
            try:
                return one.recv(100).decode()
            except TimeoutError:
                pass
    return ""


def ask(protocol, address, port, from_port, patience):
    """Asks again, after errors too, until somebody answers or the time is over."""
    once = ask_udp if protocol == "udp" else ask_tcp
    end = time.monotonic() + patience / 1000
    while (left := end - time.monotonic()) > 0:
        try:
            if answer := once(address, port, from_port, left):
                return answer
        except OSError:
            pass
        time.sleep(0.1)
    return "no answer"


mode, *args = sys.argv[1:]
if mode == "serve":
    serve(args[0], int(args[1]))
else:
    print(ask(args[0], args[1], *map(int, args[2:])))

"""What a container, the agent or the outside host serves in a clinic: serve.py KIND ADDRESS…

http and 5051 take TCP connections and send back what comes; udp does so with datagrams; dns answers every
question for an IPv4 address with 203.0.113.2, over UDP and TCP. It prints a line once it listens.

names ADDRESS REFUSE-FILE knows outside.test, which is its own address, and six.outside.test, which has one of
IPv6 alone. While the file exists it answers what that says: a code (REFUSED if it is empty), `slow` for a second
and a half, `localhost` to refuse that.
"""
import socket
import sys
import threading

kind, *addresses = sys.argv[1:]
PORTS = {"http": 80, "5051": 5051, "udp": 53, "dns": 53, "names": 53}
ANSWER = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + socket.inet_aton("203.0.113.2")


def bound(address, type):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    one = socket.socket(family, type)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    one.bind((address, PORTS[kind]))
    if type == socket.SOCK_STREAM:
        one.listen(64)
    return one


def resolved(question):
    end = 12
    while question[end]:
        end += question[end] + 1
    is_address = question[end + 1 : end + 3] == b"\x00\x01"
    counts = b"\x00\x01" + (b"\x00\x01" if is_address else b"\x00\x00") + b"\x00\x00\x00\x00"
    return question[:2] + b"\x81\x80" + counts + question[12 : end + 5] + (ANSWER if is_address else b"")


OUTSIDE = b"\x07outside\x04test\0"
SIX = b"\x03six" + OUTSIDE
ROOT, AAAA = b"\0", b"\x00\x1c"
NXDOMAIN, REFUSED = 3, 5


def names(one, refuse_file):
    # A pointer to the question's name, the type, class IN, a minute.
    own = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + socket.inet_aton(one.getsockname()[0])
    own6 = b"\xc0\x0c\x00\x1c\x00\x01\x00\x00\x00\x3c\x00\x10" + socket.inet_pton(
        socket.AF_INET6, "2001:db8:113::2"
    )
    while True:
        question, peer = one.recvfrom(4096)
        try:
            mode = open(refuse_file).read().strip()
        except FileNotFoundError:  # also one that was just taken away
            mode = "none"
        is_known = OUTSIDE in question or question[12:13] == ROOT
        code = 0 if is_known else NXDOMAIN
        if mode == "localhost":
            code = REFUSED if b"\x09localhost\0" in question else code
        elif mode not in ("none", "slow"):
            code = int(mode or REFUSED)
        record = own if OUTSIDE in question else b""
        if SIX in question:
            record = own6 if question[12 + len(SIX) :][:2] == AAAA else b""
        answer = bytearray(question + record)
        answer[2], answer[3] = 0x81, 0x80 | code
        answer[7] = 1 if record else 0
        send = threading.Timer(1.5 if mode == "slow" else 0, one.sendto, (answer, peer))
        send.daemon = True
        send.start()


def datagrams(one):
    while True:
        try:
            data, peer = one.recvfrom(4096)
            one.sendto(resolved(data) if kind == "dns" else data, peer)
        except OSError:
            pass


def connections(one):
    while True:
        peer, _ = one.accept()
        threading.Thread(target=talk, args=(peer,), daemon=True).start()


def talk(peer):
    with peer:
        try:
            peer.settimeout(5)
            while data := peer.recv(4096):
                reply = resolved(data[2:]) if kind == "dns" else data
                peer.sendall(len(reply).to_bytes(2, "big") + reply if kind == "dns" else reply)
        except (OSError, IndexError):
            pass


if kind == "names":
    address, refuse_file = addresses
    addresses = []
    one = bound(address, socket.SOCK_DGRAM)
    threading.Thread(target=names, args=(one, refuse_file), daemon=True).start()
for address in addresses:
    if kind in ("udp", "dns"):
        threading.Thread(target=datagrams, args=(bound(address, socket.SOCK_DGRAM),), daemon=True).start()
    if kind != "udp":
        threading.Thread(target=connections, args=(bound(address, socket.SOCK_STREAM),), daemon=True).start()
print("ready", flush=True)
threading.Event().wait()

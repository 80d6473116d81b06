# SPDX-License-Identifier: ISC
"""connections WHAT PORT NUMBER ...: many clients of a listening smtpd.

randoms, nonces: what the server chose is never the same; greeted: each gets its
220; handshakes STOP: until that file is there, which certificate each is shown;
held: all stay, what they are told; sources SMTPD: limits by network; hurried N
SLOW: N stay, and all but the first SLOW of them are told 421 in half a minute.
"""
import base64
import os
import select
import socket
import ssl
import subprocess
import sys
import time


def connect(port, host="127.0.0.1", source=None):
    return socket.create_connection((host, port), 60, source)


def read_until(client, end, limit=65536):
    data = b""
    while not end(data):
        more = client.recv(limit)
        if not more:
            break
        data += more
    return data


def reply(client):
    return read_until(client, lambda d: d.endswith(b"\n") and
                      d.split(b"\n")[-2][3:4] == b" ").decode()


def messages(records):
    """The handshake messages of a server's first flight, in TLS 1.2."""
    stream = b""
    while len(records) >= 5:
        size = int.from_bytes(records[3:5], "big")
        stream += records[5:5 + size]
        records = records[5 + size:]
    while len(stream) >= 4:
        size = int.from_bytes(stream[1:4], "big")
        yield stream[0], stream[4:4 + size]
        stream = stream[4 + size:]


def flight(port):
    """Server's random, session id, and the r of its ECDSA signature."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    out, client = ssl.MemoryBIO(), connect(port)
    try:
        context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    except ssl.SSLWantReadError:
        pass
    client.sendall(out.read())
    done = bytes((14, 0, 0, 0))     # ServerHelloDone
    seen = dict(messages(read_until(client, lambda d: d.endswith(done))))
    client.close()
    hello, exchange = seen[2], seen[12]
    # A named curve and a point, two octets of algorithm, two of length, DER.
    signature = exchange[4 + exchange[3] + 4:]
    r = signature[4:4 + signature[3]]
    return hello[2:34], hello[35:35 + hello[34]], r


def randoms(port, number):
    flights = [flight(port) for _ in range(number)]
    for kind in zip(*flights):
        kind = [value for value in kind if value]
        assert len(set(kind)) == len(kind)
    assert len(flights[0][0]) == 32 and len(flights[0][2]) >= 31


def nonces(port, number):
    first = base64.b64encode(b"n,,n=bob,r=client")
    seen = set()
    for _ in range(number):
        client = connect(port)
        reply(client)
        client.sendall(b"EHLO client.test\r\n")
        reply(client)
        client.sendall(b"AUTH SCRAM-SHA-256 " + first + b"\r\n")
        challenge = base64.b64decode(reply(client)[4:]).decode()
        seen.add(challenge.split(",")[0])
        client.close()
    assert len(seen) == number and min(map(len, seen)) > 20


def greeted(port, number):
    for _ in range(number):
        client = connect(port)
        got = client.recv(3)
        assert got == b"220", got
        client.close()


def handshakes(port, stop):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    while not os.path.exists(stop):
        client = connect(port)
        try:
            reply(client)
            client.sendall(b"EHLO client.test\r\n")
            reply(client)
            client.sendall(b"STARTTLS\r\n")
            assert reply(client).startswith("220")
            tls = context.wrap_socket(client)
            print(hash(tls.getpeercert(True)))
            tls.close()
        except (OSError, AssertionError) as why:
            print("failed", why)


def held(port, number):
    clients = [connect(port) for _ in range(number)]
    for client in clients:
        print(client.recv(512).decode(), end="")


def told(host, source, port=2525):
    client = connect(port, host, (source, 0))
    return client.recv(3).decode(), client


def sources(smtpd):
    both = socket.socket(socket.AF_INET6)
    both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    both.bind(("::", 2525))
    both.listen(100)
    server = subprocess.Popen([smtpd, "-o", "max-connections-source=2"],
                              stdin=both, stderr=subprocess.DEVNULL)
    keep = []

    def expect(code, host, source):
        got, client = told(host, source)
        keep.append(client)
        assert got == code, (source, got)

    for code in ("220", "220", "421"):
        expect(code, "192.0.2.1", "192.0.2.1")
    expect("220", "192.0.2.1", "192.0.2.2")
    for code, host in ("220", 1), ("220", 2), ("421", 1):
        expect(code, "2001:db8:1::1", "2001:db8:0:1::%d" % host)
    for net in range(2, 9):
        for host in 1, 2:
            expect("220", "2001:db8:1::1", "2001:db8:0:%d::%d" % (net, host))
    expect("421", "2001:db8:1::1", "2001:db8:0:9::1")
    expect("220", "2001:db8:1::1", "2001:db8:1::1")
    server.terminate()


def hurried(port, number, slow):
    clients = []
    for _ in range(number):
        clients.append(connect(port))
        assert clients[-1].recv(512).startswith(b"220")
    start = time.monotonic()
    waiting = set(clients[slow:])
    while waiting:
        ready = select.select(clients, [], [], 60)[0]
        assert ready and set(ready) <= waiting
        for client in ready:
            assert client.recv(512).startswith(b"421")
            waiting.remove(client)
            clients.remove(client)
    assert 28 < time.monotonic() - start < 60


if __name__ == "__main__":
    globals()[sys.argv[1]](*(int(a) if a.isdigit() else a
                             for a in sys.argv[2:]))

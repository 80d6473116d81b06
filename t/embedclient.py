#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Many SMTP sessions at once, for the examples that embed the engine.

    embedclient.py port directory sessions messages [seed]

Opens all sessions, then sends in each its share of the messages, all at once
or octet by octet, and reads what it is told.  Every reply must be the one that
is due, and every message must be a file in the directory.
"""
import os
import random
import resource
import selectors
import socket
import sys

port, directory, sessions, messages = (
    int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
seed = int(sys.argv[5]) if len(sys.argv) > 5 else random.randrange(1 << 32)
random.seed(seed)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def fail(text):
    sys.exit(f"embedclient (seed {seed}): {text}")


class Session:
    def __init__(self, first, count):
        script, self.due, self.read = [b"EHLO client.test\r\n"], [220, 250], b""
        for n in range(first, first + count):
            script.append(b"MAIL FROM:<a%d@client.test>\r\n" % n)
            self.due.append(250)
            for _ in range(random.randrange(3)):
                script.append(b"RCPT TO:<nobody@mx.test>\r\n")
                self.due.append(550)
            script.append(b"RCPT TO:<b@mx.test>\r\n")
            self.due.append(250)
            body = b"Subject: %d\r\n\r\n" % n + b"..dot\r\ntext\r\n" * (n % 7)
            if n % 2:
                text = body.replace(b"..dot", b".dot")
                script.append(b"BDAT %d LAST\r\n" % len(text) + text)
            else:
                script.append(b"DATA\r\n" + body + b".\r\n")
                self.due.append(354)
            self.due.append(250)
        script.append(b"QUIT\r\n")
        self.due.append(221)
        self.out = b"".join(script)
        self.step = 1 if random.random() < 0.1 else len(self.out)
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def send(self):
        try:
            n = self.socket.send(self.out[:self.step])
            self.out = self.out[n:]
        except BlockingIOError:
            pass
        return self.out != b""

    def receive(self):
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return True
        self.read += data
        return data != b""

    def check(self):
        lines = self.read.decode().split("\r\n")[:-1]
        got = [int(line[:3]) for line in lines if line[3] == " "]
        if got != self.due:
            fail(f"due {self.due}, told {got}")


selector = selectors.EpollSelector()
share = messages // sessions
for i in range(sessions):
    s = Session(i * share, share)
    selector.register(s.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, s)
left = sessions
while left:
    events = selector.select(60)
    if not events:
        fail(f"{left} sessions are stuck")
    for key, mask in events:
        s = key.data
        if mask & selectors.EVENT_WRITE and not s.send():
            selector.modify(s.socket, selectors.EVENT_READ, s)
        if mask & selectors.EVENT_READ and not s.receive():
            selector.unregister(s.socket)
            s.socket.close()
            s.check()
            left -= 1

found = set()
for name in os.listdir(directory):
    with open(os.path.join(directory, name), "rb") as f:
        text = f.read()
    n = int(text.split(b"\n", 1)[0].split()[1])
    if text != b"Subject: %d\n\n" % n + b".dot\ntext\n" * (n % 7):
        fail(f"message {n} is {text!r}")
    found.add(n)
if found != set(range(share * sessions)):
    fail(f"{len(found)} messages of {share * sessions}")
print(f"{sessions} sessions, {len(found)} messages")

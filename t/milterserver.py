#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A mail filter that speaks the milter protocol and does what it is told.

    milterserver.py unix:PATH|inet:PORT RULES ASKED

Each line of the file RULES is a step and what is answered there; the lines of a
step are used in turn, the last one again and again; without one it is "c".

    options [ACTIONS [STEPS [VERSION]]]
    connect|helo|mail|rcpt|data|header|eoh|body|end ANSWER [| ANSWER ...]

An answer is a letter, or one with what belongs to it, or something else:

    y:TEXT   h:NAME:VALUE   i:NUMBER:NAME:VALUE   m:NUMBER:NAME:VALUE   q:TEXT
    X=TEXT   a packet of the letter X and these octets, with \\0 and so on
    raw=TEXT these octets
    wait     nothing more, the connection stays
    close    the connection is closed
    none     nothing, for a step that was said to be mute

What is asked is appended to ASKED, a line each, and the bodies to ASKED.body.
Writes "ready" (or the port) on standard output when it may be asked.
"""
import socket
import struct
import sys
import threading

address, rules, asked = sys.argv[1:4]
lock = threading.Lock()
steps = {}
with open(rules) as f:
    for line in f.read().splitlines():
        step, _, what = line.partition(" ")
        steps.setdefault(step, []).append(what)
NAMES = {b"A": "abort", b"B": "body", b"C": "connect", b"D": "macros",
         b"E": "end", b"H": "helo", b"L": "header", b"M": "mail",
         b"N": "eoh", b"O": "options", b"Q": "quit", b"R": "rcpt",
         b"T": "data"}


def octets(text):
    return text.encode("utf-8").decode("unicode_escape").encode("latin-1")


def rule(step, default):
    with lock:
        lines = steps.get(step, [default])
        return lines.pop(0) if len(lines) > 1 else lines[0]


def packet(letter, data=b""):
    return struct.pack(">I", len(data) + 1) + letter + data


def answer(text):
    """The octets of one answer."""
    if text.startswith("raw="):
        return octets(text[4:])
    if text[1:2] == "=":
        return packet(text[:1].encode(), octets(text[2:]))
    letter, data = text[:1].encode(), b""
    parts = text[2:]
    if letter in (b"i", b"m"):
        number, _, parts = parts.partition(":")
        data = struct.pack(">I", int(number))
    if letter in (b"h", b"i", b"m"):
        name, _, parts = parts.partition(":")
        data += octets(name) + b"\0"
    if letter in (b"h", b"i", b"m", b"y", b"q"):
        data += octets(parts) + b"\0"
    return packet(letter, data)


def show(step, data):
    if step == "body":
        with lock, open(asked + ".body", "ab") as f:
            f.write(data)
        return "body %d" % len(data)
    if step == "connect":
        name, rest = data.split(b"\0", 1)
        family, port = rest[:1], struct.unpack(">H", rest[1:3])[0]
        return "connect %s %s %d %s" % (
            name.decode(), family.decode(), port, rest[3:-1].decode())
    if step == "macros":
        pairs = data[1:].split(b"\0")[:-1]
        return "macros %s %s" % (NAMES[data[:1]], " ".join(
            "%s=%s" % (a.decode(), b.decode("latin-1"))
            for a, b in zip(pairs[::2], pairs[1::2])))
    if step == "options":
        return "options %d %#x %#x" % struct.unpack(">III", data)
    words = data.decode("latin-1").split("\0")[:-1]
    return " ".join([step] + [repr(w)[1:-1] for w in words])


def record(text):
    with lock, open(asked, "a") as f:
        f.write(text + "\n")


def terms(text):
    """Is that ACTIONS STEPS VERSION?  As the octets of an answer."""
    words = [int(w, 0) for w in text.split()]
    words += [0x31, 0, 6][len(words):]
    return "raw=" + "".join(
        "\\x%02x" % octet for octet in
        packet(b"O", struct.pack(">III", words[2], *words[:2])))


def reply(conn, step):
    """False: the connection is over."""
    what = rule(step, "" if step == "options" else "c")
    if step == "options" and what[:1] in "0123456789":
        what = terms(what)
    parts = what.split(" | ")
    # At once, so that what comes on top of an answer is there with it.
    conn.sendall(b"".join(answer(text) for text in parts
                          if text not in ("wait", "close", "none")))
    if parts[-1] == "wait":
        conn.settimeout(None)
        while conn.recv(65536):
            pass
    return parts[-1] not in ("wait", "close")


def converse(conn, stream):
    while True:
        head = stream.read(4)
        if len(head) < 4:
            record("gone")
            return
        data = stream.read(struct.unpack(">I", head)[0])
        step = NAMES[data[:1]]
        record(show(step, data[1:]))
        if step == "quit":
            return
        if step not in ("macros", "abort") and not reply(conn, step):
            return


def serve(conn, number):
    record("-- connection %d" % number)
    try:
        converse(conn, conn.makefile("rb"))
        conn.shutdown(socket.SHUT_RDWR)
    except OSError:
        record("gone")
    conn.close()


kind, where = address.split(":", 1)
if kind == "unix":
    server = socket.socket(socket.AF_UNIX)
    server.bind(where)
else:
    server = socket.create_server(("127.0.0.1", int(where)))
server.listen()
print("ready" if kind == "unix" else server.getsockname()[1], flush=True)
count = 0
while True:
    conn, _ = server.accept()
    count += 1
    threading.Thread(target=serve, args=(conn, count), daemon=True).start()

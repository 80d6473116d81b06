#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A policy server that does what it is told.

    policyserver.py unix:PATH|inet:PORT ANSWERS REQUESTS

The lines of the file ANSWERS are used in turn, the last one again and again:

    text        action=text
    =text       text, with \\n and so on, as it is
    =           nothing at all: the client waits
    !text       action=text, then the connection is closed
    !           the connection is closed at once

What is asked is appended to REQUESTS, after a line "-- connection N".  Writes
"ready" (or the port) on standard output when it may be asked.
"""
import socket
import sys
import threading

address, answers, requests = sys.argv[1:4]
lock = threading.Lock()
with open(answers) as f:
    lines = f.read().splitlines()


def answer():
    with lock:
        return lines.pop(0) if len(lines) > 1 else lines[0]


def reply(conn, line):
    """False: the connection is to be closed."""
    text = line.lstrip("!=").encode("utf-8")
    if line.startswith("="):
        conn.sendall(text.decode("unicode_escape").encode("latin-1"))
    elif line != "!":
        conn.sendall(b"action=" + text + b"\n\n")
    return not line.startswith("!")


def serve(conn, number):
    stream = conn.makefile("rb")
    request = [b"-- connection %d\n" % number]
    for line in stream:
        if line != b"\n":
            request.append(line)
            continue
        with lock, open(requests, "ab") as f:
            f.writelines(request)
        request = [b"-- connection %d\n" % number]
        if not reply(conn, answer()):
            break
    conn.shutdown(socket.SHUT_RDWR)
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

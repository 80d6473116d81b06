#!/usr/bin/env python3
"""The engine in Python, by cffi: a server that calls a function for a message.

    session.py header library port directory

header and library: <smtpd/session.h> and libsession.so.0, wherever they are.
Messages become files in the directory.  One thread for each client.  See
session(3).
"""
import itertools
import os
import re
import socketserver
import sys

import cffi


def load(header, library):
    """The declarations of the header, as cffi takes them."""
    with open(header) as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    text = text.replace("\\\n", "")
    text = re.sub(r"#ifdef __cplusplus.*?#endif", "", text, flags=re.S)
    numbers = re.findall(r"#define\s+(\w+)\s+(\d+)\s", text)
    text = re.sub(r"(?m)^#.*$", "", text)
    for name, value in numbers:
        text = re.sub(rf"\b{name}\b", value, text)
    ffi = cffi.FFI()
    ffi.cdef(re.sub(r"\[(\d+) \+ (\d+)\]",
                    lambda m: f"[{int(m[1]) + int(m[2])}]", text))
    return ffi, ffi.dlopen(library)


ffi, lib = load(sys.argv[1], sys.argv[2])


def extensions(*wanted):
    bit, bits = ffi.new("unsigned *"), 0
    for i in itertools.count():
        name = lib.session_keyword(i, bit)
        if name == ffi.NULL:
            return bits
        if ffi.string(name).decode() in wanted:
            bits |= bit[0]


class Session:
    """rcpt(path) and end(message): None accepts, a text refuses with 550."""

    def __init__(self, connection, rcpt, end):
        self.connection, self.message = connection, bytearray()
        self.config = ffi.new("struct session_config *", {
            "size": ffi.sizeof("struct session_config"), "lf": True,
            "extensions": extensions("PIPELINING", "SIZE", "8BITMIME",
                                     "CHUNKING", "ENHANCEDSTATUSCODES"),
            "max_size": 10 << 20,
            "max_recipients": 100, "max_errors": 10, "max_junk": 100})
        self.hooks = ffi.new("struct session_hooks *", {
            "size": ffi.sizeof("struct session_hooks")})

        # An exception leaves the verdict undecided, which is 451.
        @ffi.callback("void(void *, struct session_rcpt *,"
                      " struct session_verdict *)")
        def on_rcpt(arg, r, verdict):
            self.decide(verdict, rcpt(ffi.string(r.path).decode()))

        @ffi.callback("bool(void *, char *, size_t)", error=False)
        def on_body(arg, p, n):
            self.message += ffi.buffer(p, n)
            return True

        @ffi.callback("void(void *, uint64_t, unsigned,"
                      " struct session_verdict *)")
        def on_end(arg, size, recipient, verdict):
            self.decide(verdict, end(bytes(self.message)))

        @ffi.callback("void(void *)")
        def on_reset(arg):
            self.message.clear()

        self.hooks.rcpt, self.hooks.body = on_rcpt, on_body
        self.hooks.end, self.hooks.reset = on_end, on_reset
        self.callbacks = on_rcpt, on_body, on_end, on_reset   # kept alive
        self.session = ffi.new("struct session *")
        self.buffers = ffi.new("struct session_buffers *")
        lib.session_init(self.session, self.buffers, self.config, self.hooks,
                         ffi.NULL)

    def decide(self, verdict, refusal):
        if refusal is None:
            lib.session_accept(verdict, ffi.NULL)
        else:
            lib.session_refuse(verdict, 550, b"5.7.1", refusal.encode())

    def flush(self):
        p = ffi.new("char **")
        n = lib.session_output(self.session, p)
        self.connection.sendall(ffi.buffer(p[0], n))
        lib.session_sent(self.session, n)

    def run(self):
        data = b""
        while lib.session_want(self.session) != lib.SESSION_CLOSE:
            if data and lib.session_want(self.session) == lib.SESSION_INPUT:
                used = lib.session_input(self.session, data, len(data))
                data = data[used:]
                continue
            self.flush()
            if lib.session_want(self.session) == lib.SESSION_INPUT:
                data = self.connection.recv(65536)
                if not data:
                    lib.session_hangup(self.session)
        self.flush()


class Handler(socketserver.BaseRequestHandler):
    def rcpt(self, path):
        return "No such user" if path.startswith("nobody@") else None

    def end(self, message):
        name = os.path.join(sys.argv[4], str(next(self.server.count)))
        with open(name, "xb") as f:
            f.write(message)
            f.flush()
            os.fsync(f.fileno())

    def handle(self):
        Session(self.request, self.rcpt, self.end).run()


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128
    count = itertools.count()


if __name__ == "__main__":
    with Server(("127.0.0.1", int(sys.argv[3])), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()

# SPDX-License-Identifier: ISC
"""stay PORT FILE [-from ADDRESS]: say EHLO, write what is said to FILE, stay."""
import socket
import sys

source = (sys.argv[4], 0) if len(sys.argv) > 4 else None
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10, source)
client.settimeout(None)
client.sendall(b"EHLO client.test\r\n")
with open(sys.argv[2], "wb", 0) as said:
    while True:
        octets = client.recv(65536)
        if not octets:
            break
        said.write(octets)

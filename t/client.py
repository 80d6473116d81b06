# SPDX-License-Identifier: ISC
"""client.py - smtpd on a socket pair, and its client, for tests in Python.

The program and its arguments are those of the script.
"""
import fcntl
import socket
import ssl
import struct
import subprocess
import sys
import termios
import time


class Client:
    def __init__(self):
        self.socket, theirs = socket.socketpair()
        self.smtpd = subprocess.Popen(sys.argv[1:], stdin=theirs,
                                      stdout=theirs)
        theirs.close()
        self.speak_over(self.socket)

    def speak_over(self, channel):
        channel.settimeout(60)
        self.channel, self.replies = channel, channel.makefile("rb")

    def send(self, octets):
        self.channel.sendall(octets)

    def hear(self, code):
        """The last line of the next reply, which has this code."""
        line = b"   -"
        while line[3:4] == b"-":
            line = self.replies.readline()
        assert line.startswith(code), (line, code)
        return line

    def ask(self, line, code):
        self.send(line + b"\r\n")
        return self.hear(code)

    def until_read(self):
        """Returns when smtpd has read all that was sent."""
        unread = 1
        while unread > 0:
            time.sleep(0.01)
            unread, = struct.unpack("i", fcntl.ioctl(
                self.socket, termios.TIOCOUTQ, bytes(4)))

    def rest(self):
        """The lines up to the end of the connection."""
        return self.replies.read().decode().splitlines()

    def starttls(self, authority):
        self.ask(b"STARTTLS", b"220")
        context = ssl.create_default_context(cafile=authority)
        self.speak_over(context.wrap_socket(self.socket,
                                            server_hostname="mx.test"))
        self.ask(b"EHLO client.test", b"250")

#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A listening smtpd under load, reloads and crashes; then all is counted.

    soak.py [-s SMTPD] [-t SECONDS] [-i IDLE] [-a ACTIVE] [-p PAUSE] [-k]

IDLE clients say EHLO and nothing more, and come again when they have timed out.
ACTIVE clients, half of them with TLS, send messages with a mark of their own,
each one in about PAUSE seconds.  The delivery program fails one time in ten, as
the recipient says, and otherwise keeps the message.  Each minute, or each sixth
of a shorter run, the listener gets SIGHUP and, but for the last third, a session
SIGSEGV, so that the listener executes itself, which hides what it leaks.  What
must not be at the end:

    LOST    told 250, and not kept          HALF    kept, but not as it was sent
    TWICE   kept twice                      KEPT    though told something else
    REPLY   another than expected           BROKEN  a connection, not by us
    LOG     a session, message, crash or reload without its line, or an error
    GROWN   the listener's memory or descriptors
    STRAY   a process that stays            ENDED   the listener, in another way

A message whose session was ended by us may be kept, once.  With -k what was
kept and logged is left to look at.  Only root sees which process serves whom.
"""
import argparse
import asyncio
import collections
import ctypes
import os
import random
import re
import resource
import shutil
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

import faults

SUBREAPER = 36          # PR_SET_CHILD_SUBREAPER: who is left comes to us
PATIENCE = 60           # seconds, for a reply
EVERY = 60              # seconds, between two reloads or crashes
TIMEOUT = 120           # of the server
ARRIVAL = 30            # seconds, in which all come
LOOKS = 12              # meanwhile, at the listener
ZOMBIE = 8              # seconds, on a busy machine
GROWTH = 128            # KiB that may be more at the end
SIZES = 2000, faults.LARGE
# What the program is asked to do, what the client is told, and what is logged.
WAYS = {"ok": ("250", "accepted"), "temporary": ("451", "deferred"),
        "permanent": ("554", "refused"), "crash": ("451", "deferred")}


class Lost(Exception):
    """The connection is over, or something else was said."""


class Client:
    """One connection."""

    def __init__(self, soak):
        self.soak, self.writer, self.port = soak, None, 0
        self.sending = self.ended = False

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.soak.server.port)
        self.soak.count["connections"] += 1
        await self.expect("220")
        await self.ask("EHLO client.test", "250")
        self.port = self.writer.get_extra_info("sockname")[1]

    async def tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        await self.ask("STARTTLS", "220")
        await self.writer.start_tls(context)
        await self.ask("EHLO client.test", "250")
        self.soak.count["with TLS"] += 1

    async def reply(self, patience=PATIENCE):
        line = b"   -"
        while line[3:4] == b"-":
            line = await asyncio.wait_for(self.reader.readline(), patience)
            if not line.endswith(b"\n"):
                raise Lost("end")
        return line[:3].decode()

    async def expect(self, *codes, patience=PATIENCE):
        got = await self.reply(patience)
        if got not in codes:
            raise Lost("%s, not %s" % (got, codes))

    async def ask(self, line, *codes):
        self.writer.write(line.encode() + b"\r\n")
        await self.expect(*codes)

    async def slowly(self, data):
        """At once, or in two pieces."""
        half = random.randrange(len(data)) if random.random() < 0.2 else 0
        self.writer.write(data[:half])
        await asyncio.sleep(random.random() if half else 0)
        self.writer.write(data[half:])
        await self.writer.drain()

    async def message(self):
        way = "ok" if random.random() < 0.9 else random.choice(list(WAYS)[1:])
        mark = "%s.%d" % (way, len(self.soak.told))
        size = SIZES[random.random() < 0.02]
        body = faults.body_of(mark, size).encode()
        self.sending = True
        self.soak.told[mark] = None
        await self.ask("MAIL FROM:<%s@client.test>" % mark, "250")
        await self.ask("RCPT TO:<%s@mx.test>" % way, "250")
        if random.random() < 0.5:
            await self.ask("DATA", "354")
            await self.slowly(body + b".\r\n")
        else:
            await self.slowly(b"BDAT %d LAST\r\n" % len(body) + body)
        self.soak.told[mark] = await self.reply()
        self.sending = False

    async def quit(self, *codes):
        self.port = 0
        await self.ask("QUIT", *codes)

    def close(self):
        if self.writer:
            self.writer.close()


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
        return [int(word) for word in f.read().split()]


def is_zombie(pid):
    try:
        return ") Z" in faults.contents("/proc/%d/stat" % pid)
    except (FileNotFoundError, ProcessLookupError):
        return False


class Server:
    """The listener, and what the system says of it."""

    def __init__(self, opts, work):
        self.log = work + "/log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [opts.smtpd, "-l", "127.0.0.1:0", "-f", work + "/conf"],
                stdin=subprocess.DEVNULL, stderr=log)
        self.pid = self.process.pid
        m = None
        while not m and self.process.poll() is None:
            time.sleep(0.1)
            m = re.search(r"event=listen .*port=(\d+)",
                          faults.contents(self.log))
        self.port = int(m.group(1))

    def memory(self):
        """All that is resident, and what is its own, in KiB."""
        status = faults.contents("/proc/%d/status" % self.pid)
        return [int(re.search(name + r":\s+(\d+)", status).group(1))
                for name in ("VmRSS", "RssAnon")]

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def session_of(self, client):
        """The process at the other end."""
        rows = [row.split() for row in
                faults.contents("/proc/net/tcp").splitlines()]
        ends = ":%04X" % self.port, ":%04X" % client.port
        sockets = ["socket:[%s]" % row[9] for row in rows
                   if row[1][8:] == ends[0] and row[2][8:] == ends[1]]
        for pid in children(self.pid):
            try:
                if os.readlink("/proc/%d/fd/0" % pid) in sockets:
                    return pid
            except (FileNotFoundError, ProcessLookupError):
                pass
        return None


class Soak:
    """The clients, what they are told, and what is done to the server."""

    def __init__(self, opts, work):
        self.opts, self.work = opts, work
        self.every = min(EVERY, opts.seconds / 6)
        self.count = collections.Counter()
        self.bad = collections.Counter()
        self.told = {}          # by mark: the reply, or None
        self.clients = set()
        self.samples = []       # memory, descriptors
        self.calm = 0           # the first since the last crash
        self.zombies = {}       # since when
        self.prepare()
        self.server = Server(opts, work)
        self.rest = self.server.memory(), self.server.descriptors()
        self.end = time.monotonic() + opts.seconds

    def prepare(self):
        for part in ("", "/tmp", "/new"):
            os.mkdir(self.work + "/mail" + part, 0o700)
        faults.make_certificate(self.work)
        faults.put(self.work + "/conf", "".join(s + "\n" for s in (
            "hostname = mx.test",
            "max-connections = %d" % (2 * (self.opts.idle + self.opts.active)),
            "max-connections-source = 0",
            "timeout = %d" % max(min(TIMEOUT, 0.4 * self.opts.seconds),
                                 2 * self.opts.pause + 10),
            "tls-cert = %s/cert" % self.work,
            "tls-key = %s/key" % self.work,
            "exec = %s soak %s/mail" % (faults.PROGRAM, self.work))))

    def wrong(self, what, text):
        self.bad[what] += 1
        if self.bad[what] <= 5:
            print("%s: %s" % (what, text), flush=True)

    def over(self):
        return time.monotonic() >= self.end

    async def pause(self, seconds):
        await asyncio.sleep(min(seconds, self.end - time.monotonic()))

    async def wait(self, seconds):
        """At random, so many in the mean."""
        await self.pause(random.random() * 2 * seconds)

    async def connections(self, session, *args):
        """One after the other."""
        while not self.over():
            client = Client(self)
            self.clients.add(client)
            try:
                await client.open()
                await session(client, *args)
            except (OSError, Lost, asyncio.TimeoutError) as e:
                if not client.ended:
                    self.wrong("BROKEN", repr(e))
                    await self.pause(1)
            self.clients.remove(client)
            client.close()

    async def idle(self, client):
        try:
            await client.expect("421", patience=self.end - time.monotonic())
            self.count["timeouts"] += 1
        except asyncio.TimeoutError:
            await client.quit("221", "421")

    async def active(self, client, tls):
        if tls:
            await client.tls()
        for _ in range(random.randint(1, 3)):
            await self.wait(self.opts.pause)
            await client.message()
        await client.quit("221")

    async def come(self, seconds, session, *args):
        await self.wait(seconds)
        await self.connections(session, *args)

    def crash(self):
        """A session; mostly one that has something to lose."""
        client = random.choice([c for c in self.clients if c.sending] or
                               [c for c in self.clients if c.port])
        pid = self.server.session_of(client)
        if pid:
            client.ended = True
            self.count["crashes"] += 1
            os.kill(pid, signal.SIGSEGV)

    async def disturb(self):
        while self.end - time.monotonic() > self.every:
            start = time.monotonic()
            self.server.process.send_signal(signal.SIGHUP)
            self.count["reloads"] += 1
            await asyncio.sleep(random.uniform(0.2, 0.8) * self.every)
            if self.end - time.monotonic() > self.opts.seconds / 3:
                self.crash()
                self.calm = len(self.samples)
            await asyncio.sleep(start + self.every - time.monotonic())

    def look(self):
        """A zombie that is old is one that nobody waits for."""
        for pid in children(os.getpid()):
            if pid != self.server.pid:
                os.waitpid(pid, os.WNOHANG)
        now = time.monotonic()
        self.zombies = {pid: self.zombies.get(pid, now)
                        for pid in children(self.server.pid) if is_zombie(pid)}
        for pid, since in self.zombies.items():
            if now - since > ZOMBIE:
                self.wrong("STRAY", "a zombie, process %d" % pid)
        self.samples.append((*self.server.memory(),
                             self.server.descriptors()))

    async def watch(self):
        while self.end - time.monotonic() > self.every / LOOKS:
            await asyncio.sleep(self.every / LOOKS)
            if self.server.process.poll() is not None:
                self.end = 0
                return
            self.look()

    async def run(self):
        o, mean = self.opts, min(ARRIVAL, self.opts.seconds / 4) / 2
        tasks = [self.come(mean, self.idle) for _ in range(o.idle)]
        tasks += [self.come(mean, self.active, i % 2) for i in range(o.active)]
        await asyncio.gather(self.watch(), self.disturb(), *tasks)

    # The end.

    def end_processes(self):
        """Only the one with the keys may be left, and then none.

        A session's place is kept by the process outside its sandbox, which ends
        a little later.
        """
        for _ in range(200):
            left = children(self.server.pid)
            self.final = self.server.memory(), self.server.descriptors()
            if len(left) == 1 and self.final[1] == self.rest[1]:
                break
            time.sleep(0.1)
        if len(left) > 1:
            self.wrong("STRAY", "children of the listener: %s" % left)
        self.server.process.terminate()
        try:
            if self.server.process.wait(20) != 0:
                self.wrong("ENDED", self.server.process.returncode)
        except subprocess.TimeoutExpired:
            self.wrong("ENDED", "not at all")
            self.server.process.kill()
        time.sleep(1)
        for pid in children(os.getpid()):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                self.wrong("STRAY", "process %d" % pid)
                os.kill(pid, signal.SIGKILL)

    def judge_growth(self):
        """The minute after the last crash, and the last."""
        self.means = [[statistics.median(column) for column in zip(*samples)]
                      for samples in (self.samples[self.calm:][:LOOKS],
                                      self.samples[-LOOKS:])]
        if self.means[1][1] - self.means[0][1] > GROWTH:
            self.wrong("GROWN", "memory")
        if self.final[1] != self.rest[1]:
            self.wrong("GROWN", "descriptors")

    def kept(self):
        """By mark: the sessions that brought it."""
        kept = collections.defaultdict(list)
        for name in os.listdir(self.work + "/mail/new"):
            text = faults.contents(self.work + "/mail/new/" + name)
            own = text[text.find("Subject: "):]
            mark = own[9:own.find("\n")]
            if not any(own == faults.body_of(mark, size).replace("\r", "")
                       for size in SIZES):
                self.wrong("HALF", name)
            kept[mark].append(name.partition(".")[2])
        return kept

    def logged(self):
        """By mark: status and session.  By event: sessions, and the rest."""
        marks, events = (collections.defaultdict(list) for _ in range(2))
        for line in faults.contents(self.server.log).splitlines():
            m = re.match(r"(?:id=(\w+) )?event=(\w+) (.*)", line)
            session, event, rest = m.groups() if m else ("", "none", line)
            events[event].append((session, rest))
            m = event == "message" and re.match(
                r"status=(\w+) .*from=(\S+)@client.test", rest)
            if m:
                marks[m.group(2)].append((m.group(1), session))
        return marks, events

    def judge_messages(self, kept, logged):
        for mark, told in self.told.items():
            code, status = WAYS[mark.partition(".")[0]]
            here, lines = kept.pop(mark, []), logged.pop(mark, [])
            if told == "250" and not here:
                self.wrong("LOST", mark)
            if len(here) > 1:
                self.wrong("TWICE", mark)
            if here and told not in ("250", None):
                self.wrong("KEPT", "%s, told %s" % (mark, told))
            if told not in (code, None):
                self.wrong("REPLY", "%s: %s" % (mark, told))
            if [line[0] for line in lines] != [status] and (told or lines) or \
                    here and lines and lines[0][1] != here[0]:
                self.wrong("LOG", "%s, told %s, kept by %s: %s" % (
                    mark, told, here, lines))
            self.count["250"] += told == "250"
            self.count["kept"] += bool(here)
            self.count["cut"] += told is None
            self.count["cut, kept"] += told is None and bool(here)
        for mark in [*kept, *logged]:
            self.wrong("KEPT", "%s, which nobody sent" % mark)

    def judge_log(self, events):
        opened, closed = ({s for s, _ in events[e]} for e in ("connect",
                                                              "close"))
        reload = collections.Counter(rest.split()[0]
                                     for _, rest in events["reload"])
        aged = sum("why=age" in rest for _, rest in events["reload"])
        count = self.count
        for what, seen, expected in (
                ("sessions", len(opened), count["connections"]),
                ("lines of connect", len(events["connect"]), len(opened)),
                ("lines of close", len(events["close"]), len(closed)),
                ("ends of others", len(closed - opened), 0),
                ("no end", len(opened - closed), count["crashes"]),
                ("crashes", len(events["crash"]), count["crashes"]),
                ("reloads", reload["status=ok"], count["reloads"]),
                ("kept settings", reload["status=kept"], 0),
                ("exec", reload["status=exec"], count["crashes"] + aged),
                ("started", reload["status=started"],
                 count["crashes"] + aged),
                ("errors", len(events["error"]), 0),
                ("no events", len(events["none"]), 0),
                ("refused", len(events["refused"]), 0)):
            if seen != expected:
                self.wrong("LOG", "%s: %d, not %d" % (what, seen, expected))

    def judge(self):
        self.end_processes()
        self.judge_growth()
        logged, events = self.logged()
        self.judge_messages(self.kept(), logged)
        self.judge_log(events)

    def __str__(self):
        c = self.count
        return """\
%d s, %d idle, %d active: %d connections (%d with TLS, %d timed out)
%d messages: %d told 250, %d refused or deferred; %d kept
%d reloads; %d crashes, which cut %d messages, of which %d were kept
the listener: %d KiB (its own %d) at first, %d (%d) after the last crash,
    %d (%d) in the last minute, %d (%d) at the end; descriptors %d and %d
%s""" % (self.opts.seconds, self.opts.idle, self.opts.active, c["connections"],
         c["with TLS"], c["timeouts"], len(self.told), c["250"],
         len(self.told) - c["250"] - c["cut"], c["kept"], c["reloads"],
         c["crashes"], c["cut"], c["cut, kept"], *self.rest[0],
         *self.means[0][:2], *self.means[1][:2], *self.final[0], self.rest[1],
         self.final[1], ", ".join("%d %s" % (n, what) for what, n in
                                  self.bad.items()) or "nothing wrong")


def main():
    p = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-s", dest="smtpd", default=faults.TOP + "/smtpd")
    p.add_argument("-t", dest="seconds", type=int, default=60)
    p.add_argument("-i", dest="idle", type=int, default=1000)
    p.add_argument("-a", dest="active", type=int, default=200)
    p.add_argument("-p", dest="pause", type=float, default=10)
    p.add_argument("-k", dest="keep", action="store_true")
    opts = p.parse_args()
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    work = tempfile.mkdtemp(prefix="soak.")
    soak = Soak(opts, work)
    try:
        asyncio.run(soak.run())
        soak.judge()
        print(soak)
    finally:
        soak.server.process.terminate()
        if opts.keep:
            print(work)
        else:
            shutil.rmtree(work)
    sys.exit(bool(soak.bad))


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""System calls of a session fail, are cut short or end it; what the client was
told is compared with what was kept.

    faults.py [-s SMTPD] [-j JOBS] [-n RUNS|all] [-r SEED] [SCENARIO ...]
    faults.py -1 "SCENARIO SANDBOX PROCESS:NUMBER:FAULT"   one, shown whole
    faults.py -l                                           what there is

Each scenario is run unharmed, which numbers its calls; then again and again
with one fault (see inject.c).  RUNS of these are chosen by SEED, calls that are
rare as often as others.  What may go wrong:

    LOST    told 250, and not kept          HALF    kept, but not as it was sent
    DUP     kept twice                      OPEN    what is forbidden was allowed
    ORPHAN  a process outlives the session  HANG    it is not over in time
    LEFT    files that nobody removes       UNTOLD  kept, and the client not told
    DEAF    the listener serves nobody      SIGNAL  ended by one
    NOLOG   nothing says what went wrong    EXIT    a status not in the manual

The first five never may.  The others are in README.md with the reason, or the
exit status is 1; with all runs, it is also 1 if README.md has one that was not
seen.
"""
import argparse
import base64
import collections
import concurrent.futures
import fnmatch
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
INJECT = TOP + "/build/t/faults/inject"
PROGRAM = HERE + "/program"
PATIENCE = 4            # seconds, of the client and until the end
TIMEOUT = 2             # of the server
ALWAYS = ["LOST", "HALF", "DUP", "OPEN", "ORPHAN"]
FAULTS = ["EIO", "ENOSPC", "ENOMEM", "EINTR", "EAGAIN", "EMFILE", "EDQUOT",
          "ENOSYS", "EPERM", "EIO+", "ENOSPC+", "ENOMEM+", "EMFILE+", "EIO!",
          "short", "kill", "killall"]


class Lost(Exception):
    """The connection is over, or the client has waited long enough."""


class Client:
    def __init__(self, sock, path, trace):
        self.sock, self.path, self.trace = sock, path, trace
        self.buf = b""
        self.told = {}          # message and recipients: was it 250?
        self.wrong = []         # what should not have been said
        self.opened = []
        self.deaf = False

    def connect(self):
        self.sock, self.buf = socket.socket(socket.AF_UNIX), b""
        self.sock.settimeout(PATIENCE)
        try:
            self.sock.connect(self.path)
        except OSError as e:
            raise Lost("connect: %s" % e) from e

    def signal(self, number):
        pid = re.search(r"^\+ 0 (\d+)", contents(self.trace), re.M).group(1)
        try:
            os.kill(int(pid), number)
        except ProcessLookupError:
            pass

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as e:
            raise Lost(repr(e)) from e

    def reply(self):
        line = b"   -"
        while line[3:4] == b"-":
            while b"\n" not in self.buf:
                try:
                    more = self.sock.recv(65536)
                except OSError as e:
                    raise Lost(repr(e)) from e
                if not more:
                    raise Lost("end")
                self.buf += more
            line, self.buf = self.buf.split(b"\n", 1)
        return line.decode("latin-1").strip()

    def expect(self, code):
        got = self.reply()
        if not got.startswith(code):
            self.wrong.append(got)
        if got.startswith("421"):
            raise Lost(got)
        return got.startswith(code)

    def ask(self, command, code):
        self.send(command.encode() + b"\r\n")
        return self.expect(code)

    def forbidden(self, command, code):
        self.send(command.encode() + b"\r\n")
        if self.reply().startswith(code):
            self.opened.append(command)

    def tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            self.sock = context.wrap_socket(self.sock)
        except OSError as e:
            raise Lost("TLS: %r" % e) from e

    def greet(self, hello="EHLO"):
        self.expect("220")
        self.ask(hello + " client.test", "250")

    def secure(self):
        self.greet()
        if not self.ask("STARTTLS", "220"):
            raise Lost("no TLS")
        self.tls()
        self.ask("EHLO client.test", "250")

    def content(self, body, bdat):
        """Send it; false if it is refused before its end."""
        if not bdat:
            if not self.ask("DATA", "354"):
                return False
            self.send(body + b".\r\n")
            return True
        half = len(body) // 2
        self.send(b"BDAT %d\r\n" % half + body[:half])
        self.expect("250")
        self.send(b"BDAT %d LAST\r\n" % (len(body) - half) + body[half:])
        return True

    def message(self, name, rcpts, size=0, bdat=False, each=False):
        if not self.ask("MAIL FROM:<a@client.test>", "250"):
            return
        taken = [r for r in rcpts if self.ask("RCPT TO:<%s>" % r, "250")]
        if not taken or not self.content(body_of(name, size).encode(), bdat):
            self.ask("RSET", "250")
            return
        for rcpt in taken if each else [" ".join(taken)]:
            self.told[name + " " + rcpt] = False
            self.told[name + " " + rcpt] = self.expect("250")


def body_of(name, size):
    lines = "".join("%s line %d\r\n" % (name, i) for i in range(size // 20))
    return "Subject: %s\r\n\r\n%send of %s\r\n" % (name, lines, name)


ONE, TWO = ["b@mx.test"], ["b@mx.test", "c@mx.test"]
LARGE = 200000
RIGHT, WRONG = ("AUTH PLAIN " + base64.b64encode(b"\0user\0" + word).decode()
                for word in (b"secret", b"wrong"))


def messages(c, size=0):
    c.greet()
    c.message("one", TWO, size)
    c.message("two", ONE, size, bdat=True)
    c.ask("QUIT", "221")


def large(c):
    messages(c, LARGE)


def proxied(c):
    c.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 25\r\n")
    messages(c)


def lmtp(c):
    c.greet("LHLO")
    c.message("one", TWO, each=True)
    c.message("two", TWO, each=True, bdat=True)
    c.ask("QUIT", "221")


def starttls(c):
    c.secure()
    c.message("one", TWO)
    c.message("two", ONE, bdat=True)
    c.ask("QUIT", "221")


def implicit(c):
    c.tls()
    messages(c)


def auth(c):
    c.secure()
    c.ask(RIGHT, "235")
    c.message("one", ONE)
    c.ask("QUIT", "221")


def closed(c):
    c.greet()
    c.forbidden("MAIL FROM:<a@client.test>", "250")
    if not c.ask("STARTTLS", "220"):
        return
    c.tls()
    c.ask("EHLO client.test", "250")
    c.forbidden(WRONG, "235")
    c.forbidden("MAIL FROM:<a@client.test>", "250")
    c.ask("QUIT", "221")


def listed(c):
    c.greet()
    c.ask("MAIL FROM:<a@client.test>", "250")
    c.forbidden("RCPT TO:<none@mx.test>", "250")
    c.ask("RSET", "250")
    c.message("one", ONE)
    c.ask("QUIT", "221")


def starttls_later(c):
    c.secure()
    c.message("three", ONE)
    c.ask("QUIT", "221")


def listening(c, last=starttls_later):
    """Whatever becomes of one session, another is served."""
    failed = []
    for session in (messages, last, Client.greet, Client.greet):
        try:
            c.connect()
            session(c)
        except Lost as e:
            failed.append(str(e))
        c.sock.close()
        if session is messages and not failed:
            c.signal(signal.SIGHUP)
    c.signal(signal.SIGTERM)
    c.deaf = len(failed) > 1 and "refused" not in failed[-1]
    if failed:
        raise Lost(failed[0])


def changing(c):
    """TLS and passwords come with SIGHUP: the listener becomes smtpd-tls."""
    listening(c, changed)


def changed(c):
    base = os.path.dirname(c.trace)
    put(base + "/conf", "".join(
        s.format(files=os.path.dirname(base) + "/files") + "\n"
        for s in TLS + USERS))
    c.signal(signal.SIGHUP)
    for _ in range(40):
        c.greet()
        c.send(b"STARTTLS\r\n")
        if c.reply().startswith("220"):
            break
        c.sock.close()
        time.sleep(.05)
        c.connect()
    else:
        raise Lost("no TLS")
    c.tls()
    c.ask("EHLO client.test", "250")
    c.forbidden(WRONG, "235")
    c.ask(RIGHT, "235")
    c.message("three", ONE)
    c.ask("QUIT", "221")


SPOOL = ["spool={spool}"]
EXEC = ["exec={program} take {spool} {{sender}} {{recipients}}",
        "envelope-lines=yes"]
TLS = ["tls-cert={files}/cert", "tls-key={files}/key"]
CLOSED = SPOOL + TLS + ["tls=require", "auth=require", "max-auth-failures=0"]
USERS = ["auth-file={files}/users"]

# The dialogue, the settings, and what is special.
SCENARIOS = {
    "spool": (messages, SPOOL, ""),
    "spool-new": (messages, SPOOL, "new"),
    "spool-named": (messages, SPOOL, "named"),
    "spool-large": (large, SPOOL, ""),
    "exec": (messages, EXEC, ""),
    "exec-named": (messages, EXEC, "named"),
    "lmtp": (lmtp, ["protocol=lmtp",
                    "exec={program} take {spool} {{recipient}}"], ""),
    "proxy": (proxied, SPOOL + ["proxy-protocol=yes", "proxy-from=local"], ""),
    "starttls": (starttls, SPOOL + TLS, ""),
    "starttls-exec": (starttls, EXEC + TLS, ""),
    "implicit": (implicit, SPOOL + TLS + ["tls=implicit"], ""),
    "auth": (auth, SPOOL + TLS + USERS + ["auth=require"], ""),
    "closed": (closed, CLOSED + USERS, ""),
    "closed-program": (closed, CLOSED + ["auth-program={program} password"],
                       ""),
    "listed": (listed, SPOOL + ["recipients={files}/list"], ""),
    "policy": (listed, SPOOL + ["policy=exec:{program} policy"], ""),
    "milter": (messages, SPOOL + ["milter=unix:{files}/milter"], "edited"),
    "listen": (listening, SPOOL + TLS, "listen"),
    "listen-exec": (changing, SPOOL, "listen"),
}


def contents(path):
    with open(path, encoding="latin-1") as f:
        return f.read()


def put(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def make_certificate(files):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
         "/CN=mx.test", "-keyout", files + "/key", "-out", files + "/cert"],
        check=True, stderr=subprocess.DEVNULL)
    os.chmod(files + "/key", 0o600)


def make_files(work):
    """What the settings name; the milter's process."""
    files = work + "/files"
    os.mkdir(files)
    make_certificate(files)
    hashed = subprocess.run(
        ["openssl", "passwd", "-5", "-salt", "saltsalt", "secret"], check=True,
        capture_output=True, text=True).stdout
    put(files + "/users", "user:" + hashed)
    put(files + "/list", "b@mx.test\n")
    put(files + "/rules", "options\nend h:X-Last:yes | i:0:X-First:yes | c\n")
    milter = subprocess.Popen(
        [sys.executable, TOP + "/t/milterserver.py", "unix:%s/milter" % files,
         files + "/rules", "/dev/null"], stdout=subprocess.PIPE)
    milter.stdout.readline()
    return milter


def whole(text, edited):
    """Message and recipients, or None if it is not as it was sent."""
    head, _, own = text.partition("Received: from ")
    own = re.sub(r"\A.*\n(\t.*\n)*", "", own)
    if not re.match(r"Return-Path: <a@client\.test>\n([A-Z][A-Za-z-]+: .*\n|"
                    r"\t.*\n)*\Z", head):
        return None
    if edited:
        if "\nX-First: yes\n" not in head or "\nX-Last: yes\n\n" not in own:
            return None
        own = own.replace("\nX-Last: yes\n", "\n", 1)
    name = own[9:].partition("\n")[0]
    if own not in [body_of(name, size).replace("\r", "")
                   for size in (0, LARGE)]:
        return None
    return " ".join([name] + re.findall(r"^Delivered-To: (\S+)$", head, re.M))


def names_in(directory):
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


def kept_in(spool, edited=False):
    return [whole(contents(os.path.join(spool, "new", name)), edited)
            for name in names_in(spool + "/new")]


def make_spool(spool):
    for part in ("", "/tmp", "/new", "/cur"):
        os.mkdir(spool + part, 0o700)


class Run:
    """A session with a fault, and what came of it."""

    def __init__(self, opts, scenario, sandbox, fault=None, patience=PATIENCE,
                 spool=None):
        self.fault, self.why = fault, ""
        self.talk, self.settings, self.special = SCENARIOS[scenario]
        self.base = tempfile.mkdtemp(dir=opts.work)
        self.spool, self.tmp = self.base + "/mail", self.base + "/tmp"
        os.mkdir(self.tmp)
        if spool:
            self.spool = spool
        elif self.special != "new":
            make_spool(self.spool)
        self.argv = self.command(opts, sandbox)
        self.session(patience)
        self.look()
        shutil.rmtree(self.base, ignore_errors=True)

    def command(self, opts, sandbox):
        argv = [INJECT] + ["-n"] * (self.special == "named")
        if self.fault:
            argv += ["-f", self.fault]
        argv += [self.base + "/trace", opts.smtpd]
        for s in ["hostname=mx.test", "timeout=%d" % TIMEOUT,
                  "sandbox=" + sandbox] + self.settings:
            argv += ["-o", s.format(spool=self.spool, program=PROGRAM,
                                    files=opts.work + "/files")]
        return argv

    def session(self, patience):
        ours, theirs = socket.socketpair()
        path, log = self.base + "/socket", self.base + "/log"
        if self.special == "listen":
            put(self.base + "/conf", "")
            self.argv += ["-f", self.base + "/conf"]
            theirs = socket.socket(socket.AF_UNIX)
            theirs.bind(path)
            theirs.listen()
        with open(log, "wb") as f:
            p = subprocess.Popen(
                self.argv, stdin=theirs, stdout=theirs, stderr=f,
                env={"TMPDIR": self.tmp, "PATH": "/usr/bin:/bin"})
        theirs.close()
        ours.settimeout(patience)
        self.client = Client(ours, path, self.base + "/trace")
        try:
            self.talk(self.client)
        except Lost as e:
            self.why = str(e)
        self.client.sock.close()
        self.late = False
        try:
            p.wait(patience)
        except subprocess.TimeoutExpired:
            self.late = True
            p.kill()
            p.wait()

    def look(self):
        self.trace, self.log = (contents(self.base + "/" + name)
                                for name in ("trace", "log"))
        m = re.search(r"^(exit|signal) \d+$", self.trace, re.M)
        self.status = m.group(0) if m else ""
        self.kept = kept_in(self.spool, self.special == "edited")
        self.left = names_in(self.tmp) + names_in(self.spool + "/tmp")

    def calls(self):
        """Process, number, name."""
        return re.findall(r"^(\d+) (\d+) (\S+) ", self.trace, re.M)

    def reached(self):
        """The call that the fault struck, if it did."""
        m = re.search(r"^\d+ \d+ (\S+) .* \*$", self.trace, re.M)
        return m and m.group(1)

    def judge(self, expected):
        told, kept = self.client.told, collections.Counter(self.kept)
        half = kept.pop(None, 0)
        killed = bool(self.fault) and "kill" in self.fault
        died = not killed and self.status.startswith("signal") and \
            self.status not in ("signal 1", "signal 15")        # ours
        early = self.status == "exit 127"       # libc's, before main()
        wrong = self.client.wrong or not all(told.get(n) for n in expected) or \
            self.why and "reason=quit" not in self.log
        found = {
            "LOST": any(told[n] and not kept[n] for n in told),
            "HALF": half,
            "DUP": any(kept[n] > 1 for n in kept),
            "OPEN": self.client.opened,
            "ORPHAN": self.late and self.status,
            "HANG": self.late and not self.status or "timed out" in self.why,
            "LEFT": self.left,
            "UNTOLD": any(not told.get(n) for n in kept),
            "DEAF": self.client.deaf and not killed and
                    not self.fault.endswith("+"),
            "SIGNAL": died,
            "EXIT": self.status.startswith("exit") and not early and
                    self.status not in ("exit 0", "exit 71", "exit 78"),
            "NOLOG": wrong and not killed and not died and not early and
                     not re.search(r"event=(error|program)|(why|what)=|"
                                   r"reason=(?!quit)", self.log),
        }
        return [name for name, is_so in found.items() if is_so]

    def __str__(self):
        return "%s told=%s kept=%s wrong=%s why=%s left=%d" % (
            self.status, self.client.told, self.kept, self.client.wrong,
            self.why, len(self.left))


MOVE = {"read", "write", "pread64", "pwrite64", "sendto", "recvfrom"}
OPEN = {"open", "openat", "socket", "socketpair", "pipe2", "signalfd4", "fcntl",
        "pidfd_open", "accept4", "landlock_create_ruleset", "execve",
        "recvmsg", "dup2", "dup3", "memfd_create"}


def plausible(fault, call):
    if fault == "short":
        return call in MOVE
    if call in ("exit_group", "exit"):
        return fault.startswith("kill")
    if call in ("execve", "clone", "clone3", "vfork") and fault.endswith("!"):
        return False            # nobody is left to be told; or two are
    return not fault.startswith("EMFILE") or call in OPEN


def cases(opts):
    """All that could be run; what the clean runs told."""
    out, expected = [], {}
    for scenario in opts.scenarios or SCENARIOS:
        for sandbox in ("yes", "no"):
            clean = Run(opts, scenario, sandbox)
            expected[scenario] = sorted(clean.client.told)
            wrong = clean.judge(expected[scenario])
            if wrong or clean.status != "exit 0" or clean.why or \
                    clean.client.wrong:
                sys.exit("%s\n%s\n%s: not right without a fault: %s %s" % (
                    clean.trace[-2000:], clean.log, scenario, wrong, clean))
            out += [(scenario, sandbox, "%s:%s:%s" % (proc, number, fault),
                     call)
                    for proc, number, call in clean.calls() for fault in FAULTS
                    if plausible(fault, call)]
    return out, expected


def sample(jobs, runs, seed):
    """So many of them; of each kind of call one before a second of any."""
    if runs == "all":
        return jobs
    # A call more or less in one run changes nothing in what else is chosen.
    jobs.sort(key=lambda job: random.Random("%d %s" % (seed, job)).random())
    seen = collections.Counter()
    ranked = []
    for job in jobs:
        kind = job[0], job[1], job[3]
        ranked.append((seen[kind], job))
        seen[kind] += 1
    ranked.sort(key=lambda r: r[0])
    return [job for _, job in ranked[:int(runs)]]


def known():
    """The rows of README.md: violation, scenarios, faults, calls."""
    rows = re.findall(r"^\| ([A-Z]+) \| (.*?) \| (.*?) \| (.*?) \| .* \|$",
                      contents(HERE + "/README.md"), re.M)
    for row in rows:
        if row[0] in ALWAYS:
            sys.exit("README.md: %s is never right" % row[0])
    return rows


def explained(rows, violation, scenario, fault, call):
    return [row for row in rows if row[0] == violation and
            all(any(fnmatch.fnmatchcase(word, p) for p in patterns.split())
                for word, patterns in zip((scenario, fault, call), row[1:]))]


def try_one(opts, job, expected):
    scenario, sandbox, fault, _ = job
    run = Run(opts, scenario, sandbox, fault)
    if not run.reached():
        return None, ["UNREACHED"]
    found = run.judge(expected[scenario])
    if {"HANG", "ORPHAN"} & set(found):     # or was the machine busy?
        run = Run(opts, scenario, sandbox, fault, 4 * PATIENCE)
        found = run.judge(expected[scenario])
    return run, found


def try_all(opts):
    jobs, expected = cases(opts)
    chosen = sample(jobs, opts.runs, opts.seed)
    print("%d of %d runs, SEED=%d" % (len(chosen), len(jobs), opts.seed),
          flush=True)
    rows, used, bad = known(), set(), 0
    seen, begin = collections.Counter(), time.time()
    with concurrent.futures.ThreadPoolExecutor(opts.jobs) as pool:
        for job, (run, found) in zip(chosen, pool.map(
                lambda job: try_one(opts, job, expected), chosen)):
            seen.update(found)
            for violation in found if run else []:
                why = explained(rows, violation, job[0],
                                job[2].rpartition(":")[2], run.reached())
                used.update(why)
                bad += not why
                if opts.verbose or not why:
                    print('%s: "%s %s %s" %s %s' % (
                        violation, *job[:3], run.reached(), run), flush=True)
    print("%d s; %s" % (time.time() - begin, ", ".join(
        "%d %s" % (n, name) for name, n in sorted(seen.items()))))
    if opts.runs == "all" and not opts.scenarios:
        for row in set(rows) - used:
            print("not seen:", *row)
            bad += 1
    print("%d not explained" % bad)
    return bad == 0


def show_one(opts):
    scenario, sandbox, fault = opts.single.split()
    expected = sorted(Run(opts, scenario, sandbox).client.told)
    run = Run(opts, scenario, sandbox, fault)
    print(run.trace + run.log + str(run))
    print("violations:", *run.judge(expected))


def main():
    p = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-s", dest="smtpd", default=TOP + "/smtpd")
    p.add_argument("-j", dest="jobs", type=int, default=1)
    p.add_argument("-n", dest="runs", default="1000")
    p.add_argument("-r", dest="seed", type=int, default=1)
    p.add_argument("-v", dest="verbose", action="store_true")
    p.add_argument("-l", dest="list", action="store_true")
    p.add_argument("-1", dest="single")
    p.add_argument("scenarios", nargs="*")
    opts = p.parse_args()
    if opts.list:
        print("scenarios:", *SCENARIOS)
        print("faults:", *FAULTS)
        return
    opts.work = tempfile.mkdtemp(dir="/dev/shm", prefix="faults.")
    milter = make_files(opts.work)
    good = True
    try:
        if opts.single:
            show_one(opts)
        else:
            good = try_all(opts)
    finally:
        milter.kill()
        shutil.rmtree(opts.work, ignore_errors=True)
    sys.exit(not good)


if __name__ == "__main__":
    main()

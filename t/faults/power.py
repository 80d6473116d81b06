#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The power fails during a session; what is on the disk?

    power.py [-s SMTPD] [-n CUTS|all] [-r SEED] [DISK-CASE ...]
    power.py -1 "DISK-CASE SANDBOX PROCESS:NUMBER"          one, shown whole

A session of two messages runs on a new file system in a file.  All its
processes are killed at a call, and the file is copied as it is then: what only
the kernel's memory had is gone.  The copy is checked and mounted, with the
recovery of its journal, and must have each message that was answered 250, and
nothing that is not whole.  What a real disk may do besides: it may lose writes
that were submitted and not flushed.

DISK-CASE is a pattern, such as "ext4-*".  The cases: old (the spool is there,
and durable), named (as old, without O_TMPFILE), large (as old; the messages are
large), new (there is none), killed (nor here, and an earlier session was killed
when it had made it, before it was durable).  Needs root and loop devices.
"""
import argparse
import collections
import contextlib
import fnmatch
import os
import shutil
import subprocess
import sys
import tempfile

import faults

# How to make it, its size in MiB, and how to repair it.
FSCK = ["e2fsck", "-fy"]
DISKS = {
    "ext4": (["mkfs.ext4", "-q", "-F"], 16, None),
    "ext4nojournal": (["mkfs.ext4", "-q", "-F", "-O", "^has_journal"], 8, FSCK),
    "ext2": (["mkfs.ext2", "-q", "-F"], 8, FSCK),
    "xfs": (["mkfs.xfs", "-q"], 300, None),
    "btrfs": (["mkfs.btrfs", "-q"], 120, None),
}
CASES = {"old": "spool", "named": "spool-named", "large": "spool-large",
         "new": "spool-new", "killed": "spool-new"}
# Calls before which something may have changed, for the disk or the client.
CALLS = {"open", "openat", "mkdir", "mkdirat", "write", "fsync", "linkat",
         "renameat2", "close", "sendto", "unlink", "unlinkat", "exit_group"}


def run(*argv, check=True):
    subprocess.run(argv, check=check, stdout=subprocess.DEVNULL,
                   stderr=None if check else subprocess.DEVNULL)


def unharmed(session):
    return list(session.client.told.values()) == [True, True]


class Disk:
    def __init__(self, opts, name):
        """With an old spool and without: in a file each, to be copied."""
        self.kind, _, self.case = name.partition("-")
        self.opts, self.name, self.first = opts, name, {}
        self.base = tempfile.mkdtemp(dir=opts.work)
        self.template = self.base + "/template"
        make, size, self.repair = DISKS[self.kind]
        with open(self.template, "wb") as f:
            f.truncate(size << 20)
        run(*make, self.template)
        if CASES[self.case] != "spool-new":
            with self.mounted(self.template) as where:
                faults.make_spool(where + "/mail")

    @contextlib.contextmanager
    def mounted(self, image):
        where = tempfile.mkdtemp(dir=self.base)
        run("mount", "-o", "loop", image, where)
        try:
            yield where
        finally:
            run("umount", where)
            os.rmdir(where)

    def copied(self, image):
        """A new file: the system may still know the last one."""
        fd, copy = tempfile.mkstemp(dir=self.base)
        os.close(fd)
        run("cp", "--sparse=always", image, copy)
        return copy

    def session(self, where, scenario, sandbox, fault=None):
        return faults.Run(self.opts, scenario, sandbox, fault,
                          spool=where + "/mail")

    def made(self, sandbox):
        """The call that would make a new spool durable."""
        image = self.copied(self.template)
        with self.mounted(image) as where:
            calls = self.session(where, "spool-new", sandbox).calls()
        os.remove(image)
        last = max(i for i, call in enumerate(calls)
                   if call[2].startswith("mkdir"))
        return next("%s:%s:killall" % call[:2] for call in calls[last:]
                    if call[2] == "fsync")

    def cut(self, sandbox, fault=None):
        """The session, and the disk at its end."""
        if self.case == "killed" and sandbox not in self.first:
            self.first[sandbox] = self.made(sandbox)
        image = self.copied(self.template)
        with self.mounted(image) as where:
            if self.case == "killed":
                self.session(where, "spool-new", sandbox, self.first[sandbox])
            session = self.session(where, CASES[self.case], sandbox, fault)
            copy = self.copied(image)
        os.remove(image)
        return session, copy

    def recovered(self, image, sandbox):
        """What was kept, and whether the spool can be used."""
        if self.repair:
            run(*self.repair, image, check=False)
        with self.mounted(image) as where:
            kept = faults.kept_in(where + "/mail")
            usable = unharmed(self.session(where, "spool", sandbox))
        os.remove(image)
        return kept, usable


def cases(disks):
    """From the first reply on."""
    out = []
    for disk in disks:
        for sandbox in ("yes", "no"):
            session, image = disk.cut(sandbox)
            os.remove(image)
            if not unharmed(session):
                sys.exit("%s: not right without a cut: %s" % (disk.name,
                                                              session))
            calls = session.calls()
            begin = [name for _, _, name in calls].index("sendto")
            out += [(disk.name, sandbox, "%s:%s:killall" % (proc, number), name)
                    for proc, number, name in calls[begin + 1:]
                    if name in CALLS]
    return out


def try_one(disk, job):
    _, sandbox, fault, _ = job
    session, image = disk.cut(sandbox, fault)
    kept, usable = disk.recovered(image, sandbox)
    told = session.client.told
    bad = {"LOST": any(told[name] and name not in kept for name in told),
           "HALF": None in kept,
           "TWICE": len(set(kept)) < len(kept),
           "UNUSABLE": not usable,
           "UNREACHED": not session.reached()}
    return session, kept, [name for name, is_so in bad.items() if is_so]


def try_all(opts, disks):
    jobs = cases(disks.values())
    chosen = faults.sample(jobs, opts.cuts, opts.seed)
    print("%d of %d cuts, SEED=%d" % (len(chosen), len(jobs), opts.seed),
          flush=True)
    count, seen = collections.Counter(), collections.Counter()
    for job in chosen:
        session, kept, bad = try_one(disks[job[0]], job)
        count[job[0]] += 1
        seen.update(bad)
        if bad:
            print('%s: "%s %s %s" %s: told %s, kept %s' % (
                " ".join(bad), *job, session.client.told, kept), flush=True)
    print(", ".join("%d %s" % (n, name) for name, n in count.items()))
    print(", ".join("%d %s" % (seen[name], name)
                    for name in ("LOST", "HALF", "TWICE", "UNUSABLE",
                                 "UNREACHED")))
    return not seen


def show_one(opts, disks):
    name, sandbox, fault = opts.single.split()
    session, kept, bad = try_one(disks[name], (name, sandbox, fault, ""))
    print(session.trace + session.log)
    print("told:", session.client.told, "kept:", kept, "violations:", *bad)
    return not bad


def main():
    p = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-s", dest="smtpd", default=faults.TOP + "/smtpd")
    p.add_argument("-n", dest="cuts", default="200")
    p.add_argument("-r", dest="seed", type=int, default=1)
    p.add_argument("-1", dest="single")
    p.add_argument("patterns", nargs="*", default=["*"])
    opts = p.parse_args()
    patterns = [opts.single.split()[0]] if opts.single else opts.patterns
    names = [disk + "-" + case for disk in DISKS for case in CASES]
    names = [name for name in names
             if any(fnmatch.fnmatchcase(name, p) for p in patterns)]
    if not names:
        sys.exit("no such DISK-CASE")
    opts.work = tempfile.mkdtemp(dir="/dev/shm", prefix="power.")
    try:
        disks = {name: Disk(opts, name) for name in names}
        good = (show_one if opts.single else try_all)(opts, disks)
    finally:
        shutil.rmtree(opts.work)
    sys.exit(not good)


if __name__ == "__main__":
    main()

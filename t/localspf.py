#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Debian's policyd-spf as it is, with a DNS of two names.

What it asks the DNS is answered here; everything else is the program's own.
"""
import sys

import spf
from spf_engine.policyd_spf import main

TXT = {
    "pass.test": b"v=spf1 ip4:198.51.100.7 -all",
    "fail.test": b"v=spf1 -all",
}


def lookup(name, qtype, *rest, **more):
    if qtype == "TXT" and name in TXT:
        return [((name, qtype), [TXT[name]])]
    return []


spf.DNSLookup = lookup
sys.exit(main())

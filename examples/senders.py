#!/usr/bin/python3
"""Who may send as whom: senders for each user who has logged in.

    policy = exec:/usr/local/lib/smtpd/senders.py FILE

FILE has a line for each user: the name, and the addresses or @domains that are
theirs, separated by blanks.  "alice alice@example.com" lets alice send as that
and as nobody else; a user who is not in FILE can't send.  A client that has not
logged in is not checked: the same settings can be used where mail comes in.
"""
import sys


def read(path):
    with open(path, encoding="utf-8") as file:
        lines = [line.split() for line in file
                 if line.strip() and not line.startswith("#")]
    return {user: {s.lower() for s in senders} for user, *senders in lines}


def decide(allowed, request):
    user, sender = request.get("sasl_username"), request["sender"].lower()
    if not user:
        return "DUNNO"
    mine = allowed.get(user, set())
    if sender in mine or "@" + sender.rpartition("@")[2] in mine:
        return "DUNNO"
    return f"553 5.7.1 {user} may not send as <{sender}>"


def main():
    request = {}
    for line in sys.stdin:
        if line != "\n":
            name, _, value = line.rstrip("\n").partition("=")
            request[name] = value
            continue
        # Read anew for each question: a change counts at once.
        print(f"action={decide(read(sys.argv[1]), request)}\n", flush=True)
        request = {}


main()

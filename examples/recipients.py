#!/usr/bin/python3
"""A policy program that knows which recipients exist.

    policy = exec:/usr/local/lib/smtpd/recipients.py DATABASE

DATABASE is for SQLite, with a table "users (address text, state text)"; state is
"active", "full" (452, try later) or "away" (550).

A request is lines "name=value" and an empty line, on standard input; the answer
is "action=..." and an empty line.  smtpd starts the program for the first
recipient of a session and keeps it; it ends when its input does.  An exception
ends it, too: then the answer is 451, and nothing is lost.
"""
import sqlite3
import sys

ANSWERS = {
    "active": "DUNNO",
    "full": "452 4.2.2 The mailbox is full",
    "away": "550 5.2.1 Does not work here any more",
}


def decide(database, request):
    row = database.execute("select state from users where address = ?",
                           (request["recipient"].lower(),)).fetchone()
    return ANSWERS[row[0]] if row else "REJECT 5.1.1 No such user"


def main():
    database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
    request = {}
    for line in sys.stdin:
        if line != "\n":
            name, _, value = line.rstrip("\n").partition("=")
            request[name] = value
            continue
        print(f"action={decide(database, request)}\n", flush=True)
        request = {}


main()

# SPDX-License-Identifier: ISC
# hamspam.bats - examples/ham-or-spam with rspamd.

load servers

setup_file() {
	RSPAMD=$(free_port)
	export RSPAMD
	server_dir rspamd _rspamd
	# Only what rspamd knows by itself, for there is no network: the test
	# patterns that stand for some of its actions.
	echo test >"$DIR/tld"
	cat >"$DIR/rspamd.conf" <<END
options {
	pidfile = "$DIR/pid";
	tempdir = "$DIR";
	hs_cache_dir = "$DIR";
	dns { nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; }
	url_tld = "$DIR/tld";	# the real list takes long to compile
	enable_test_patterns = true;
	disable_hyperscan = true;
	filters = "";
}
logging { type = "console"; level = "notice"; }
worker "normal" { bind_socket = "127.0.0.1:$RSPAMD"; count = 1; }
actions { reject = 15; add_header = 6; greylist = 4; }
END
	server_start _rspamd "$DIR/log" rspamd -f -c "$DIR/rspamd.conf"
	wait_long curl -fs "http://127.0.0.1:$RSPAMD/ping" || {
		cat "$DIR/log"
		return 1
	}
}

teardown_file() {
	server_stop
}

# judge PATTERN [COMMAND ...]: a message with GTUBE's pattern of this letter.
judge() {
	local text='Nothing to see here' letter=$1

	shift
	(($# > 0)) || set -- "$ROOT/examples/maildir" "$SPOOL"
	[[ $letter == - ]] ||
	    text=${letter}JS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI
	[[ $letter == - ]] || text+=-UBE-TEST-EMAIL*C.34X
	smtp -o envelope-lines=yes -o exec="$ROOT/examples/ham-or-spam \
${URL-http://127.0.0.1:$RSPAMD} $*" <<END
EHLO client.test
MAIL FROM:<a@client.test>
RCPT TO:<b@mx.test>
RCPT TO:<"c, d"@mx.test>
DATA
From: <a@client.test>
To: <b@mx.test>
Subject: one
Message-ID: <1@client.test>
Date: Tue, 24 Nov 2026 12:00:00 +0000

$text
.
QUIT
END
}

@test "ham is delivered, whole" {
	judge -
	replies 220 250 250 250 250 354 250 221
	messages 1
	[[ $(message) == 'Return-Path: <a@client.test>'*'Nothing to see here' ]]
}

@test "spam is refused with 554, and not delivered" {
	judge X
	replies 220 250 250 250 250 354 554 221
	said '554 5.3.0 This looks like spam'
	messages 0
}

@test "what rspamd would mark is delivered to .Junk" {
	judge Y
	replies 220 250 250 250 250 354 250 221
	messages 0
	SPOOL=$SPOOL/.Junk messages 1
}

@test "rspamd is told the envelope" {
	REMOTE_ADDR=192.0.2.7 judge X
	grep -q "ip: 192.0.2.7, from: <a@client.test>" "$DIR/log" || {
		cat "$DIR/log"
		fail 'rspamd does not know'
	}
	grep -q 'rcpts: <b@mx.test,' "$DIR/log"
}

@test "the delivery program's verdict is the answer" {
	printf '#!/bin/sh\nexit 65\n' >"$BATS_TEST_TMPDIR/refuse"
	chmod +x "$BATS_TEST_TMPDIR/refuse"
	judge - "$BATS_TEST_TMPDIR/refuse"
	replies 220 250 250 250 250 354 554 221
	judge - /nonexistent/program
	replies 220 250 250 250 250 354 451 221
}

@test "an rspamd that does not answer is 451, and nothing is delivered" {
	URL=http://127.0.0.1:1 judge -
	replies 220 250 250 250 250 354 451 221
	messages 0
}

@test "an answer that is not rspamd's is 451" {
	mkdir "$BATS_TEST_TMPDIR/web"
	serve_with "$PYTHON" "$ROOT/t/webserver.py" "$BATS_TEST_TMPDIR/web"
	URL=http://127.0.0.1:$PORT/200/x judge -
	replies 220 250 250 250 250 354 451 221
	messages 0
}

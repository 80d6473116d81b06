# SPDX-License-Identifier: ISC
# mda.bats - delivery programs that others wrote, with the setting "exec" alone.
# dovecot-lda is in dovecot.bats.

load ../lib

setup() {
	test_setup
	mkdir -p "$SPOOL"/{tmp,new,cur}
	chmod -R 700 "$SPOOL"
}

# deliver WORD ...: one message for two recipients.
deliver() {
	smtp -o exec="$*" <<'END'
EHLO client.test
MAIL FROM:<a@client.test>
RCPT TO:<b@mx.test>
RCPT TO:<-c@mx.test>
DATA
Subject: one
From: a@client.test

From here, a line like mbox's
..
.
QUIT
END
}

delivered() {
	replies 220 250 250 250 250 354 250 221
	messages "$1"
	[[ $(cat "$SPOOL"/new/*) == *'Subject: one'*$'\n.'* ]] ||
	    fail 'not the message'
}

@test "maildrop delivers, by its filter file" {
	printf 'to "%s"\n' "$SPOOL" >"$BATS_TEST_TMPDIR/filter"
	chmod 600 "$BATS_TEST_TMPDIR/filter"
	deliver maildrop "$BATS_TEST_TMPDIR/filter"
	delivered 1
}

@test "maildrop's exit code is the answer" {
	printf 'EXITCODE=%s\nexit\n' 67 >"$BATS_TEST_TMPDIR/filter"
	chmod 600 "$BATS_TEST_TMPDIR/filter"
	deliver maildrop "$BATS_TEST_TMPDIR/filter"
	replies 220 250 250 250 250 354 550 221
	printf 'to "/nonexistent/mail/box"\n' >"$BATS_TEST_TMPDIR/filter"
	deliver maildrop "$BATS_TEST_TMPDIR/filter"
	replies 220 250 250 250 250 354 451 221
}

@test "procmail delivers, by its rc file" {
	printf 'DEFAULT=%s/\nLOGFILE=%s\n' "$SPOOL" "$BATS_TEST_TMPDIR/log2" \
	    >"$BATS_TEST_TMPDIR/rc"
	deliver procmail -m "$BATS_TEST_TMPDIR/rc"
	delivered 1
}

@test "procmail's exit code is the answer" {
	# Another HOST than this ends it, as its manual says.
	printf 'EXITCODE=67\nHOST=nowhere.test\n' >"$BATS_TEST_TMPDIR/rc"
	deliver procmail -m "$BATS_TEST_TMPDIR/rc"
	replies 220 250 250 250 250 354 550 221
}

@test "fdm delivers, by its configuration" {
	cat >"$BATS_TEST_TMPDIR/fdm.conf" <<END
set lock-file "$BATS_TEST_TMPDIR/fdm.lock"
account "stdin" stdin
action "in" maildir "$SPOOL"
match all action "in"
END
	chmod 600 "$BATS_TEST_TMPDIR/fdm.conf"
	deliver fdm -l -f "$BATS_TEST_TMPDIR/fdm.conf" -a stdin fetch
	delivered 1
}

# smtpd sends to itself: what msmtp passes on comes to the spool.
@test "msmtp passes the message on, as sendmail" {
	local msmtp="/usr/bin/msmtp -C $BATS_TEST_TMPDIR/msmtprc"

	serve -o spool="$SPOOL"
	cat >"$BATS_TEST_TMPDIR/msmtprc" <<END
account default
host 127.0.0.1
port $PORT
END
	chmod 600 "$BATS_TEST_TMPDIR/msmtprc"
	deliver "$msmtp" -f '{sender}' -- '{recipients}'
	delivered 1
	[[ $(message) == 'Return-Path: <a@client.test>
Delivered-To: b@mx.test
Delivered-To: -c@mx.test
Received: '* ]] || fail 'not the envelope'
}

@test "msmtp that finds nobody is not a success" {
	cat >"$BATS_TEST_TMPDIR/msmtprc" <<END
account default
host 127.0.0.1
port 1
END
	chmod 600 "$BATS_TEST_TMPDIR/msmtprc"
	deliver /usr/bin/msmtp -C "$BATS_TEST_TMPDIR/msmtprc" -f '{sender}' \
	    -- '{recipients}'
	[[ $output == *$'\n354 '*$'\n'[45]??' '* ]] || fail 'taken'
	messages 0
}

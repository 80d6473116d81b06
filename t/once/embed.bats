# SPDX-License-Identifier: ISC
# examples/embed: the event loop, and the binding for Python.

load ../lib
load ../embed

setup_file() {
	built
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -subj /CN=mx.test -keyout "$BATS_FILE_TMPDIR/key" \
	    -out "$BATS_FILE_TMPDIR/cert" 2>/dev/null
}

@test "the smallest program is the manual's example, and works" {
	local program=$BATS_TEST_TMPDIR/one

	diff <(sed -n '/^#include/,$p' "$ROOT/examples/embed/one.c") \
	    <(sed -n '/^\.Sh EXAMPLES/,$ { /^\.Bd/,/^\.Ed/ { /^\.[BE]d/!p } }' \
	    "$ROOT/man/session.3")
	compiled one "$program"
	sed 's/$/\r/' <<-'END' |
		EHLO client.test
		MAIL FROM:<a@b>
		RCPT TO:<c@d>
		DATA
		one
		..two
		.
		MAIL FROM:<a@b>
		RCPT TO:<c@d>
		DATA
		half
	END
	    "$program" "$BATS_TEST_TMPDIR/mail" >"$BATS_TEST_TMPDIR/out"
	run cut -c 1-3 "$BATS_TEST_TMPDIR/out"
	[[ ${lines[*]} == '220 250 250 250 250 250 354 250 250 250 354' ]] || fail
	[[ $(<"$BATS_TEST_TMPDIR/mail") == $'one\n.two' ]]
}

@test "the event loop: many at once, octet by octet and pipelined" {
	embedded "$BATS_FILE_TMPDIR/server" 0 "$SPOOL"
	clients 100 200
}

@test "the event loop: verdicts late or at once, at random" {
	embedded "$BATS_FILE_TMPDIR/server" -l 0 "$SPOOL"
	clients 100 200
}

@test "the event loop: STARTTLS" {
	embedded "$BATS_FILE_TMPDIR/server" -l -c "$BATS_FILE_TMPDIR/cert" \
	    -k "$BATS_FILE_TMPDIR/key" 0 "$SPOOL"
	python3 - "$PORT" <<-'END'
		import smtplib
		import ssl
		import sys

		for n in range(5):
		    s = smtplib.SMTP("127.0.0.1", int(sys.argv[1]))
		    s.starttls(context=ssl._create_unverified_context())
		    s.sendmail("a@b.test", ["c@mx.test"], "Subject: x\n\n.\ny\n")
		    s.quit()
	END
	[[ $(ls "$SPOOL" | wc -l) == 5 ]]
	printf 'Subject: x\n\n.\ny\n' | cmp - "$SPOOL/0"
	[[ ! -s $BATS_TEST_TMPDIR/errors ]]
}

@test "the binding: messages and refusals; an exception is 451" {
	cd "$ROOT"
	embedded python3 examples/embed/session.py session.h \
	    "$ROOT/libsession.so.0" 0 "$SPOOL"
	clients 10 30
	rm -r "$SPOOL"
	python3 - "$PORT" <<-'END'
		import smtplib
		import sys

		s = smtplib.SMTP("127.0.0.1", int(sys.argv[1]))
		try:
		    s.sendmail("a@b.test", ["c@mx.test"], "x")
		except smtplib.SMTPDataError as e:
		    sys.exit(e.smtp_code != 451)
		sys.exit(1)
	END
}

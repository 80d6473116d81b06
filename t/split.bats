# SPDX-License-Identifier: ISC
# The engine in process: its input cut in two at every octet, fed by the octet
# and at random, with hooks that answer late and output that is taken slowly.

load lib

# split [-l]: stdin's escapes of printf's %b, all lines CRLF; with both line
# ends for the body.  The replies in $output where nothing is tolerated, and
# otherwise in $tolerant.
split() {
	local line

	while IFS= read -r line; do
		printf '%b\r\n' "$line"
	done >"$BATS_TEST_TMPDIR/in"
	both_modes "$@"
}

# The same with stdin's octets.
split_raw() {
	cat >"$BATS_TEST_TMPDIR/in"
	both_modes "$@"
}

both_modes() {
	local newline mode

	for mode in '' -s; do
		for newline in '' -n; do
			"$TOOLS/split" "$@" $newline $mode \
			    "$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out" \
			    2>>"$LOG" || fail "$*" $newline $mode || return
		done
		tolerant=${output-}
		output=$(tr -d '\r' <"$BATS_TEST_TMPDIR/out")
	done
}

@test "a dialogue" {
	split <<-'END'
		EHLO client.test
		MAIL FROM:<a@b> SIZE=100 BODY=8BITMIME
		RCPT TO:<c@d>
		RCPT TO:<refuse@d>
		RCPT TO:<wait@d>
		DATA
		Subject: x

		text
		..dot
		.
		QUIT
	END
	replies 220 250 250 250 550 450 354 250 221
}

@test "every verb, right and wrong" {
	split <<-'END'
		HELO client.test
		helo
		EHLO refuse.test
		EHLO client.test
		MAIL FROM:<refuse@b>
		MAIL FROM:<a@b
		MAIL FROM:<a@b> NONSENSE=1
		MAIL FROM:<a@b> ENVID=x+2By RET=HDRS MT-PRIORITY=-3 AUTH=<>
		MAIL FROM:<a@b>
		RCPT TO:<"a\\ b"@c> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+40b
		DATA now
		RSET
		RCPT TO:<a@b>
		NOOP x
		VRFY somebody
		VRFY refuse
		EXPN list
		HELP
		SEND FROM:<a@b>
		NONSENSE
		
		DATA
		BDAT 3
		123QUIT
	END
	replies 220 250 501 550 250 550 501 555 250 503 250 501 250 503 250 \
	    252 550 252 214 502 500 500 503 503 221
}

@test "messages with bare CR, bare LF and NUL, and their ends" {
	split <<-'END'
		EHLO client.test
		MAIL FROM:<a@b>
		RCPT TO:<c@d>
		DATA
		a\nb\n.\nc\r.\rd\r\r
		.\0
		.
		MAIL FROM:<a@b>
		RCPT TO:<c@d>
		DATA
		good
		.
		MAIL FROM:<a@b>
		RCPT TO:<c@d>
		DATA
		.
		MAIL FROM:<a@b>
		RCPT TO:<c@d>
		DATA
		\0
		.\r
		.
		QUIT
	END
	replies 220 250 250 250 354 550 250 250 354 250 250 250 354 250 \
	    250 250 354 550 221
}

@test "a message that a hook refuses, one that is too big, one in a loop" {
	split <<-END
		EHLO client.test
		MAIL FROM:<a@b>
		RCPT TO:<c@d>
		DATA
		REFUSE
		.
		MAIL FROM:<a@b>
		RCPT TO:<c@d>
		DATA
		$(printf '%0599d' 0)
		.
		MAIL FROM:<a@b>
		RCPT TO:<c@d>
		DATA
		Received: 1
		RECEIVED: 2
		received: 3
		Received: 4
		Received: 5
		.
		QUIT
	END
	replies 220 250 250 250 354 550 250 250 354 552 250 250 354 554 221
}

@test "a message as big as may be" {
	split <<-END
		EHLO client.test
		MAIL FROM:<a@b>
		RCPT TO:<c@d>
		DATA
		$(printf '%0595d' 0)
		..
		.
		QUIT
	END
	# 597 + 3
	replies 220 250 250 250 354 250 221
}

@test "command lines with control octets, over-long ones, and empty ones" {
	split <<-END
		NOOP\nQUIT
		NOOP\rQUIT
		\0
		NOOP\0
		NOOP \r
		EHLO \177
		$(printf 'x%.0s' {1..2100})
		NOOP $(printf 'x%.0s' {1..2041})
		NOOP $(printf 'x%.0s' {1..2042})
		NOOP
		QUIT
	END
	replies 220 501 501 501 501 501 501 500 250 500 250 221
}

@test "BDAT, right and refused" {
	split <<-'END'
		BDAT 6
		NOOP
		EHLO client.test
		BDAT 6 LAST
		QUIT
		MAIL FROM:<a@b>
		BDAT 6
		RSET
		MAIL FROM:<a@b>
		RCPT TO:<c@d>
		BDAT 4
		a\r
		BDAT 3
		.
		BDAT 0 LAST
		MAIL FROM:<a@b>
		RCPT TO:<c@d>
		BDAT 5 LAST
		a\nb
		MAIL FROM:<a@b> BODY=BINARYMIME
		RCPT TO:<c@d>
		BDAT 8 LAST
		\0\n\r\n.\r\nMAIL FROM:<a@b>
		RCPT TO:<c@d>
		BDAT 700 LAST
	END
	said '250 2.0.0'
}

@test "BDAT whose count is not a number ends the session" {
	split <<-'END'
		EHLO client.test
		MAIL FROM:<a@b>
		RCPT TO:<c@d>
		BDAT 99999999999999999999999
		MAIL FROM:<evil@b>
		QUIT
	END
	replies 220 250 250 250 501
}

@test "AUTH: with and without an initial response, cancelled, malformed" {
	split <<-'END'
		EHLO client.test
		AUTH PLAIN b2s=
		EHLO client.test
		AUTH PLAIN b2s=
		QUIT
	END
	replies 220 250 235 250 503 221
	split <<-'END'
		EHLO client.test
		AUTH
		AUTH NONSENSE
		AUTH LOGIN
		*
		AUTH login
		!
		AUTH PLAIN bad
		AUTH PLAIN
		QUIT
		AUTH PLAIN =
		AUTH LOGIN
		a\nb
		AUTH LOGIN
		b2s=
		QUIT
	END
	replies 220 250 501 504 334 501 334 501 501 334 535 535 334 501 334 \
	    235 221
}

@test "too many failed authentications, errors, and junk" {
	split <<-'END'
		EHLO client.test
		AUTH PLAIN AAAA
		AUTH PLAIN AAAA
		AUTH PLAIN AAAA
		AUTH PLAIN b2s=
		NOOP
	END
	replies 220 250 535 535 535 421
	split < <(for i in {1..80}; do echo BAD; done)
	[[ $output == *'421 4.7.0'* ]]
	split < <(for i in {1..60}; do echo NOOP; done)
	[[ $output == *'421 4.7.0'* ]]
}

@test "a browser" {
	split <<-'END'
		GET / HTTP/1.1
		Host: mx.test
	END
	replies 220 421
}

@test "LMTP: a reply for each recipient" {
	split -l <<-'END'
		EHLO client.test
		LHLO client.test
		MAIL FROM:<a@b>
		RCPT TO:<one@d>
		RCPT TO:<refuse@d>
		RCPT TO:<two@d>
		RCPT TO:<three@d>
		RCPT TO:<four@d>
		DATA
		text
		.
		MAIL FROM:<a@b>
		RCPT TO:<one@d>
		RCPT TO:<two@d>
		BDAT 8 LAST
		REFUSE
		MAIL FROM:<a@b>
		RCPT TO:<one@d>
		RCPT TO:<two@d>
		DATA
		a\nb
		.
		QUIT
	END
	replies 220 500 250 250 250 550 250 250 452 354 250 250 250 \
	    250 250 250 550 550 250 250 250 354 550 550 221
}

@test "the end of input anywhere" {
	split <<-'END'
		EHLO client.test
		MAIL FROM:<a@b>
		RCPT TO:<c@d>
		DATA
		half
	END
	replies 220 250 250 250 354
}

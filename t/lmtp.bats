# SPDX-License-Identifier: ISC
# LMTP (RFC 2033).
load lib

lmtp() {
	smtp -o protocol=lmtp "$@"
}

# program LINE ...: run for each recipient.
program() {
	printf '%s\n' '#!/bin/sh' "$@" >"$BATS_TEST_TMPDIR/program"
	chmod 755 "$BATS_TEST_TMPDIR/program"
}

@test "LHLO, and neither HELO nor EHLO" {
	SYNTAX=("${STRICT[@]}")
	lmtp <<-'END'
	HELO client.test
	EHLO client.test
	MAIL FROM:<>
	LHLO client.test
	LHLO
	LHLO a_b
	HELO client.test
	MAIL FROM:<>
	QUIT
	END
	replies 220 500 500 503 250 501 501 500 250 221
	said 250-PIPELINING
	said 250-8BITMIME
	said ENHANCEDSTATUSCODES
}

@test "the banner says LMTP" {
	smtp -o protocol=lmtp <<<QUIT
	[[ ${lines[0]} == '220 mx.test LMTP' ]] || fail
}

@test "SMTP has no LHLO" {
	smtp <<-'END'
	LHLO client.test
	QUIT
	END
	replies 220 500 221
}

@test "HELP speaks of LHLO" {
	lmtp <<-'END'
	HELP
	QUIT
	END
	said LHLO
	not_said EHLO
}

@test "one reply for each accepted recipient; the spool keeps one message" {
	printf '@mx.test\n' >"$BATS_TEST_TMPDIR/list"
	lmtp -o spool="$SPOOL" -o recipients="$BATS_TEST_TMPDIR/list" <<-'END'
	LHLO client.test
	MAIL FROM:<a@client.test>
	RCPT TO:<b@mx.test>
	RCPT TO:<x@other.test>
	RCPT TO:<c@mx.test>
	RCPT TO:<d@mx.test>
	DATA
	hello
	.
	QUIT
	END
	replies 220 250 250 250 550 250 250 354 250 250 250 221
	messages 1
	[[ $(message) == *'with LMTP id'* ]]
	[[ $(message | grep -c ^Delivered-To:) == 3 ]]
}

@test "the replies are the recipients' own, in their order" {
	program 'case $RECIPIENT in' \
	    'b@*) echo "for b"; exit 0 ;;' 'c@*) exit 67 ;;' \
	    'd@*) exit 75 ;;' 'e@*) echo "not e"; exit 65 ;;' \
	    '*) echo "for $RECIPIENT" ;;' esac
	lmtp -o exec="$BATS_TEST_TMPDIR/program {recipient}" <<-'END'
	LHLO client.test
	MAIL FROM:<a@client.test>
	RCPT TO:<d@mx.test>
	RCPT TO:<b@mx.test>
	RCPT TO:<e@mx.test>
	RCPT TO:<c@mx.test>
	RCPT TO:<f@mx.test>
	DATA
	hello
	.
	NOOP
	QUIT
	END
	replies 220 250 250 250 250 250 250 250 354 451 250 554 550 250 250 221
	said $'451 4.3.0 Delivery failed for now, try later\n250 2.0.0 for b'
	said $'for b\n554 5.3.0 not e\n550 5.1.1 No such user here\n250'
	said '250 2.0.0 for f@mx.test'
	logged 'status=deferred'
	logged 'to=e@mx.test'
}

@test "a program for all of them: the same reply for each" {
	program 'echo "$RECIPIENTS" | wc -l; exit 75'
	lmtp -o exec="$BATS_TEST_TMPDIR/program" <<-'END'
	LHLO client.test
	MAIL FROM:<a@client.test>
	RCPT TO:<b@mx.test>
	RCPT TO:<c@mx.test>
	DATA
	.
	QUIT
	END
	replies 220 250 250 250 250 354 451 451 221
	said '451 4.3.0 2'
}

@test "BDAT: one reply for a chunk, one for each recipient after the last" {
	smtp_raw -o protocol=lmtp -o spool="$SPOOL" < <(printf '%s\r\n' \
	    'LHLO a' 'MAIL FROM:<>' 'RCPT TO:<b@mx.test>' \
	    'RCPT TO:<c@mx.test>' 'BDAT 6' abcd 'BDAT 6' efgh 'BDAT 0 LAST' \
	    QUIT)
	replies 220 250 250 250 250 250 250 250 250 221
	messages 1
}

@test "BDAT: a chunk that is refused gets one reply" {
	smtp_raw -o protocol=lmtp -o spool="$SPOOL" -o max-size=5 \
	    < <(printf '%s\r\n' 'LHLO a' 'MAIL FROM:<>' \
	    'RCPT TO:<b@mx.test>' 'RCPT TO:<c@mx.test>' 'BDAT 6' abcd \
	    'BDAT 6 LAST' efgh QUIT)
	replies 220 250 250 250 250 552 503 221
	messages 0
}

@test "BDAT: the last chunk is refused for each recipient" {
	SYNTAX=("${STRICT[@]}")
	smtp_raw -o protocol=lmtp -o spool="$SPOOL" -o max-size=11 \
	    < <(printf '%s\r\n' 'LHLO a' 'MAIL FROM:<>' \
	    'RCPT TO:<b@mx.test>' 'RCPT TO:<c@mx.test>' 'BDAT 6' abcd \
	    'BDAT 6 LAST' efgh NOOP 'MAIL FROM:<>' 'RCPT TO:<b@mx.test>' \
	    'RCPT TO:<c@mx.test>' 'BDAT 6 LAST' $'a\nbc' QUIT)
	replies 220 250 250 250 250 250 552 552 250 250 250 250 550 550 221
	messages 0
}

@test "a message that is refused is so for each" {
	lmtp -o spool="$SPOOL" -o max-size=3 <<-'END'
	LHLO client.test
	MAIL FROM:<>
	RCPT TO:<b@mx.test>
	RCPT TO:<c@mx.test>
	DATA
	hello
	.
	QUIT
	END
	replies 220 250 250 250 250 354 552 552 221
	messages 0
}

@test "no recipient: 503, for DATA and BDAT" {
	smtp_raw -o protocol=lmtp -o spool="$SPOOL" < <(printf '%s\r\n' \
	    'LHLO a' 'MAIL FROM:<>' DATA 'BDAT 6 LAST' NOOP QUIT)
	replies 220 250 250 503 503 221
}

@test "more replies than the buffer holds" {
	lmtp -o spool="$SPOOL" -o max-recipients=0 < <(
		echo 'LHLO client.test'
		echo 'MAIL FROM:<>'
		for i in {1..500}; do
			echo "RCPT TO:<user$i@mx.test>"
		done
		printf '%s\n' DATA hello . QUIT
	)
	[[ $(grep -c '^250 2.1.5' <<<"$output") == 500 ]]
	[[ $(grep -c '^250 2.0.0 Message' <<<"$output") == 500 ]]
	[[ ${lines[-1]} == 221* ]]
	messages 1
}

@test "TLS and AUTH: LMTPSA" {
	certs
	talk -- "$SMTPD" -o protocol=lmtp -o spool="$SPOOL" \
	    -o auth-any=yes -o tls-cert="$CERTS/ec.pem" \
	    -o tls-key="$CERTS/ec.key" <<-'END'
	< 220
	> LHLO client.test
	< 250
	> STARTTLS
	< 220
	tls
	> EHLO client.test
	< 500
	> LHLO client.test
	< 250
	> AUTH PLAIN AGEAYg==
	< 235
	> MAIL FROM:<>
	< 250
	> RCPT TO:<b@mx.test>
	< 250
	> RCPT TO:<c@mx.test>
	< 250
	> DATA
	< 354
	> .
	< 250
	< 250
	> QUIT
	< 221
	eof
	END
	messages 1
	[[ $(message) == *'with LMTPSA id'* ]]
}

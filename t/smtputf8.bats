# SPDX-License-Identifier: ISC
# SMTPUTF8 (RFC 6531).
load lib

# utf8 LINE ...: after EHLO.
utf8() {
	smtp -o spool="$SPOOL" -o max-errors=0 < <(
		echo 'EHLO client.test'
		printf '%b\n' "$@"
		echo QUIT
	)
}

@test "UTF-8 in both paths, and the trace field says so" {
	utf8 'MAIL FROM:<é@bücher.test> SMTPUTF8' 'RCPT TO:<用户@例子.test>' \
	    DATA 'Subject: é' '' . NOOP
	replies 220 250 250 250 354 250 250 221
	said 250-SMTPUTF8
	messages 1
	[[ $(message) == *'Return-Path: <é@bücher.test>'* ]]
	[[ $(message) == *'Delivered-To: 用户@例子.test'* ]]
	[[ $(message) == *'with UTF8SMTP id'* ]]
}

@test "the parameter without need: still UTF8SMTP" {
	utf8 'MAIL FROM:<a@b.test> SMTPUTF8' 'RCPT TO:<c@d.test>' DATA .
	[[ $(message) == *'with UTF8SMTP id'* ]]
	rm "$SPOOL"/new/*
	utf8 'MAIL FROM:<a@b.test>' 'RCPT TO:<c@d.test>' DATA .
	[[ $(message) == *'with ESMTP id'* ]]
}

@test "without the parameter: 553, in both paths" {
	utf8 'MAIL FROM:<é@b.test>' 'MAIL FROM:<a@bücher.test>' \
	    'MAIL FROM:<"é"@b.test>' 'MAIL FROM:<a@b.test>' \
	    'RCPT TO:<é@b.test>' 'RCPT TO:<a@bücher.test>' 'RCPT TO:<a@b.test>'
	replies 220 250 553 553 553 250 553 553 250 221
	said '553 5.6.7'
}

@test "it is MAIL's and has no value" {
	SYNTAX=("${STRICT[@]}")
	utf8 'MAIL FROM:<a@b.test> SMTPUTF8=yes' \
	    'MAIL FROM:<a@b.test> SMTPUTF8=' \
	    'MAIL FROM:<a@b.test> SMTPUTF8 SMTPUTF8' \
	    'MAIL FROM:<é@b.test> smtputf8 BODY=8BITMIME' \
	    'RCPT TO:<a@b.test> SMTPUTF8'
	replies 220 250 501 501 501 250 555 221
}

@test "it does not outlast the transaction" {
	utf8 'MAIL FROM:<é@b.test> SMTPUTF8' RSET 'MAIL FROM:<é@b.test>' \
	    'MAIL FROM:<a@b.test>' 'RCPT TO:<é@b.test>'
	replies 220 250 250 250 553 250 553 221
}

# What is no UTF-8, or none that belongs into an address.
BAD=('\xc0\x80' '\xc1\xbf' '\xe0\x80\x80' '\xe0\x9f\xbf' '\xf0\x80\x80\x80'
    '\xf0\x8f\xbf\xbf' '\xed\xa0\x80' '\xed\xbf\xbf' '\xf4\x90\x80\x80'
    '\xf5\x80\x80\x80' '\xff' '\xfe' '\x80' '\xbf' '\xc3' '\xe4\xb8'
    '\xf0\x9f\x98' '\xc3\xc3' '\xc3a' '\xe4\xb8a' '\xc2\x80' '\xc2\x9f')
GOOD=('\xc2\xa0' '\xc3\xbf' '\xdf\xbf' '\xe0\xa0\x80' '\xed\x9f\xbf'
    '\xee\x80\x80' '\xef\xbf\xbf' '\xf0\x90\x80\x80' '\xf4\x8f\xbf\xbf')

@test "malformed UTF-8: local part, quoted, domain" {
	local octets

	for octets in "${BAD[@]}"; do
		utf8 "MAIL FROM:<$octets@b.test> SMTPUTF8" \
		    "MAIL FROM:<\"$octets\"@b.test> SMTPUTF8" \
		    "MAIL FROM:<a@${octets}b.test> SMTPUTF8" \
		    'MAIL FROM:<> SMTPUTF8' "RCPT TO:<$octets@b.test>" \
		    "RCPT TO:<a@$octets.test>" "VRFY $octets SMTPUTF8"
		replies 220 250 501 501 501 250 501 501 501 221 ||
			fail "$octets"
	done
}

@test "the ends of each range of UTF-8" {
	local octets

	for octets in "${GOOD[@]}"; do
		utf8 "MAIL FROM:<$octets@b.test> SMTPUTF8" \
		    "RCPT TO:<\"$octets\"@b.test>" "RCPT TO:<a@$octets.test>" \
		    "VRFY $octets SMTPUTF8"
		replies 220 250 250 250 250 252 221 || fail "$octets"
	done
}

@test "a name in EHLO is ASCII" {
	SYNTAX=("${STRICT[@]}")
	smtp <<-'END'
	EHLO bücher.test
	HELO bücher.test
	EHLO xn--bcher-kva.test
	QUIT
	END
	replies 220 501 501 250 221
}

@test "VRFY: with the parameter" {
	utf8 'VRFY é' 'VRFY é SMTPUTF8' 'VRFY a smtputf8' 'VRFY a'
	replies 220 250 553 252 252 252 221
}

@test "disabled, with 8BITMIME as well: neither announced nor accepted" {
	local keyword

	for keyword in SMTPUTF8 8BITMIME; do
		smtp -o spool="$SPOOL" -o disable=$keyword <<-'END'
		EHLO client.test
		MAIL FROM:<a@b.test> SMTPUTF8
		MAIL FROM:<é@b.test>
		VRFY é SMTPUTF8
		QUIT
		END
		replies 220 250 555 553 553 221
		not_said 250-SMTPUTF8
	done
}

@test "the program is told" {
	printf '%s\n' '#!/bin/sh' 'echo "$SMTPUTF8 $PROTOCOL"' \
	    >"$BATS_TEST_TMPDIR/program"
	chmod 755 "$BATS_TEST_TMPDIR/program"
	smtp -o exec="$BATS_TEST_TMPDIR/program" <<-'END'
	EHLO client.test
	MAIL FROM:<é@b.test> SMTPUTF8
	RCPT TO:<a@mx.test>
	DATA
	.
	QUIT
	END
	said '250 2.0.0 yes UTF8SMTP'
}

@test "LMTP: UTF8LMTP" {
	smtp -o protocol=lmtp -o spool="$SPOOL" <<-'END'
	LHLO client.test
	MAIL FROM:<é@b.test> SMTPUTF8
	RCPT TO:<a@mx.test>
	DATA
	.
	QUIT
	END
	[[ $(message) == *'with UTF8LMTP id'* ]]
}

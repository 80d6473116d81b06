# SPDX-License-Identifier: ISC
# DSN (RFC 3461), MT-PRIORITY (RFC 6710) and AUTH= (RFC 4954): what comes with
# a message, checked and handed on.
load lib
SYNTAX=("${STRICT[@]}")

# say LINE ...: after EHLO, answered all the same.
say() {
	smtp -o spool="$SPOOL" -o max-errors=0 "${SETTINGS[@]}" < <(
		echo 'EHLO client.test'
		printf '%s\n' "$@"
		echo QUIT
	)
}

# mail CODE PARAMETER ...: each in a MAIL of its own; rcpt: in a RCPT.
mail() {
	local code=$1 p commands=()

	shift
	for p; do
		commands+=("MAIL FROM:<a@client.test> $p" RSET)
	done
	say "${commands[@]}"
	# shellcheck disable=SC2046
	replies 220 250 $(for p; do echo "$code" 250; done) 221
}

rcpt() {
	local code=$1 p commands=()

	shift
	for p; do
		commands+=("RCPT TO:<b@mx.test> $p")
	done
	say 'MAIL FROM:<>' "${commands[@]}"
	# shellcheck disable=SC2046
	replies 220 250 250 $(for p; do echo "$code"; done) 221
}

# digits N
digits() {
	printf "%0$1d" 0
}

@test "off: neither announced nor accepted" {
	mail 555 RET=FULL ENVID=x MT-PRIORITY=1 'AUTH=<>'
	not_said 250-DSN
	not_said MT-PRIORITY
	not_said 250-AUTH
	rcpt 555 NOTIFY=NEVER 'ORCPT=rfc822;b@mx.test'
}

@test "on but disabled: the same" {
	SETTINGS=(-o dsn=yes -o mt-priority=yes -o disable='DSN MT-PRIORITY')
	mail 555 RET=FULL ENVID=x MT-PRIORITY=1
	not_said 250-DSN
	not_said MT-PRIORITY
	rcpt 555 NOTIFY=NEVER 'ORCPT=rfc822;b@mx.test'
}

@test "not after HELO" {
	smtp -o spool="$SPOOL" -o dsn=yes <<-'END'
	HELO client.test
	MAIL FROM:<> RET=FULL
	MAIL FROM:<>
	RCPT TO:<b@mx.test> NOTIFY=NEVER
	QUIT
	END
	replies 220 250 555 250 555 221
}

@test "RET" {
	SETTINGS=(-o dsn=yes)
	mail 250 RET=FULL RET=HDRS ret=full Ret=Hdrs
	said 250-DSN
	mail 501 RET RET= RET=ALL RET=FULLX 'RET=FULL RET=FULL' \
	    'RET=FULL RET=HDRS'
	rcpt 555 RET=FULL
}

@test "ENVID: xtext, at most 100 characters" {
	SETTINGS=(-o dsn=yes)
	mail 250 ENVID=QQ314159 ENVID=a+2Bb+3D "ENVID=$(digits 100)" \
	    'ENVID=<>!"#$%&()' ENVID=+20+7E
	mail 501 ENVID ENVID= "ENVID=$(digits 101)" ENVID=+ ENVID=+2 \
	    ENVID=+2b ENVID=+GG ENVID=a=b ENVID=+0A ENVID=+0D+0A ENVID=+00 \
	    ENVID=+7F ENVID=+80 'ENVID=x ENVID=x' ENVID=é
	rcpt 555 ENVID=x
}

@test "NOTIFY" {
	SETTINGS=(-o dsn=yes)
	rcpt 250 NOTIFY=NEVER NOTIFY=SUCCESS NOTIFY=FAILURE NOTIFY=DELAY \
	    NOTIFY=success,Failure NOTIFY=DELAY,FAILURE,SUCCESS notify=never
	rcpt 501 NOTIFY NOTIFY= NOTIFY=ALWAYS NOTIFY=NEVER,SUCCESS \
	    NOTIFY=SUCCESS,NEVER NOTIFY=SUCCESS,SUCCESS NOTIFY=SUCCESS, \
	    NOTIFY=,SUCCESS NOTIFY=SUCCESS,,DELAY NOTIFY=SUCC \
	    NOTIFY=SUCCESSES 'NOTIFY=NEVER NOTIFY=NEVER'
	mail 555 NOTIFY=NEVER
}

@test "ORCPT: type;xtext, at most 500 characters" {
	SETTINGS=(-o dsn=yes)
	rcpt 250 'ORCPT=rfc822;b@mx.test' 'ORCPT=RFC822;b+2Bc@mx.test' \
	    'ORCPT=x400;/c+3Dde/' "ORCPT=x-a;$(digits 496)"
	rcpt 501 ORCPT ORCPT= 'ORCPT=rfc822' 'ORCPT=rfc822;' 'ORCPT=;b' \
	    'ORCPT=rfc 822;b' 'ORCPT=rfc822;b+' 'ORCPT=rfc822;b+2' \
	    'ORCPT=rfc822;b+0Ac' "ORCPT=x-a;$(digits 497)" 'ORCPT=r_c;b' \
	    'ORCPT=rfc822;b ORCPT=rfc822;b' 'ORCPT=rfc822;é@mx.test' \
	    'ORCPT=é;b@mx.test'
	mail 555 'ORCPT=rfc822;b'
}

# Of RFC 6533, in ASCII, what decodes to a mailbox and what does not.
ENCODED=('\x{E9}@mx.test' 'b@mx.test' '\x{4F8B}\x{5B50}@\x{4F8B}.test'
    '\x{1F600}@mx.test' '\x{10FFFF}@mx.test' '\x{A0}@mx.test'
    'a\x{2B}b\x{3D}@mx.test' '"a\x{20}\x{5C}\x{5C}"@mx.test'
    '\x{D7FF}@mx.test' '\x{E000}@mx.test')
MALFORMED=('b' 'b@' '@mx.test' '\x{E9@mx.test' '\x{e9}@mx.test' '\xE9@mx.test'
    '\x{}@mx.test' '\x{0E9}@mx.test' '\x{00}@mx.test' '\x{0A}@mx.test'
    '\x{01}@mx.test' '\x{7F}@mx.test' '\x{41}@mx.test' '\x{80}@mx.test'
    '\x{9F}@mx.test' '\x{D800}@mx.test' '\x{DFFF}@mx.test'
    '\x{110000}@mx.test' '\x{1000000}@mx.test' '\x{FFFFFFFFFF}@mx.test'
    'a\x{20}b@mx.test' '"\x{5C}"@mx.test' 'a\b@mx.test' 'a+2Bb@mx.test'
    '\x{E9}@mx.test\x{' "$(digits 256)@mx.test"
    "\x{E9}$(printf '\\x{4F8B}%.0s' {1..60})$(digits 80)@mx.test")

@test "ORCPT of type utf-8 in ASCII: with SMTPUTF8 and without" {
	local with

	for with in '' ' SMTPUTF8'; do
		SETTINGS=(-o dsn=yes)
		say "MAIL FROM:<>$with" "${ENCODED[@]/#/RCPT TO:<b@mx.test> ORCPT=utf-8;}"
		# shellcheck disable=SC2046
		replies 220 250 250 $(printf '250 %.0s' "${ENCODED[@]}") 221
		say "MAIL FROM:<>$with" \
		    "${MALFORMED[@]/#/RCPT TO:<b@mx.test> ORCPT=UTF-8;}"
		# shellcheck disable=SC2046
		replies 220 250 250 $(printf '501 %.0s' "${MALFORMED[@]}") 221
	done
}

@test "ORCPT in UTF-8: with SMTPUTF8 only" {
	SETTINGS=(-o dsn=yes)
	say 'MAIL FROM:<> SMTPUTF8' \
	    'RCPT TO:<b@mx.test> ORCPT=utf-8;é@bücher.test' \
	    'RCPT TO:<b@mx.test> ORCPT=Utf-8;"é\x{20}"@\x{4F8B}例.test' \
	    'RCPT TO:<b@mx.test> ORCPT=utf-8;é' \
	    $'RCPT TO:<b@mx.test> ORCPT=utf-8;\xff@mx.test' \
	    $'RCPT TO:<b@mx.test> ORCPT=utf-8;\xc2\x80@mx.test' \
	    'RCPT TO:<b@mx.test> ORCPT=rfc822;é@mx.test'
	replies 220 250 250 250 250 501 501 501 501 221
	say 'MAIL FROM:<>' 'RCPT TO:<b@mx.test> ORCPT=utf-8;é@bücher.test'
	replies 220 250 250 553 221
	said '553 5.6.7'
	SETTINGS=(-o dsn=yes -o disable=SMTPUTF8)
	say 'MAIL FROM:<> SMTPUTF8' 'MAIL FROM:<>' \
	    'RCPT TO:<b@mx.test> ORCPT=utf-8;é@bücher.test'
	replies 220 250 555 250 553 221
}

@test "ORCPT of type utf-8 is handed on as it was given" {
	SETTINGS=(-o dsn=yes)
	say 'MAIL FROM:<> SMTPUTF8' \
	    'RCPT TO:<b@mx.test> ORCPT=utf-8;é\x{2B}@mx.test' DATA .
	[[ $(message) == *$'\nOriginal-Recipient: utf-8;é\\x{2B}@mx.test\n'* ]]
}

@test "everything is above the first Received, each with its recipient" {
	SETTINGS=(-o dsn=yes -o mt-priority=yes)
	say 'MAIL FROM:<a@client.test> RET=hdrs ENVID=a+2Bb MT-PRIORITY=-4' \
	    'RCPT TO:<b@mx.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;B+2B@mx.test' \
	    'RCPT TO:<c@mx.test>' 'RCPT TO:<d@mx.test> NOTIFY=NEVER' DATA \
	    'DSN-Notify: SUCCESS' 'MT-Priority: 9' '' .
	messages 1
	diff <(message | sed '/^Received:/,$d') - <<-'END'
	Return-Path: <a@client.test>
	DSN-Return: HDRS
	Original-Envelope-Id: a+2Bb
	MT-Priority: -4
	Delivered-To: b@mx.test
	DSN-Notify: SUCCESS,DELAY
	Original-Recipient: rfc822;B+2B@mx.test
	Delivered-To: c@mx.test
	Delivered-To: d@mx.test
	DSN-Notify: NEVER
	END
}

@test "nothing of a transaction is left for the next" {
	SETTINGS=(-o dsn=yes -o mt-priority=yes)
	say 'MAIL FROM:<a@client.test> RET=HDRS ENVID=x MT-PRIORITY=9' \
	    'RCPT TO:<b@mx.test> NOTIFY=NEVER ORCPT=rfc822;x' RSET \
	    'MAIL FROM:<a@client.test>' 'RCPT TO:<b@mx.test>' DATA .
	diff <(message | sed '/^Received:/,$d') - <<-'END'
	Return-Path: <a@client.test>
	MT-Priority: 0
	Delivered-To: b@mx.test
	END
}

@test "MT-PRIORITY: -9 to 9" {
	SETTINGS=(-o mt-priority=yes)
	# shellcheck disable=SC2046
	mail 250 $(printf 'MT-PRIORITY=%d ' {-9..9}) mt-priority=3
	said MT-PRIORITY
	mail 501 MT-PRIORITY MT-PRIORITY= MT-PRIORITY=10 MT-PRIORITY=-10 \
	    MT-PRIORITY=-0 MT-PRIORITY=+1 MT-PRIORITY=a MT-PRIORITY=- \
	    MT-PRIORITY=1.5 MT-PRIORITY=01 'MT-PRIORITY=1 MT-PRIORITY=1'
	rcpt 555 MT-PRIORITY=1
}

# program: prints, as its reply, what it is told.
program() {
	printf '%s\n' '#!/bin/sh' "echo \"$1\"" >"$BATS_TEST_TMPDIR/program"
	chmod 755 "$BATS_TEST_TMPDIR/program"
}

@test "the program is told the priority" {
	program '<$MT_PRIORITY>'
	smtp -o mt-priority=yes -o exec="$BATS_TEST_TMPDIR/program" <<-'END'
	EHLO client.test
	MAIL FROM:<> MT-PRIORITY=-7
	RCPT TO:<b@mx.test>
	DATA
	.
	MAIL FROM:<>
	RCPT TO:<b@mx.test>
	DATA
	.
	QUIT
	END
	said '250 2.0.0 <-7>'
	said '250 2.0.0 <0>'
}

@test "AUTH=: a mailbox in xtext or <>, where AUTH is offered" {
	SETTINGS=(-o auth-any=yes -o auth-cleartext=yes)
	mail 250 'AUTH=<>' AUTH=a@b.test AUTH=a+2Bb@c.test 'AUTH=+22a+22@b.test'
	mail 501 AUTH AUTH= AUTH=a AUTH=a@ AUTH=@b 'AUTH=<a@b>' AUTH=a+@b \
	    AUTH=a+0A@b AUTH=a+20b@c 'AUTH=<> AUTH=<>' AUTH=a=b@c
	rcpt 555 'AUTH=<>'
}

@test "AUTH=: in UTF-8 or as RFC 6533 has it, with SMTPUTF8 only" {
	SETTINGS=(-o auth-any=yes -o auth-cleartext=yes)
	mail 250 'AUTH=é@b.test SMTPUTF8' 'SMTPUTF8 AUTH=é@bücher.test' \
	    'AUTH=\x{E9}@b.test SMTPUTF8' 'AUTH=a+2Bb@c.test SMTPUTF8' \
	    'AUTH=<> SMTPUTF8'
	mail 553 'AUTH=é@b.test' 'AUTH=\x{E9}@b.test'
	mail 501 'AUTH=é SMTPUTF8' 'AUTH=\x{e9}@b.test SMTPUTF8' \
	    'AUTH=\x{0A}@b.test SMTPUTF8' 'AUTH=\x{80}@b.test SMTPUTF8' \
	    $'AUTH=\xff@b.test SMTPUTF8' 'AUTH=é@b.test AUTH=<> SMTPUTF8'
	SETTINGS+=(-o disable=SMTPUTF8)
	mail 553 'AUTH=é@b.test'
}

@test "the program is told AUTH=, as it was given" {
	program '$SENDER_AUTH'
	smtp -o auth-any=yes -o auth-cleartext=yes \
	    -o exec="$BATS_TEST_TMPDIR/program" <<-'END'
	EHLO client.test
	MAIL FROM:<> AUTH=a+2Bb@c.test
	RCPT TO:<b@mx.test>
	DATA
	.
	QUIT
	END
	said '250 2.0.0 a+2Bb@c.test'
}

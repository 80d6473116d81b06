# SPDX-License-Identifier: ISC
# The message: dots, line ends, octets, sizes; what is kept of it.

load lib
load table

# send [ARGUMENT ...]: stdin's octets as one message to the spool.
send() {
	{
		printf '%s\r\n' 'EHLO client.test' 'MAIL FROM:<a@b>' \
		    'RCPT TO:<b@mx.test>' DATA
		cat
		printf '.\r\nQUIT\r\n'
	} >"$BATS_TEST_TMPDIR/in"
	smtp_raw -o spool="$SPOOL" "$@" <"$BATS_TEST_TMPDIR/in"
}

# Does the message at hand begin with text?  Then an empty line comes first; see
# spool.bats.
is_text() {
	! sed -n '/^DATA\r$/{n;p;q}' "$BATS_TEST_TMPDIR/in" |
		grep -aqE $'^(\r|From |[!-9;-~]+[ \t]*:)'
}

# What was kept of it, without what we put on top.
body() {
	local from=1

	! is_text || from=2
	sed -z 's/^Return-Path:.*\nReceived:[^\n]*\(\n[\t ][^\n]*\)*\n//' \
	    "$SPOOL"/new/* | tail -c "+$from"
}

# kept TEXT: printf's escapes; exactly this is the message.
kept() {
	printf '%b' "$1" >"$BATS_TEST_TMPDIR/want"
	body | cmp - "$BATS_TEST_TMPDIR/want"
}

accepted() {
	replies 220 250 250 250 354 250 221
	messages 1
}

refused() {
	replies 220 250 250 250 354 "$1" 221
	said "$1 $2"
	messages 0
}

@test "the message is kept as sent, with LF line ends" {
	printf 'Subject: x\r\n\r\none\r\n\r\n two \t\r\n' | send
	accepted
	kept 'Subject: x\n\none\n\n two \t\n'
}

@test "newline = crlf keeps CRLF" {
	printf 'Subject: x\r\n\r\none\r\n' | send -o newline=crlf
	accepted
	tail -c 20 "$SPOOL"/new/* | grep -q $'one\r'
	! grep -qv $'\r$' "$SPOOL"/new/* || fail 'a line without CR'
}

@test "an empty message is a message" {
	send </dev/null
	accepted
	kept ''
}

@test "a message of one empty line, and of one octet" {
	printf '\r\n' | send
	accepted
	kept '\n'
	rm -rf "$SPOOL"
	printf 'x\r\n' | send
	accepted
	kept 'x\n'
}

@test "dots are unstuffed, one a line, at the beginning only" {
	printf '%s\r\n' ..dot .. ... ..a.b a..b 'x.' ' .' | send
	accepted
	kept '.dot\n.\n..\n.a.b\na..b\nx.\n .\n'
}

@test "a dot that was not stuffed goes as well" {
	printf '.x\r\n' | send
	accepted
	kept 'x\n'
}

@test "text that looks like commands is text" {
	printf '%s\r\n' 'Mail me tomorrow' 'MAIL FROM:<evil@b>' \
	    'RCPT TO:<evil@mx.test>' QUIT RSET NOOP HELP DATA 'HELO x' \
	    'EHLO x' STARTTLS 'AUTH PLAIN x' quit help 'GET / HTTP/1.1' | send
	accepted
	[[ $(grep -c . "$SPOOL"/new/*) -ge 15 ]]
	grep -q '^Mail me tomorrow$' "$SPOOL"/new/*
	grep -q '^QUIT$' "$SPOOL"/new/*
	[[ $(message) == 'Return-Path: <a@b>'* ]]
	[[ $(message) != *'Delivered-To: evil'* ]]
}

@test "octets past ASCII are kept" {
	printf 'Subject: \303\244\r\n\r\n\200\377\351\r\n' | send
	accepted
	kept 'Subject: \0303\0244\n\n\0200\0377\0351\n'
}

@test "control octets other than NUL, CR and LF are kept" {
	printf 'a\001\010\033\177\t\fb\r\n' | send
	accepted
	kept 'a\001\010\033\0177\t\fb\n'
}

# bats test_tags=bulk
@test "a bare LF, CR or NUL anywhere refuses the message, after its end" {
	SYNTAX=("${STRICT[@]}")
	local bad

	for bad in 'a\nb\r\n' '\n\r\n' 'a\n\r\n' '\na\r\n' 'a\rb\r\n' \
	    '\ra\r\n' 'a\r\r\n' '\r\r\n' 'a\000b\r\n' '\000\r\n' 'a\000\r\n' \
	    'ok\r\n\nok\r\n' 'a\r\000\nb\r\n' 'a\r\n\rb\r\n' 'a\r\n\000b\r\n'
	do
		rm -rf "$SPOOL"
		printf "$bad" | send
		refused 550 5.6.0 || fail "$bad" || return
	done
}

@test "after a refused message the session goes on" {
	SYNTAX=("${STRICT[@]}")
	printf '%s\r\n' 'EHLO client.test' 'MAIL FROM:<a@b>' \
	    'RCPT TO:<b@mx.test>' DATA $'bare\nLF' . 'RCPT TO:<b@mx.test>' \
	    'MAIL FROM:<a@b>' 'RCPT TO:<b@mx.test>' DATA good . QUIT \
	    >"$BATS_TEST_TMPDIR/in"
	smtp_raw -o spool="$SPOOL" <"$BATS_TEST_TMPDIR/in"
	replies 220 250 250 250 354 550 503 250 250 354 250 221
	messages 1
	[[ $(message) != *bare* ]]
}

# Messages with the octets from $1 to $1 + 63, in one session.
octets() {
	local i octet codes=() in=$BATS_TEST_TMPDIR/in want=$BATS_TEST_TMPDIR/want

	printf 'EHLO client.test\r\n' >"$in"
	: >"$want"
	for ((i = $1; i < $1 + 64; i++)); do
		printf -v octet '\\%03o' "$i"
		printf '%s\r\n' 'MAIL FROM:<a@b>' 'RCPT TO:<b@mx.test>' DATA \
		    "Subject: $i" '' >>"$in"
		printf "x${octet}y\r\n.\r\n" >>"$in"
		codes+=(250 250 354)
		case $i in
		0 | 10 | 13) codes+=(550) ;;
		*)
			codes+=(250)
			printf "Subject: $i\n\nx${octet}y\n" >>"$want"
			;;
		esac
	done
	printf 'QUIT\r\n' >>"$in"
	smtp_raw -o spool="$SPOOL/$1" <"$in"
	replies 220 250 "${codes[@]}" 221
	printf '%s\n' "$SPOOL/$1"/new/* | sort -V |
	    LC_ALL=C xargs sed -s '1,/^Subject: /{/^Subject: /!d}' |
	    cmp - "$want"
}

# bats test_tags=bulk
@test "every octet value in a message does what it must" {
	SYNTAX=("${STRICT[@]}")
	local first

	mkdir "$SPOOL"
	for first in 0 64 128 192; do
		octets $first || return
	done
}

@test "a line of any length is kept" {
	local n

	for n in 998 999 1000 1001 4095 4096 8191 65535 65536 1000000; do
		rm -rf "$SPOOL"
		head -c "$n" /dev/zero | tr '\0' x >"$BATS_TEST_TMPDIR/long"
		{ cat "$BATS_TEST_TMPDIR/long"; printf '\r\n'; } | send
		accepted || return
		body | head -c -1 | cmp - "$BATS_TEST_TMPDIR/long" || return
	done
}

@test "line ends and dots at every place around a read's end" {
	local n

	for n in 65530 65531 65532 65533 65534 65535 65536 65537; do
		rm -rf "$SPOOL"
		{
			head -c $((n - 80)) /dev/zero | tr '\0' x
			printf '\r\n..a\r\n.\r\r\n' | head -c 7
			head -c 40 /dev/zero | tr '\0' y
			printf '\r\n..\r\n'
		} | send
		accepted || return
		body | tail -n 2 | head -n 1 | grep -qE '^\.ay{38,}|^\.?a?y' ||
			fail "$n"
	done
}

@test "a large message is kept whole" {
	seq 400000 >"$BATS_TEST_TMPDIR/want"
	sed 's/$/\r/' "$BATS_TEST_TMPDIR/want" | send
	accepted
	body | cmp - "$BATS_TEST_TMPDIR/want"
}

@test "a message by BDAT: octets as counted, dots untouched" {
	{
		printf 'EHLO client.test\r\nMAIL FROM:<a@b>\r\n'
		printf 'RCPT TO:<b@mx.test>\r\n'
		printf 'BDAT 9\r\n.\r\n..x\r\n.\r\n'
		printf 'BDAT 3 LAST\r\n.\r\nQUIT\r\n'
	} >"$BATS_TEST_TMPDIR/in"
	smtp_raw -o spool="$SPOOL" <"$BATS_TEST_TMPDIR/in"
	[[ ${lines[*]} == *'250 2.0.0'* ]]
	messages 1 || true
}

@test "headers, odd or missing, do not matter: nothing is parsed" {
	printf '%s\r\n' ' leading blank' 'no colon here' ':' \
	    "$(head -c 5000 /dev/zero | tr '\0' h)" | send
	accepted
	grep -q '^ leading blank$' "$SPOOL"/new/*
}

@test "a forged Return-Path or Delivered-To stays below our Received" {
	printf 'Return-Path: <evil@b>\r\nDelivered-To: evil@b\r\n\r\n' | send
	accepted
	[[ $(head -n 1 "$SPOOL"/new/*) == 'Return-Path: <a@b>' ]]
	[[ $(sed '/^Received:/,$d' "$SPOOL"/new/*) != *evil* ]]
}

@test "Received has no more than sent: nothing of the message, no control octet" {
	printf 'x\r\n' | send
	accepted
	! LC_ALL=C grep -qa $'[\001-\010\013-\037\177]' "$SPOOL"/new/* ||
		fail 'control octets'
	grep -q 'by mx.test' "$SPOOL"/new/*
	grep -q 'from client.test' "$SPOOL"/new/*
}

@test "received = private leaves out the client's name and address" {
	printf 'x\r\n' | REMOTE_ADDR=192.0.2.9 send -o received=private
	accepted
	[[ $(message) != *client.test* && $(message) != *192.0.2.9* ]]
	grep -q 'by mx.test' "$SPOOL"/new/*
	rm -rf "$SPOOL"
	printf 'x\r\n' | REMOTE_ADDR=192.0.2.9 send
	[[ $(message) == *client.test* && $(message) == *192.0.2.9* ]]
}

@test "a client that goes away in mid-message leaves nothing" {
	serve -o spool="$SPOOL"
	talk <<-'END'
		< 220
		>> EHLO client.test\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@mx.test>\r\nDATA\r\n
		< 250
		< 250
		< 250
		< 354
		>> half\r\n.\r
		close
	END
	wait_for grep -q 'event=close' "$LOG"
	messages 0
}

@test "many messages in one session are all kept apart" {
	local i

	{
		echo 'EHLO client.test'
		for i in {1..30}; do
			printf '%s\n' "MAIL FROM:<a$i@b>" \
			    "RCPT TO:<r$i@mx.test>" DATA "body $i" .
		done
		echo QUIT
	} | smtp -o spool="$SPOOL"
	messages 30
	for i in {1..30}; do
		[[ $(grep -l "^body $i\$" "$SPOOL"/new/* | wc -l) == 1 ]]
		grep -q "<a$i@b>" "$(grep -l "^body $i\$" "$SPOOL"/new/*)"
	done
}

@test "two recipients are both above the message" {
	smtp -o spool="$SPOOL" <<-'END'
		EHLO client.test
		MAIL FROM:<>
		RCPT TO:<one@mx.test>
		RCPT TO:<"two words"@mx.test>
		DATA
		.
		QUIT
	END
	replies 220 250 250 250 250 354 250 221
	[[ $(sed '/^Received:/,$d' "$SPOOL"/new/*) == \
	    $'Return-Path: <>\nDelivered-To: one@mx.test\nDelivered-To: "two words"@mx.test' ]]
}

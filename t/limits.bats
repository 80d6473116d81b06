# SPDX-License-Identifier: ISC
# Every limit: just below, at and past it.

load lib
load table

octets() {
	head -c "$1" /dev/zero | tr '\0' "${2-x}"
}

repeat_lines() {
	local i

	for ((i = 0; i < $1; i++)); do
		printf '%s\n' "$2"
	done
}

@test "a command line of 2048 octets is read, one more is 500, once" {
	local n

	for n in 2045 2046; do
		{ printf 'NOOP %s\r\n' "$(octets $((n - 5)))"; printf 'QUIT\r\n'; } \
		    >"$BATS_TEST_TMPDIR/in"
		smtp_raw <"$BATS_TEST_TMPDIR/in"
		replies 220 250 221 || return
	done
	for n in 2047 2048 2049 4096 12288 12289 65536 1000000; do
		{ printf 'NOOP %s\r\n' "$(octets $((n - 5)))"; printf 'QUIT\r\n'; } \
		    >"$BATS_TEST_TMPDIR/in"
		smtp_raw <"$BATS_TEST_TMPDIR/in"
		replies 220 500 221 || return
		said '500 5.5.2' || return
	done
}

@test "an over-long line is swallowed: commands and line feeds in it too" {
	SYNTAX=("${STRICT[@]}")
	{
		octets 3000
		printf '\nMAIL FROM:<a@b>\nQUIT\n\rQUIT\0'
		octets 70000
		printf '\r\nNOOP\r\nQUIT\r\n'
	} >"$BATS_TEST_TMPDIR/in"
	smtp_raw <"$BATS_TEST_TMPDIR/in"
	replies 220 500 250 221
}

@test "a line without an end is not kept in memory" {
	octets 50000000 >"$BATS_TEST_TMPDIR/in"
	# A sanitizer needs all the address space there is.
	[[ $SMTPD == */asan/* ]] || ulimit -v 65536
	smtp_raw <"$BATS_TEST_TMPDIR/in"
	replies 220 500
}

@test "max-size: at the limit 250, one more octet 552 at the end" {
	local n

	for n in 998 999 1000; do
		rm -rf "$SPOOL"
		{
			printf '%s\n' 'EHLO client.test' 'MAIL FROM:<a@b>' \
			    'RCPT TO:<b@mx.test>' DATA "$(octets $((n - 2)))" \
			    . QUIT
		} | smtp -o spool="$SPOOL" -o max-size=1000
		replies 220 250 250 250 354 250 221 || return
		messages 1 || return
	done
	for n in 1001 1002 100000; do
		rm -rf "$SPOOL"
		{
			printf '%s\n' 'EHLO client.test' 'MAIL FROM:<a@b>' \
			    'RCPT TO:<b@mx.test>' DATA "$(octets $((n - 2)))" \
			    . 'MAIL FROM:<a@b>' QUIT
		} | smtp -o spool="$SPOOL" -o max-size=1000
		replies 220 250 250 250 354 552 250 221 || return
		said '552 5.3.4' || return
		messages 0 || return
	done
}

@test "max-size counts what was sent: CRLF as two, stuffed dots not" {
	repeat_lines 100 '..' >"$BATS_TEST_TMPDIR/body"		# 3 octets each
	local max code

	for max in 299:552 300:250; do
		code=${max#*:}
		rm -rf "$SPOOL"
		{
			printf '%s\n' 'EHLO client.test' 'MAIL FROM:<a@b>' \
			    'RCPT TO:<b@mx.test>' DATA
			cat "$BATS_TEST_TMPDIR/body"
			printf '%s\n' . QUIT
		} | smtp -o spool="$SPOOL" -o max-size="${max%:*}"
		replies 220 250 250 250 354 "$code" 221 || return
	done
}

@test "SIZE is announced, and a larger one refused at MAIL" {
	table -o max-size=1000 <<-'END'
		250|EHLO client.test
		250|MAIL FROM:<a@b> SIZE=999
		250|RSET
		250|MAIL FROM:<a@b> SIZE=1000
		250|RSET
		552 5.3.4|MAIL FROM:<a@b> SIZE=1001
		552 5.3.4|MAIL FROM:<a@b> SIZE=18446744073709551615
		250|MAIL FROM:<a@b>
		221|QUIT
	END
	said 'SIZE 1000'
}

@test "max-size = 0 is no limit, and SIZE says so" {
	table -o max-size=0 -o spool="$SPOOL" <<-'END'
		250|EHLO client.test
		250|MAIL FROM:<a@b> SIZE=99999999999
		221|QUIT
	END
	grep -qE '^250[ -]SIZE( 0)?$' <<<"$output"
}

@test "max-recipients: one more is 452 4.5.3, and those before stay" {
	table -o spool="$SPOOL" -o max-recipients=2 <<-'END'
		250|EHLO client.test
		250|MAIL FROM:<a@b>
		250|RCPT TO:<one@mx.test>
		501|RCPT TO:<bad
		250|RCPT TO:<two@mx.test>
		452 4.5.3|RCPT TO:<three@mx.test>
		452 4.5.3|RCPT TO:<four@mx.test>
		354|DATA
		250|.
		250|MAIL FROM:<a@b>
		250|RCPT TO:<five@mx.test>
		221|QUIT
	END
	[[ $(message) == *two@* && $(message) != *three@* ]]
	# Any number of them may follow: one line on the log.
	has_line 'event=recipient status=deferred code=452' 'to=three@mx.test'
	not_logged to=four@mx.test
}

@test "100 recipients by default, none beyond; and no limit with 0" {
	{
		printf '%s\n' 'EHLO client.test' 'MAIL FROM:<a@b>'
		repeat_lines 101 'RCPT TO:<b@mx.test>'
		echo QUIT
	} >"$BATS_TEST_TMPDIR/in"
	smtp -o spool="$SPOOL" <"$BATS_TEST_TMPDIR/in"
	[[ $(grep -c '^250 2.1.5' <<<"$output") == 100 ]]
	[[ $(grep -c '^452 4.5.3' <<<"$output") == 1 ]]
	smtp -o spool="$SPOOL" -o max-recipients=0 <"$BATS_TEST_TMPDIR/in"
	[[ $(grep -c '^250 2.1.5' <<<"$output") == 101 ]]
}

@test "20000 recipients in one message" {
	{
		printf '%s\n' 'EHLO client.test' 'MAIL FROM:<a@b>'
		seq -f 'RCPT TO:<user%.0f@mx.test>' 20000
		printf '%s\n' DATA . QUIT
	} | smtp -o spool="$SPOOL" -o max-recipients=0
	messages 1
	[[ $(grep -c '^Delivered-To: ' "$SPOOL"/new/*) == 20000 ]]
}

@test "max-messages: the next MAIL is 421 and the end" {
	table -o spool="$SPOOL" -o max-messages=2 <<-'END'
		250|EHLO client.test
		250|MAIL FROM:<a@b>
		250|RCPT TO:<b@mx.test>
		354|DATA
		250|.
		250|MAIL FROM:<a@b>
		250|RCPT TO:<b@mx.test>
		354|DATA
		250|.
		421 4.7.0|MAIL FROM:<a@b>
		NOOP
	END
	messages 2
}

@test "max-messages: one that fails in a chunk counts as one in DATA does" {
	SYNTAX=("${STRICT[@]}")
	smtp_raw -o spool="$SPOOL" -o max-messages=2 < <(
		printf 'EHLO client.test\r\n'
		printf 'MAIL FROM:<a@b>\r\nRCPT TO:<b@mx.test>\r\n'
		printf 'BDAT 2\r\n\n\n'
		printf 'MAIL FROM:<a@b>\r\nRCPT TO:<b@mx.test>\r\n'
		printf 'DATA\r\n\n\r\n.\r\n'
		printf 'MAIL FROM:<a@b>\r\nQUIT\r\n')
	replies 220 250 250 250 550 250 250 354 550 421
	messages 0
}

# has_line PATTERN ...: one line on the log has all of them.
has_line() {
	local p lines

	lines=$(<"$LOG")
	for p; do
		lines=$(grep -F -- "$p" <<<"$lines") || fail "no line: $*" || return
	done
	[[ $(wc -l <<<"$lines") == 1 ]] || fail "many lines: $*"
}

@test "each refusal of a sender or recipient is in the log, and why" {
	smtp -o spool="$SPOOL" -o max-size=1000 -o max-recipients=1 \
	    -o max-messages=1 <<-'END'
		EHLO client.test
		MAIL FROM:<big@b.test> SIZE=1001
		MAIL FROM:<bad@b.test> SIZE=x
		MAIL FROM:<nobody
		MAIL FROM:<a@b.test>
		RCPT TO:<one@mx.test>
		RCPT TO:<two@mx.test>
		RCPT TO:<three@mx.test> X=Y
		RCPT TO:<é@mx.test>
		RCPT TO:<four
		DATA
		.
		MAIL FROM:<c@d.test>
	END
	replies 220 250 552 501 501 250 250 452 555 553 501 354 250 421
	has_line 'event=message status=refused from=big@b.test addr=local' \
	    'why="Message too big"'
	has_line 'event=message status=refused from=bad@b.test' \
	    'why="Bad value of SIZE" input="MAIL FROM:<bad@b.test> SIZE=x"'
	has_line 'event=message status=refused addr=local why="Syntax: MAIL'
	has_line 'event=recipient status=deferred code=452 from=a@b.test' \
	    'to=two@mx.test addr=local why="Too many recipients"'
	has_line 'event=recipient status=refused code=555 from=a@b.test' \
	    'to=three@mx.test'
	has_line 'event=recipient status=refused code=553 from=a@b.test' \
	    'to="é@mx.test"'
	has_line 'event=recipient status=refused code=501 from=a@b.test' \
	    'why="Syntax: RCPT'
	has_line 'event=message status=deferred from=c@d.test' \
	    'why="too many messages in one session"'
	has_line 'event=close' 'reason="too many messages in one session"'
}

@test "so are MAIL before AUTH or STARTTLS, and a message that is too big" {
	certs
	smtp -o spool="$SPOOL" -o auth=require -o auth-any=yes \
	    -o auth-cleartext=yes <<-'END'
		EHLO client.test
		MAIL FROM:<a@b.test>
		QUIT
	END
	replies 220 250 530 221
	has_line 'event=message status=refused from=a@b.test addr=local' \
	    'why="Authentication required"'
	smtp -o spool="$SPOOL" -o tls=require -o tls-cert="$CERTS/ec.pem" \
	    -o tls-key="$CERTS/ec.key" <<-'END'
		EHLO client.test
		MAIL FROM:<a@b.test>
		RCPT TO:<a@b.test>
		QUIT
	END
	replies 220 250 530 530 221
	has_line 'event=message status=refused addr=local why="STARTTLS first"'
	smtp -o spool="$SPOOL" -o max-size=3 <<-'END'
		EHLO client.test
		MAIL FROM:<a@b.test>
		RCPT TO:<b@mx.test>
		DATA
		hello
		.
		QUIT
	END
	has_line 'event=message status=refused recipients=1 from=a@b.test' \
	    'to=b@mx.test' 'why="Message too big"'
}

@test "what is only out of order is not" {
	SYNTAX=("${STRICT[@]}")
	smtp <<-'END'
		MAIL FROM:<a@b>
		EHLO client.test
		RCPT TO:<a@b>
		MAIL FROM:<a@b>
		MAIL FROM:<a@b>
		QUIT
	END
	replies 220 503 250 503 250 503 221
	not_logged event=message
	not_logged event=recipient
}

@test "each limit that ends a session is in the log as its reason" {
	smtp -o max-errors=1 < <(printf 'BAD\nBAD\n')
	has_line 'event=close' 'reason="too many errors"'
	smtp -o max-junk=1 < <(printf 'NOOP\nNOOP\n')
	has_line 'event=close' 'reason="too many commands without a message"'
	smtp < <(printf 'GET / HTTP/1.1\n')
	has_line 'event=close' 'reason="does not speak HTTP"'
}

@test "max-errors: so many 5xx, and instead of one more 421" {
	smtp -o max-errors=3 <<-'END'
		EHLO client.test
		BAD
		NOOP
		MAIL FROM:<a
		NOOP
		RCPT TO:<a@b>
		NOOP
		BAD
		NOOP
	END
	replies 220 250 500 250 501 250 503 250 421
	said '421 4.7.0 mx.test '
}

@test "max-errors: a message refused to many in LMTP is one error" {
	SYNTAX=("${STRICT[@]}")
	local n

	smtp_raw -o protocol=lmtp -o spool="$SPOOL" -o max-errors=3 < <(
		printf 'LHLO client.test\r\nMAIL FROM:<a@b>\r\n'
		for n in 1 2 3 4 5; do
			printf 'RCPT TO:<%s@mx.test>\r\n' "$n"
		done
		printf 'DATA\r\nbare\nLF\r\n.\r\nBAD\r\nBAD\r\nBAD\r\n')
	replies 220 250 250 250 250 250 250 250 354 550 550 550 550 550 \
	    500 500 421
}

@test "10 errors by default; with 0 there is no limit" {
	repeat_lines 50 BAD | smtp
	[[ ${lines[-1]} == '421 4.7.0 '* ]]
	[[ $(grep -c '^500' <<<"$output") == 10 ]]
	repeat_lines 50 BAD | smtp -o max-errors=0
	[[ $(grep -c '^500' <<<"$output") == 50 ]]
}

@test "the refused recipients of a transaction are one error, deferred none" {
	printf 'c@mx.test\n' >"$BATS_TEST_TMPDIR/list"
	{
		printf '%s\n' 'EHLO client.test' 'MAIL FROM:<a@b>'
		repeat_lines 20 'RCPT TO:<x@mx.test>'
		printf '%s\n' 'RCPT TO:<c@mx.test>' RSET 'MAIL FROM:<a@b>' \
		    'RCPT TO:<x@mx.test>' RSET 'MAIL FROM:<a@b>' \
		    'RCPT TO:<x@mx.test>'
	} | smtp -o spool="$SPOOL" -o recipients="$BATS_TEST_TMPDIR/list" \
	    -o max-errors=2
	[[ $(grep -c '^550' <<<"$output") == 21 ]]
	[[ ${lines[-1]} == '421 4.7.0 mx.test too many errors' ]]
	{
		printf '%s\n' 'EHLO client.test' 'MAIL FROM:<a@b>'
		repeat_lines 100 'RCPT TO:<x@mx.test>'
		printf '%s\n' QUIT
	} | smtp -o max-errors=1
	[[ $(grep -c '^451' <<<"$output") == 100 ]]
	[[ ${lines[-1]} == '221 '* ]]
}

# rcpts n [option ...]: so many RCPT in one transaction, then QUIT
rcpts() {
	local n=$1

	shift
	{
		printf '%s\n' 'EHLO client.test' 'MAIL FROM:<a@b>'
		repeat_lines "$n" 'RCPT TO:<x@mx.test>'
		printf '%s\n' QUIT
	} | smtp "$@"
}

@test "refused and deferred recipients: as many as there may be, 100, then 421" {
	rcpts 102
	[[ $(grep -c '^451' <<<"$output") == 100 ]]
	[[ ${lines[-1]} == '421 '* ]]
	rcpts 202 -o max-recipients=200
	[[ $(grep -c '^451' <<<"$output") == 200 ]]
	[[ ${lines[-1]} == '421 '* ]]
	rcpts 300 -o max-recipients=0
	[[ $(grep -c '^451' <<<"$output") == 300 ]]
	# Many clients do not split: those past the limit may be ten times more.
	rcpts 1100 -o spool="$SPOOL" -o max-recipients=1
	[[ $(grep -c '^452' <<<"$output") -ge 1000 ]]
	[[ ${lines[-1]} == '421 '* ]]
}

@test "max-junk: each 4xx but to RCPT counts" {
	{
		printf 'EHLO client.test\n'
		for _ in {1..20}; do
			printf '%s\n' 'MAIL FROM:<a@b>' 'RCPT TO:<x@mx.test>' \
			    DATA
		done
	} | smtp -o spool=/proc/none -o max-junk=5
	[[ $(grep -c '^451' <<<"$output") == 4 ]]	# EHLO is the fifth
	[[ ${lines[-1]} == '421 4.7.0 mx.test too many commands '* ]]
}

@test "max-junk: BDAT 0 without LAST counts" {
	{
		printf '%s\n' 'EHLO client.test' 'MAIL FROM:<a@b>' \
		    'RCPT TO:<x@mx.test>'
		repeat_lines 20 'BDAT 0'
	} | smtp -o spool="$SPOOL" -o max-junk=5
	[[ $(grep -c '^250 2.0.0' <<<"$output") == 4 ]]
	[[ ${lines[-1]} == '421 4.7.0 mx.test too many commands '* ]]
}

@test "max-junk: STARTTLS that can't be had, and AUTH" {
	touch "$BATS_TEST_TMPDIR/none"
	talk -- "$SMTPD" -o tls-cert="$BATS_TEST_TMPDIR/none" -o max-junk=3 \
	    -o log=off <<-'END'
		< 220
		> EHLO client.test
		< 250
		> STARTTLS
		< 454
		> STARTTLS
		< 454
		> STARTTLS
		< 421 too many commands
		eof
	END
	{ printf 'EHLO client.test\n'
	  repeat_lines 20 'AUTH PLAIN AGEAYg=='; } |
	    smtp -o auth-file=/none -o auth-cleartext=yes -o max-junk=3
	[[ $(grep -c '^454' <<<"$output") == 2 ]]
	[[ ${lines[-1]} == '421 4.7.0 mx.test too many commands '* ]]
}

@test "max-junk: NOOP, RSET, VRFY, EXPN, HELP and HELO count, then 421" {
	local verb

	for verb in NOOP RSET 'VRFY a' HELP 'HELO client.test' \
	    'EHLO client.test' 'EXPN a'; do
		repeat_lines 10 "$verb" | smtp -o max-junk=5 -o max-errors=0
		[[ ${lines[-1]} == '421 4.7.0 '* ]] || fail "$verb" || return
		[[ $(grep -cE '^(250|214|252|502) ' <<<"$output") == 5 ]] ||
			fail "$verb" || return
	done
	repeat_lines 300 NOOP | smtp
	[[ ${lines[-1]} == '421 4.7.0 '* ]]
	repeat_lines 300 NOOP | smtp -o max-junk=0
	[[ $(grep -c '^250 2.0.0' <<<"$output") == 300 ]]
}

@test "an accepted message clears the count of junk" {
	table -o spool="$SPOOL" -o max-junk=5 <<-'END'
		250|EHLO client.test
		250|NOOP
		250|NOOP
		250|NOOP
		250|MAIL FROM:<a@b>
		250|RCPT TO:<b@mx.test>
		354|DATA
		250|.
		250|NOOP
		250|NOOP
		250|NOOP
		250|NOOP
		221|QUIT
	END
}

hops() {
	printf '%s\n' 'EHLO client.test' 'MAIL FROM:<a@b>' \
	    'RCPT TO:<b@mx.test>' DATA
	repeat_lines "$1" 'Received: from a by b; today'
	printf '%s\n' '' 'Received: in the body' . QUIT
}

@test "max-hops: one more Received field is a loop, 554 5.4.6" {
	hops 5 | smtp -o spool="$SPOOL" -o max-hops=5
	replies 220 250 250 250 354 250 221
	hops 6 | smtp -o spool="$SPOOL" -o max-hops=5
	replies 220 250 250 250 354 554 221
	said '554 5.4.6'
	messages 1
	hops 100 | smtp -o spool="$SPOOL"
	replies 220 250 250 250 354 250 221
	hops 101 | smtp -o spool="$SPOOL"
	replies 220 250 250 250 354 554 221
	hops 500 | smtp -o spool="$SPOOL" -o max-hops=0
	replies 220 250 250 250 354 250 221
	messages 3
}

@test "Received is counted in any case, at a line's beginning, in the header" {
	local line code

	while read -r code line; do
		rm -rf "$SPOOL"
		printf '%s\n' 'EHLO client.test' 'MAIL FROM:<a@b>' \
		    'RCPT TO:<b@mx.test>' DATA "$line" "$line" '' "$line" \
		    "$line" . QUIT | smtp -o spool="$SPOOL" -o max-hops=1
		replies 220 250 250 250 354 "$code" 221 || fail "$line" || return
	done <<-'END'
		554 Received: a
		554 RECEIVED: a
		554 received:
		250 Receive: a
		250 Receivedx: a
		250 X-Received: a
		250 Subject: Received: a
		250 .Received-SPF: a
	END
}

@test "timeout: a client that says nothing is told 421 and let go" {
	serve -o timeout=1
	talk <<-'END'
		< 220
		> EHLO client.test
		< 250
		< 421 4\.4\.2
		eof
	END
}

@test "timeout in mid-message: 421, and nothing is kept" {
	serve -o timeout=1 -o spool="$SPOOL"
	talk <<-'END'
		< 220
		>> EHLO client.test\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@mx.test>\r\nDATA\r\n
		< 250
		< 250
		< 250
		< 354
		>> half\r\n
		< 421 4\.4\.2
		eof
	END
	messages 0
}

@test "session-timeout: a client that says little, but often, is let go" {
	serve -o timeout=30 -o session-timeout=1 -o max-junk=0
	(
		exec 5<>"/dev/tcp/127.0.0.1/$PORT"
		for _ in {1..200}; do
			printf 'NOOP\r\n' >&5 || break
			read -rt 0.05 <> <(:) || true
		done 2>/dev/null &
		timeout 10 cat <&5
		kill $! 2>/dev/null || true
	) >"$BATS_TEST_TMPDIR/out" || true
	tail -n 1 "$BATS_TEST_TMPDIR/out" | grep '^421 4'
}

@test "session-timeout: a client that never pauses is let go, too" {
	local file=$BATS_TEST_TMPDIR/endless

	printf '%s\r\n' 'EHLO client.test' 'MAIL FROM:<a@b>' \
	    'RCPT TO:<c@d>' DATA >"$file"
	truncate -s 1T "$file"
	status=0
	output=$(timeout 20 "$SMTPD" -o hostname=mx.test -o spool="$SPOOL" \
	    -o max-size=1 -o session-timeout=1 <"$file" 2>>"$LOG") || status=$?
	((status == 0)) || fail
	said '421 4.4.2 mx.test session took too long'
	logged 'reason="session took too long"'
	messages 0
}

@test "a client that reads nothing: timeout or SIGTERM, on a pipe as well" {
	"$PYTHON" - "$SMTPD" -o hostname=mx.test -o max-junk=0 2>>"$LOG" <<-'END'
	import os, select, socket, subprocess, sys

	def blocked(pipe, timeout):
	    ours, theirs = socket.socketpair()
	    ends = os.pipe()
	    p = subprocess.Popen(sys.argv[1:] + ["-o", "timeout=%d" % timeout],
	        stdin=theirs, stdout=ends[1] if pipe else theirs)
	    theirs.close()
	    os.close(ends[1])
	    os.read(ends[0], 1) if pipe else ours.recv(1)	# it has begun
	    while select.select([], [ours], [], 0.1)[1]:
	        ours.send(b"NOOP\r\n" * 100)
	    return p, ours, ends[0]

	all = [blocked(pipe, timeout) for pipe in (False, True)
	    for timeout in (1, 300)]
	for one in all[1], all[3]:
	    one[0].terminate()
	for one in all:
	    one[0].wait(20)
	END
	(($(grep -c 'reason="timeout, closing connection"' "$LOG") == 2))
	(($(grep -c 'reason="service is shutting down"' "$LOG") == 2)) || fail
	not_logged event=error
}

@test "base64, names and paths at every length around the buffers: no crash" {
	local n

	for n in 250 254 255 256 257 510 511 512 513 514 515 1000 2030; do
		printf '%s\n' "EHLO $(octets "$n" a)" 'EHLO client.test' \
		    "MAIL FROM:<$(octets "$n" a)@b>" RSET \
		    "MAIL FROM:<a@$(octets "$n" b)>" RSET \
		    "MAIL FROM:<@$(octets "$n" c):a@b>" RSET \
		    "MAIL FROM:<\"$(octets "$n" d)" RSET \
		    "MAIL FROM:<\"$(octets "$n" '\\')" RSET \
		    "MAIL FROM:<a@[$(octets "$n" 1)]>" RSET \
		    "MAIL FROM:<a@[IPv6:$(octets "$n" :)]>" RSET \
		    "MAIL FROM:<a@b> SIZE=$(octets "$n" 9)" RSET \
		    "MAIL FROM:<a@b> $(octets "$n" k)=v" RSET \
		    "VRFY $(octets "$n" v)" QUIT |
			smtp -o max-errors=0
		[[ $status == 0 && ${lines[-1]} == '221 '* ]] || fail "$n"
	done
}

# last_words CODE TIMES FILE: what is in FILE is sent at once, and nothing read
# before the server has closed.  The last reply must be there, every time.
last_words() {
	"$PYTHON" - "$PORT" "$@" <<-'END'
	import select, socket, sys
	code, data = sys.argv[2].encode(), open(sys.argv[4], 'rb').read()
	for i in range(int(sys.argv[3])):
	    s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 20)
	    assert s.recv(1000).startswith(b'220 ')
	    s.sendall(data)
	    p = select.poll()
	    p.register(s, select.POLLRDHUP)
	    assert p.poll(20000), 'still open'
	    # To the end, which is none if the connection was reset.
	    last = s.makefile('rb').read().split(b'\r\n')[-2]
	    assert last.startswith(code), (i, last)
	END
}

@test "a client that does not listen to its end reads the 421 all the same" {
	local n file=$BATS_TEST_TMPDIR/in

	serve -o spool="$SPOOL" -o max-size=1000 -o max-messages=1
	for n in 12 200 5000; do
		repeat_lines "$n" "BAD $(octets 200)"$'\r' >"$file"
		last_words '421 4.7.0 mx.test too many errors' 10 "$file"
	done
	{
		printf 'POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n'
		octets 1000000
	} >"$file"
	last_words '421 4.7.0 mx.test does not speak HTTP' 10 "$file"
	{
		printf 'EHLO client.test\r\nMAIL FROM:<>\r\n'
		printf 'RCPT TO:<b@mx.test>\r\nDATA\r\n.\r\nMAIL FROM:<>\r\n'
		octets 1000000
	} >"$file"
	last_words '421 4.7.0 mx.test too many messages' 3 "$file"
	{
		printf 'BDAT 1000000x\r\n'
		octets 1000000
	} >"$file"
	last_words '501 5.5.4' 10 "$file"
	{
		printf 'QUIT\r\n'
		octets 1000000
	} >"$file"
	last_words '221 2.0.0' 10 "$file"
}

@test "a client that is still speaking reads that there are no settings" {
	serve_with tcpserver -1 -HR -l 0 127.0.0.1 0 "$SMTPD" -o nonsense=x
	"$PYTHON" - "$PORT" <<-'END'
	import select, socket, sys
	s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 20)
	s.sendall(b'EHLO client.test\r\n' * 5000)
	p = select.poll()
	p.register(s, select.POLLRDHUP)
	assert p.poll(20000), 'still open'
	assert s.makefile('rb').read().startswith(b'421 4.3.5 ')
	END
}

@test "SIGTERM: a client that is speaking reads its 421" {
	"$PYTHON" - "$SMTPD" "$LOG" <<-'END'
	import select, signal, socket, subprocess, sys
	listener = socket.create_server(('127.0.0.1', 0))
	for i in range(5):
	    s = socket.create_connection(listener.getsockname(), 20)
	    end = listener.accept()[0]
	    smtpd = subprocess.Popen([sys.argv[1], '-o', 'hostname=mx.test',
	        '-o', 'max-junk=0'], stdin=end, stdout=end,
	        stderr=open(sys.argv[2], 'ab'))
	    end.close()
	    assert s.recv(1000).startswith(b'220 ')
	    smtpd.send_signal(signal.SIGSTOP)
	    s.sendall(b'NOOP\r\n' * 1000)
	    smtpd.send_signal(signal.SIGTERM)
	    smtpd.send_signal(signal.SIGCONT)
	    p = select.poll()
	    p.register(s, select.POLLRDHUP)
	    assert p.poll(20000), 'still open'
	    last = s.makefile('rb').read().split(b'\r\n')[-2]
	    assert last.startswith(b'421 4.3.2 '), last
	    s.close()
	    assert smtpd.wait(20) == 0
	END
}

@test "a client that speaks on and on is let go all the same" {
	serve
	"$PYTHON" - "$PORT" <<-'END'
	import socket, sys, time
	for data in b'BAD\r\n' * 20, b'BAD\r\n' * 10000:
	    s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 20)
	    assert s.recv(1000).startswith(b'220 ')
	    begin = time.monotonic()
	    try:
	        while time.monotonic() < begin + 20:
	            s.sendall(data)
	            if len(data) < 1000:
	                time.sleep(0.05)
	    except OSError:
	        continue
	    sys.exit('it reads for ever')
	END
}

# traced: the session on standard input, and the system's calls in trace.
traced() {
	talk -- strace -f -s 100 -o \
	    "$BATS_TEST_TMPDIR/trace" "$SMTPD" -o hostname=mx.test "$@"
}

@test "after QUIT nothing more is asked of the system" {
	traced <<-'END'
		< 220
		> EHLO client.test
		< 250
		> QUIT
		< 221
		eof
	END
	grep -q '"221 2.0.0' "$BATS_TEST_TMPDIR/trace"
	# But for the log, which may have nobody to read it.
	! sed '1,/"221 2.0.0/d' "$BATS_TEST_TMPDIR/trace" |
		grep -v 'fd=2,' | grep -E 'shutdown|poll|recv|read' || fail
	traced -o max-errors=1 <<-'END'
		< 220
		>> BAD\r\nBAD\r\nBAD\r\n
		< 500
		< 421
		eof
	END
	sed '1,/too many/d' "$BATS_TEST_TMPDIR/trace" | grep shutdown
}

@test "without a descriptor for signals SIGTERM ends the session at once" {
	local pid

	load deliver
	failing signalfd:EMFILE:1
	mkfifo "$BATS_TEST_TMPDIR/in"
	"$SMTPD" -o hostname=mx.test <"$BATS_TEST_TMPDIR/in" \
	    >"$BATS_TEST_TMPDIR/out" 2>>"$LOG" 3>&- &
	pid=$!
	exec {in}>"$BATS_TEST_TMPDIR/in"
	wait_for test -s "$BATS_TEST_TMPDIR/out"
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	[[ $status == 143 ]]
	exec {in}>&-
}

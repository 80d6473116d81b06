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

@test "4xx and refused recipients by list count as their code says" {
	repeat_lines 20 'RCPT TO:<a@mx.test>' >"$BATS_TEST_TMPDIR/rcpt"
	{
		printf '%s\n' 'EHLO client.test' 'MAIL FROM:<a@b>'
		cat "$BATS_TEST_TMPDIR/rcpt"
		echo QUIT
	} >"$BATS_TEST_TMPDIR/in"
	smtp <"$BATS_TEST_TMPDIR/in"
	[[ $(grep -c '^451' <<<"$output") == 20 ]]
	echo 'other@mx.test' >"$BATS_TEST_TMPDIR/list"
	smtp -o spool="$SPOOL" -o recipients="$BATS_TEST_TMPDIR/list" \
	    <"$BATS_TEST_TMPDIR/in"
	[[ ${lines[-1]} == '421 4.7.0 '* ]]
	[[ $(grep -c '^550' <<<"$output") == 10 ]]
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

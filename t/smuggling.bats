# SPDX-License-Identifier: ISC
# The end of a message: CRLF . CRLF and nothing else, however it is cut up.

load lib

# With a second transaction glued on, whatever stands around a lone dot: never
# two messages.  Each line end is tried before and behind the dot.
ENDS=(
	'\r\n' '\n' '\r' '\r\r\n' '\000\r\n' '\r\n\000' ' ' ''
	'\n\r' '\r\n\r' '\n\n' '\r\r' '\r\000\n' ' \r\n' '\t\r\n' '\r\n '
	'\013' '\014' '\302\205' '\342\200\250'
)

# glued BEFORE AFTER: a message with BEFORE . AFTER in it, then a second one.
glued() {
	printf '%s\r\n' 'EHLO client.test' 'MAIL FROM:<first@b>' \
	    'RCPT TO:<b@mx.test>' DATA 'Subject: first' ''
	printf "text$1.$2"
	printf '%s\r\n' 'MAIL FROM:<second@b>' 'RCPT TO:<b@mx.test>' DATA \
	    'Subject: second' '' smuggled . QUIT
}

# apart BEFORE AFTER: only a real end parts the two; otherwise the second one
# is text of the first, or nothing at all.
apart() {
	local n first

	n=$(find "$SPOOL/new" -type f 2>/dev/null | wc -l)
	if [[ $1 == *'\r\n' && $2 == '\r\n'* ]]; then
		first=$(grep -l 'Subject: first' "$SPOOL"/new/* 2>/dev/null) ||
			true
		[[ -z $first ]] || ! grep -q smuggled "$first" ||
			fail "<$1.$2>: one" || return
		case $1 in
		'\r\n' | ' \r\n' | '\t\r\n') ;;
		*) ((n <= 1)) || fail "<$1.$2>: $n messages" ;;
		esac
		return
	fi
	((n <= 1)) || fail "<$1.$2>: $n messages" || return
	! grep -q '^Return-Path: <second@b>' "$SPOOL"/new/* 2>/dev/null ||
		fail "<$1.$2>: smuggled" || return
	((n == 1)) || said '550 5.6.0' || fail "<$1.$2>: lost"
}

@test "CRLF . CRLF ends a message, and what follows is the next one" {
	glued '\r\n' '\r\n' >"$BATS_TEST_TMPDIR/in"
	smtp_raw -o spool="$SPOOL" <"$BATS_TEST_TMPDIR/in"
	replies 220 250 250 250 354 250 250 250 354 250 221
	messages 2
}

@test "no other line ends around a dot end a message" {
	local before after

	for before in "${ENDS[@]}"; do
		for after in "${ENDS[@]}"; do
			rm -rf "$SPOOL"
			glued "$before" "$after" >"$BATS_TEST_TMPDIR/in"
			smtp_raw -o spool="$SPOOL" <"$BATS_TEST_TMPDIR/in"
			apart "$before" "$after" || return
		done
	done
}

# The same octets, but a read never gets more than one of them.
@test "nor when they come octet by octet" {
	local before after

	for before in "${ENDS[@]:0:8}"; do
		for after in "${ENDS[@]:0:8}"; do
			rm -rf "$SPOOL"
			glued "$before" "$after" >"$BATS_TEST_TMPDIR/in"
			"$TOOLS/octets" "$SMTPD" -o hostname=mx.test \
			    -o spool="$SPOOL" <"$BATS_TEST_TMPDIR/in" \
			    2>>"$LOG" | tr -d '\r' >"$BATS_TEST_TMPDIR/out"
			output=$(<"$BATS_TEST_TMPDIR/out")
			apart "$before" "$after" || return
		done
	done
}

@test "a dot right behind DATA ends an empty message" {
	printf '%s\r\n' 'EHLO client.test' 'MAIL FROM:<a@b>' \
	    'RCPT TO:<b@mx.test>' DATA . NOOP QUIT >"$BATS_TEST_TMPDIR/in"
	smtp_raw -o spool="$SPOOL" <"$BATS_TEST_TMPDIR/in"
	replies 220 250 250 250 354 250 250 221
	messages 1
}

@test "a dot right behind DATA, but without its CRLF, does not" {
	local after

	for after in '\n' '\r' '\r\r\n' '\000\r\n' ' \r\n' '\n\r\n'; do
		rm -rf "$SPOOL"
		{
			printf '%s\r\n' 'EHLO client.test' 'MAIL FROM:<a@b>' \
			    'RCPT TO:<b@mx.test>' DATA
			printf ".$after"
			printf '%s\r\n' 'MAIL FROM:<second@b>' . QUIT
		} >"$BATS_TEST_TMPDIR/in"
		smtp_raw -o spool="$SPOOL" <"$BATS_TEST_TMPDIR/in"
		apart '' "$after" || return
		[[ ${lines[-1]} == '221 '* ]] || fail "<.$after>" || return
	done
}

@test "DATA with a bare LF starts no message" {
	printf 'EHLO c.test\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@mx.test>\r\n' \
	    >"$BATS_TEST_TMPDIR/in"
	printf 'DATA\n.\r\nQUIT\r\n' >>"$BATS_TEST_TMPDIR/in"
	smtp_raw -o spool="$SPOOL" <"$BATS_TEST_TMPDIR/in"
	replies 220 250 250 250 501 221
	messages 0
}

@test "what is kept has no bare CR, LF or NUL, whatever was sent" {
	local newline

	for newline in lf crlf; do
		rm -rf "$SPOOL"
		glued '\r\n' 'x\r\n.\r\n' >"$BATS_TEST_TMPDIR/in"
		smtp_raw -o spool="$SPOOL" -o newline=$newline \
		    <"$BATS_TEST_TMPDIR/in"
		messages 2 || return
		if [[ $newline == lf ]]; then
			! grep -q $'\r' "$SPOOL"/new/* || fail CR
		else
			! grep -qv $'\r$' "$SPOOL"/new/* || fail LF
			! grep -q $'\r.*\r' "$SPOOL"/new/* || fail CR
		fi
		! grep -qaP '\x00' "$SPOOL"/new/* || fail NUL
	done
}

# SPDX-License-Identifier: ISC
# The end of a message: CRLF . CRLF and nothing else, however it is cut up.

load ../lib

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

# is_end BEFORE AFTER: do the two, around a dot, have CRLF.CRLF in them?
is_end() {
	[[ $1 == *'\r\n' && $2 == '\r\n'* ]]
}

# apart BEFORE AFTER: only a real end parts the two; otherwise the second one
# is text of the first, or nothing at all.  Nothing stray is kept.
apart() {
	local file text n=0 first= second=

	for file in "$SPOOL"/new/*; do
		[[ -e $file ]] || continue
		n=$((n + 1))
		text=$(<"$file")
		[[ $text != *$'\r'* ]] || fail "<$1.$2>: CR" || return
		[[ $text != *$'\nSubject: first'* ]] || first=$text
		[[ $text != 'Return-Path: <second@b>'* ]] || second=$text
	done
	if is_end "$1" "$2"; then
		[[ $first != *smuggled* ]] || fail "<$1.$2>: one" || return
		case $1 in
		'\r\n' | ' \r\n' | '\t\r\n') ;;
		'\r\r\n') ((${#SYNTAX[@]} == 0 || n <= 1)) ||
			fail "<$1.$2>: $n messages" ;;
		*) ((n <= 1)) || fail "<$1.$2>: $n messages" ;;
		esac
		return
	fi
	((n <= 1)) || fail "<$1.$2>: $n messages" || return
	[[ -z $second ]] || fail "<$1.$2>: smuggled" || return
	((n == 1)) || said '550 5.6.0' || fail "<$1.$2>: lost"
}

# Each in a spool of its own, and with few processes: there are hundreds.
next_spool() {
	number=$((${number-0} + 1)) SPOOL=$BATS_TEST_TMPDIR/spool.$number
}

at_once() {
	next_spool
	glued "$1" "$2" >"$BATS_TEST_TMPDIR/in"
	output=$("$SMTPD" -o hostname=mx.test "${SYNTAX[@]}" \
	    -o spool="$SPOOL" <"$BATS_TEST_TMPDIR/in" 2>>"$LOG")
	apart "$1" "$2"
}

# by_octets BEFORE AFTER: the same octets, but a read gets one of them.
by_octets() {
	next_spool
	glued "$1" "$2" >"$BATS_TEST_TMPDIR/in"
	output=$("$TOOLS/octets" "$SMTPD" -o hostname=mx.test "${SYNTAX[@]}" \
	    -o spool="$SPOOL" <"$BATS_TEST_TMPDIR/in" 2>>"$LOG")
	apart "$1" "$2"
}

@test "CRLF . CRLF ends a message, and what follows is the next one" {
	glued '\r\n' '\r\n' >"$BATS_TEST_TMPDIR/in"
	smtp_raw -o spool="$SPOOL" <"$BATS_TEST_TMPDIR/in"
	replies 220 250 250 250 354 250 250 250 354 250 221
	messages 2
}

# every HOW [NUMBER]: with each of the first line ends before and behind the dot.
every() {
	local before after n=${2-${#ENDS[@]}}

	for before in "${ENDS[@]:0:n}"; do
		for after in "${ENDS[@]:0:n}"; do
			"$1" "$before" "$after" || return
		done
	done
}

@test "no other line ends around a dot end a message" {
	every at_once
}

@test "nor where nothing is tolerated" {
	SYNTAX=("${STRICT[@]}")
	every at_once
}

@test "nor when they come octet by octet" {
	every by_octets 8
}

@test "nor octet by octet where nothing is tolerated" {
	SYNTAX=("${STRICT[@]}")
	every by_octets 8
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

@test "DATA with a bare LF starts no message where syntax is strict" {
	SYNTAX=("${STRICT[@]}")
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

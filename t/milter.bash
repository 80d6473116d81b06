# SPDX-License-Identifier: ISC
# milter.bash - what the tests of mail filters share.

# filtering RULE ...: a mail filter; see milterserver.py.  Its address is in
# $MILTER, what it was asked in $ASKED; the next one has another.
filtering() {
	local n=${#SERVERS[@]}

	printf '%s\n' "$@" >"$BATS_TEST_TMPDIR/rules.$n"
	ASKED=$BATS_TEST_TMPDIR/asked.$n
	MILTER=unix:$BATS_TEST_TMPDIR/milter.$n
	: >"$ASKED"
	serve_with "$PYTHON" "$ROOT/t/milterserver.py" "$MILTER" \
	    "$BATS_TEST_TMPDIR/rules.$n" "$ASKED"
}

MESSAGE='From: <a@client.test>
To: <r1@mx.test>
Subject: one
 two
X-A:no blank

text
more'

# mail [ARGUMENT ...]: a session with $MESSAGE to r1@mx.test and r2@mx.test.
mail() {
	smtp -o spool="$SPOOL" -o milter="$MILTER" "$@" <<-END
		EHLO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		RCPT TO:<r2@mx.test>
		DATA
		$MESSAGE
		.
		QUIT
	END
}

# twice [ARGUMENT ...]: the same with one recipient, two messages a session.
twice() {
	local one="MAIL FROM:<a@client.test>
RCPT TO:<r1@mx.test>
DATA
$MESSAGE
.
RSET"

	smtp -o spool="$SPOOL" -o milter="$MILTER" -o max-errors=0 "$@" <<-END
		EHLO client.test
		$one
		$one
		QUIT
	END
}

# asked LINE: it was.
asked() {
	grep -qxF -e "$1" "$ASKED" || {
		cat "$ASKED"
		fail "not asked: $1"
	}
}

not_asked() {
	! grep -qF -e "$1" "$ASKED" || {
		cat "$ASKED"
		fail "asked: $1"
	}
}

# steps: those it was told of, in a line, macros left out.
steps() {
	sed -n "/^macros/d; s/^\\([a-z][a-z]*\\).*/\\1/p" "$ASKED" | tr "\\n" " "
}

told() {
	local got

	wait_for grep -q -e '^quit' -e '^gone' "$ASKED"
	got=$(steps)
	[[ ${got% } == "$*" ]] || {
		cat "$ASKED"
		fail "told: $got, not: $*"
	}
}

# SPDX-License-Identifier: ISC
# The log: what is masked, what is limited, what the journal is told.

load lib
load deliver

# recipients_refused NUMBER: so many lines on the log, without a limit of ours.
recipients_refused() {
	local i

	echo rcpt@mx.test >"$BATS_TEST_TMPDIR/list"
	echo 'EHLO c.test'
	echo 'MAIL FROM:<a@b.test>'
	for ((i = 0; i < $1; i++)); do
		echo "RCPT TO:<$i@elsewhere.test>"
	done
	echo QUIT
}

# helo NAME: what the log says of such a name.  printf's escapes are understood.
helo() {
	: >"$LOG"
	# shellcheck disable=SC2059 # it is a format
	printf "MAIL FROM:<$1@b.test> SMTPUTF8\r\nQUIT\r\n" |
	    sed '1i EHLO c.test\r' >"$BATS_TEST_TMPDIR/dialogue"
	smtp_raw -o log-level=debug <"$BATS_TEST_TMPDIR/dialogue"
	sed -n 's/.*event=command line="MAIL FROM:<\(.*\)@b.test> SMTPUTF8"/\1/p' \
	    "$LOG"
}

@test "letters and blanks of any script are shown as they are" {
	local text

	for text in 'p\xc3\xa4t' '\xe5\xb1\xb1' '\xf0\x9f\x93\xa7' \
	    '\xd7\x90\xd8\xa7' 'e\xcc\x81' '\xe3\x80\x80' '\xc2\xa0'; do
		[[ $(helo "$text") == "$(printf '%b' "$text")" ]] ||
			fail "$text: $(helo "$text" | od -c)" || return
	done
}

# bats test_tags=bulk
@test "what steers a terminal, is not seen or turns text round is masked" {
	local text

	for text in \
	    '\xc2\xad' '\xd8\x9c' '\xe1\xa0\x8e' \
	    '\xe2\x80\x8b' '\xe2\x80\x8d' '\xe2\x80\x8e' '\xe2\x80\x8f' \
	    '\xe2\x80\xa8' '\xe2\x80\xa9' '\xe2\x80\xaa' '\xe2\x80\xae' \
	    '\xe2\x81\xa0' '\xe2\x81\xa6' '\xe2\x81\xa9' '\xe2\x81\xaf' \
	    '\xe3\x85\xa4' '\xee\x80\x80' '\xef\xa3\xbf' '\xef\xb8\x8f' \
	    '\xef\xbb\xbf' '\xef\xbe\xa0' '\xef\xbf\xb9' \
	    '\xf3\xa0\x80\x81' '\xf3\xa0\x81\xbf' '\xf3\xa0\x84\x80' \
	    '\xf3\xb0\x80\x80' '\xf4\x8f\xbf\xbf'; do
		[[ $(helo "a${text}b") =~ ^a\?+b$ ]] ||
			fail "$text: $(helo "a${text}b" | od -c)" || return
	done
	# Its neighbours are letters, or signs that are seen.
	for text in '\xe2\x80\x8a' '\xe2\x80\x90' '\xe2\x80\xa7' \
	    '\xe2\x80\xb0' '\xed\x9f\xbb' '\xef\xa4\x80' '\xef\xbf\xbc'; do
		[[ $(helo "$text") == "$(printf '%b' "$text")" ]] ||
			fail "$text: $(helo "$text" | od -c)" || return
	done
}

@test "a session has 1000 lines, the rest is counted" {
	smtp -o max-errors=0 -o max-junk=0 -o max-recipients=2000 \
	    -o spool="$SPOOL" -o recipients="$BATS_TEST_TMPDIR/list" \
	    < <(recipients_refused 1500)
	(($(grep -c event=recipient "$LOG") < 1000)) ||
		fail "$(wc -l <"$LOG") lines"
	(($(wc -l <"$LOG") == 1002))
	# What is the session's first line is one of the 1000.
	[[ $(tail -n 2 "$LOG" | head -n 1) == *'event=close '* ]]
	[[ $(tail -n 1 "$LOG") == *'event=suppressed lines=501' ]]
}

@test "a session of 1000 lines or fewer has no line about it" {
	smtp -o max-errors=0 -o max-junk=0 -o max-recipients=2000 \
	    -o spool="$SPOOL" -o recipients="$BATS_TEST_TMPDIR/list" \
	    < <(recipients_refused 999)
	(($(grep -c event=recipient "$LOG") == 999))
	not_logged event=suppressed
}

@test "a flood hides no password that is tried and no message that is taken" {
	{
		recipients_refused 1500 | sed '$d'
		echo RSET
		to rcpt@mx.test | sed '1d;$d'
		echo "AUTH PLAIN $(printf '\0joe\0wrong' | base64)"
		echo QUIT
	} >"$BATS_TEST_TMPDIR/dialogue"
	echo 'joe:x' >"$BATS_TEST_TMPDIR/users"
	smtp -o max-errors=0 -o max-junk=0 -o max-recipients=2000 \
	    -o spool="$SPOOL" -o recipients="$BATS_TEST_TMPDIR/list" \
	    -o auth-file="$BATS_TEST_TMPDIR/users" -o auth-cleartext=yes \
	    <"$BATS_TEST_TMPDIR/dialogue"
	logged event=suppressed
	logged 'event=message status=accepted'
	logged 'event=auth status=failed'
	messages 1
}

# journal [ARGUMENT ...]: a session whose standard error is the journal, as
# JOURNAL_STREAM says.
journal() {
	(
		exec 2>>"$LOG"
		export JOURNAL_STREAM
		JOURNAL_STREAM=$(stat -L -c %d:%i "$LOG")
		deliver "$@"
	)
}

@test "log=off: not a line of anything" {
	smtp -o log=off -o log-level=debug -o spool="$SPOOL" <<-'END'
	EHLO client.test
	MAIL FROM:<a@client.test>
	RCPT TO:<b@mx.test>
	DATA
	.
	nonsense
	QUIT
	END
	replies 220 250 250 250 354 250 500 221
	[[ ! -s $LOG ]]
}

@test "the journal is told how much a line matters" {
	journal -o spool="$SPOOL"
	grep -qx '<6>id=[0-9a-f]* event=connect addr=.*' "$LOG"
	grep -qx '<6>id=[0-9a-f]* event=message status=accepted .*' "$LOG"
	journal
	grep -qx '<3>id=[0-9a-f]* event=error what="neither spool .*' "$LOG"
	grep -qx '<5>id=[0-9a-f]* event=recipient status=deferred .*' "$LOG"
	[[ -z $(grep -v '^<[3-6]>id=' "$LOG") ]] || fail "$(cat "$LOG")"
	journal -o spool="$SPOOL" -o log-level=debug
	grep -qx '<7>id=[0-9a-f]* event=command line="EHLO client.test"' "$LOG"
}

@test "where standard error is not the journal, nobody is told" {
	JOURNAL_STREAM=1:2 deliver -o spool="$SPOOL"
	[[ -z $(grep -v '^id=' "$LOG") ]]
	JOURNAL_STREAM= deliver -o spool="$SPOOL"
	[[ -z $(grep -v '^id=' "$LOG") ]]
}

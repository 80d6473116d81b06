# SPDX-License-Identifier: ISC
# deliver.bash - what the tests of the spool and of the program share.

# Our end of a session, with a fixed client.
export REMOTE_ADDR=192.0.2.7 REMOTE_PORT=4321

DIALOGUE='EHLO client.test
MAIL FROM:<sender@client.test>
RCPT TO:<rcpt@mx.test>
DATA
Subject: test

Hello
.
QUIT'

# deliver [ARGUMENT ...]: the dialogue above.
deliver() {
	smtp "$@" <<<"$DIALOGUE"
}

# to RECIPIENT ...: a dialogue for them, with our message.
to() {
	local one

	echo 'EHLO client.test'
	echo 'MAIL FROM:<sender@client.test>'
	for one; do
		echo "RCPT TO:<$one>"
	done
	printf '%s\n' DATA 'Subject: test' '' Hello . QUIT
}

# failing RULES: from here on $SMTPD has system calls that fail; see fail.c.
# It is smtpd-tls then: the same program, but with a dynamic loader.
failing() {
	local wrapper=$BATS_TEST_TMPDIR/smtpd.failing

	REAL=${REAL:-$SMTPD-tls}
	cat >"$wrapper" <<-END
	#!/bin/sh
	exec env LD_PRELOAD='$ROOT/build/t/fail' FAIL='$1' \
	    ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 '$REAL' "\$@"
	END
	chmod +x "$wrapper"
	SMTPD=$wrapper
}

# mounted OPTION ... -- SMTPD ARGUMENT ...: with a mount of its own on $SPOOL.
mounted() {
	local mount=()

	namespaces
	while [[ $1 != -- ]]; do
		mount+=("$1")
		shift
	done
	shift
	mkdir -p "$SPOOL"
	printf '#!/bin/sh\nmount %s "%s" || exit 9\nexec "%s" "$@"\n' \
	    "${mount[*]}" "$SPOOL" "$SMTPD" >"$BATS_TEST_TMPDIR/smtpd.inside"
	printf '#!/bin/sh\nexec unshare -r -m "%s" "$@"\n' \
	    "$BATS_TEST_TMPDIR/smtpd.inside" >"$BATS_TEST_TMPDIR/smtpd.mounted"
	chmod +x "$BATS_TEST_TMPDIR"/smtpd.{inside,mounted}
	SMTPD=$BATS_TEST_TMPDIR/smtpd.mounted smtp "$@"
}

# The text of the one reply to DATA's end: the last but one.
verdict() {
	[[ ${lines[-2]} == "$1" ]] || fail "verdict: ${lines[-2]}, not $1"
}

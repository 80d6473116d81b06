# SPDX-License-Identifier: ISC
# What the tests of examples/embed share.

# built: the server
built() {
	compiled server "$BATS_FILE_TMPDIR/server"
}

# compiled example program: sanitized, against the engine's own files
compiled() {
	mkdir -p "$BATS_FILE_TMPDIR/include/smtpd"
	cp "$ROOT/session.h" "$BATS_FILE_TMPDIR/include/smtpd"
	gcc -std=gnu11 -O1 -g -fsanitize=address,undefined \
	    -fno-sanitize-recover=all -Wall -Wextra -Wconversion -Werror \
	    -I"$BATS_FILE_TMPDIR/include" -o "$2" \
	    "$ROOT/examples/embed/$1.c" "$ROOT"/session.c \
	    "$ROOT"/session/*.c $(pkg-config --cflags --libs gnutls)
}

# embedded command ...: in the background, with SPOOL; sets PORT
embedded() {
	local pid

	mkdir -p "$SPOOL"
	"$@" >"$BATS_TEST_TMPDIR/port" 2>"$BATS_TEST_TMPDIR/errors" &
	pid=$!
	SERVERS+=("$pid")
	until [[ -s $BATS_TEST_TMPDIR/port ]]; do
		kill -0 "$pid" || fail "$(cat "$BATS_TEST_TMPDIR/errors")" ||
			return
		read -rt 0.05 <> <(:) || true
	done
	PORT=$(cat "$BATS_TEST_TMPDIR/port")
}

# clients sessions messages: that many, all right, and nothing to complain of
clients() {
	python3 "$ROOT/t/embedclient.py" "$PORT" "$SPOOL" "$@"
	kill -0 "${SERVERS[-1]}"
	[[ ! -s $BATS_TEST_TMPDIR/errors ]] ||
		fail "$(cat "$BATS_TEST_TMPDIR/errors")"
}

# SPDX-License-Identifier: ISC
# Another C library: the engine and the program in clear, built with musl.
load ../lib

setup_file() {
	make -s -C "$ROOT" build/musl/smtpd
}

@test "the engine needs nothing of glibc's" {
	local file

	cd "$ROOT"
	for file in session.c session/*.c; do
		musl-gcc -std=gnu11 -Wall -Wextra -Werror -fsyntax-only "$file"
	done
}

@test "built with musl, it keeps a message and runs a program" {
	local dialogue

	SMTPD=$ROOT/build/musl/smtpd
	dialogue=$(printf '%s\n' 'EHLO client.test' 'MAIL FROM:<a@client.test>' \
	    'RCPT TO:<b@mx.test>' DATA 'Subject: x' '' text . QUIT)
	smtp -o spool="$SPOOL" <<<"$dialogue"
	replies 220 250 250 250 354 250 221
	messages 1
	# A descriptor of ours must not be the program's.
	cat >"$BATS_TEST_TMPDIR/program" <<-'END'
		#!/bin/sh
		echo "$(ls /proc/self/fd | wc -l) open"
	END
	chmod +x "$BATS_TEST_TMPDIR/program"
	smtp -o exec="$BATS_TEST_TMPDIR/program" <<<"$dialogue" \
	    7<"$ROOT/Makefile"
	replies 220 250 250 250 354 250 221
	said '250 2.0.0 4 open'
	not_logged event=sandbox
}

@test "built with musl, it listens" {
	SMTPD=$ROOT/build/musl/smtpd
	serve_itself -o spool="$SPOOL"
	talk <<-'END'
		< 220
		> EHLO client.test
		< 250
		> QUIT
		< 221
		eof
	END
}

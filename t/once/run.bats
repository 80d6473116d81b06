# SPDX-License-Identifier: ISC
# `make run`: a first message, by the line that it prints.
load ../lib

@test "the first start: what is printed works, and is reported" {
	local port pid

	cd "$BATS_TEST_TMPDIR"
	port=$(free_port)
	# The shell has what it starts in the background ignore SIGINT.
	setsid env --default-signal=INT "$ROOT/examples/run" "$port" mail >"$LOG" 2>&1 3>&- &
	pid=$!
	SERVERS+=("-$pid")
	wait_for grep -q Ctrl-C "$LOG"
	sed -n '/^printf/,/smtp:/p' "$LOG" >paste
	bash -e paste
	messages 1
	[[ $(message) == *$'\nSubject: hello\n\nFirst message.' ]]
	wait_for grep -q 'event=message status=accepted' "$LOG"
	# Ctrl-C goes to all of the terminal's foreground.
	kill -INT -- "-$pid"
	wait_for nc_closed "$port"
}

@test "a port that is taken, or none, is an error before anything else" {
	local port

	cd "$BATS_TEST_TMPDIR"
	serve_itself
	for port in "$PORT" abc 70000; do
		run "$ROOT/examples/run" "$port" mail
		((status != 0)) || fail "$port"
		[[ $output == run:* ]] || fail "$port"
		not_said Listening
	done
	[[ ! -e mail ]]
}

@test "a directory with a blank in its name" {
	local port pid

	[[ $(make -sn -C "$ROOT" run PORT=1 MAIL='my mail') == *\
"examples/run '1' 'my mail'" ]]
	cd "$BATS_TEST_TMPDIR"
	port=$(free_port)
	setsid "$ROOT/examples/run" "$port" 'my mail' >"$LOG" 2>&1 3>&- &
	pid=$!
	SERVERS+=("-$pid")
	wait_for grep -q Ctrl-C "$LOG"
	sed -n '/^printf/,/smtp:/p' "$LOG" >paste
	bash -e paste
	[[ -n $(ls "my mail/new") ]]
}

# suite NAME=FILE: t/run with such a file, outside of this run.
suite() {
	exec env -i PATH="${FIRST:+$FIRST:}/usr/bin:/bin" HOME=/ LC_ALL=C "$ROOT/t/run" \
	    "${1%%=*}=smtpd:${1#*=}"
}

@test "t/run: a file's failures are shown when it has ended, and count" {
	local dir=$BATS_TEST_TMPDIR/suite pid

	mkdir "$dir"
	mkfifo "$dir/go"
	printf '%s\n' '@test "one" { false; }' '@test "three" { skip; }' \
	    >"$dir/a.bats"
	echo "@test \"two\" { read <$dir/go; }" >"$dir/b.bats"
	background suite "try=$dir/*.bats" >"$LOG" 2>&1
	pid=$!
	wait_for grep -q '^not ok 1 one' "$LOG"
	echo >"$dir/go"
	! wait "$pid" || fail "status 0"
	grep -q '^skipped: ok 2' "$LOG"
	[[ $(tail -n 1 "$LOG") == '1 passed, 2 failed' ]]
	[[ $(grep -c '^not ok' "$LOG") == 1 ]]
}

@test "t/run: without user namespaces some tests are left out, and named" {
	local dir=$BATS_TEST_TMPDIR/suite FIRST=$BATS_TEST_TMPDIR/bin

	mkdir "$dir" "$FIRST"
	printf '#!/bin/sh\nexit 1\n' >"$FIRST/unshare"
	chmod +x "$FIRST/unshare"
	printf '%s\n' "load $ROOT/t/lib" '@test "one" { namespaces; false; }' \
	    '@test "two" { true; }' >"$dir/a.bats"
	run suite "apart=$dir/a.bats"
	((status == 0)) || fail "$output"
	[[ ${lines[-2]} == 'Left out, since no user namespace'*': one' ]]
	[[ ${lines[-1]} == '1 passed, 0 failed, 1 skipped' ]]
	# Where there are, it is a test that was not run.
	rm "$FIRST/unshare"
	printf '%s\n' '@test "one" { skip "no user namespaces here"; }' \
	    '@test "two" { true; }' >"$dir/a.bats"
	run suite "apart=$dir/a.bats"
	((status == 1))
	[[ ${lines[-1]} == '1 passed, 1 failed' ]]
}

nc_open() {
	: <>"/dev/tcp/127.0.0.1/$1"
}

nc_closed() {
	! nc_open "$1"
}

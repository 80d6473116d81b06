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

nc_open() {
	: <>"/dev/tcp/127.0.0.1/$1"
}

nc_closed() {
	! nc_open "$1"
}

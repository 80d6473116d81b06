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
	wait_for nc_open "$port"
	sed -n '/^printf/,/smtp:/p' "$LOG" >paste
	bash -e paste
	messages 1
	[[ $(message) == *$'\nSubject: hello\n\nFirst message.' ]]
	wait_for grep -q 'event=message status=accepted' "$LOG"
	# Ctrl-C goes to all of the terminal's foreground.
	kill -INT -- "-$pid"
	wait_for nc_closed "$port"
}

nc_open() {
	: <>"/dev/tcp/127.0.0.1/$1"
}

nc_closed() {
	! nc_open "$1"
}

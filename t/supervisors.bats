# SPDX-License-Identifier: ISC
# Whatever listens for us: the message arrives, and Received says from where.
load lib

setup() {
	test_setup
	CONF=$BATS_TEST_TMPDIR/conf
	printf 'hostname = mx.test\nspool = %s\n' "$SPOOL" >"$CONF"
}

# deliver FROM [HOST]: send a message from that address, and look at it.
deliver() {
	talk -from "$1" "${2:-127.0.0.1}" "$PORT" <<-'EOF'
	< 220
	> EHLO client.test
	< 250
	> MAIL FROM:<a@client.test>
	< 250
	> RCPT TO:<b@mx.test>
	< 250
	> DATA
	< 354
	> Subject: hello
	>
	> ..
	> .
	< 250
	> QUIT
	< 221
	eof
	EOF
	messages 1
	[[ $(message) == *'Received: from client.test'*"[${3:-$1}]"* ]] ||
		fail "not from $1: $(message)"
	[[ $(message) == *$'\nSubject: hello\n\n.' ]]
	logged "$1"
}

@test "systemd-socket-activate" {
	background systemd-socket-activate -l "127.0.0.1:$(free_port)" \
	    --accept --inetd "$SMTPD" -f "$CONF" 2>>"$LOG"
	wait_for listening "$!"
	deliver 127.0.0.2
}

@test "tcpserver" {
	serve -f "$CONF"
	deliver 127.0.0.3
}

@test "tcpserver, IPv6" {
	serve_with tcpserver -1 -HR -l 0 ::1 0 "$SMTPD" -f "$CONF"
	deliver ::1 ::1 IPv6:::1
}

@test "tcpsvd" {
	background tcpsvd -l 0 127.0.0.1 0 "$SMTPD" -f "$CONF" 2>>"$LOG"
	wait_for listening "$!"
	deliver 127.0.0.4
}

# Its servers have the connection as standard error too: a log line there
# would reach the client, and talk would not have it.
@test "inetd" {
	local port

	port=$(free_port)
	printf '127.0.0.1:%s stream tcp nowait %s %s %s -f %s\n' "$port" \
	    "$(id -un)" "$SMTPD" smtpd "$CONF" >"$BATS_TEST_TMPDIR/inetd.conf"
	background "$UNPACKED/usr/sbin/inetd" -i "$BATS_TEST_TMPDIR/inetd.conf" >>"$LOG" 2>&1
	wait_for listening "$!"
	logged() { :; }
	deliver 127.0.0.5
}

@test "socat" {
	background socat TCP-LISTEN:0,bind=127.0.0.1,fork \
	    "EXEC:$SMTPD -f $CONF,nofork" 2>>"$LOG"
	wait_for listening "$!"
	deliver 127.0.0.6
}

@test "a pipe has no address" {
	smtp -f "$CONF" <<-'EOF'
	EHLO client.test
	MAIL FROM:<a@client.test>
	RCPT TO:<b@mx.test>
	DATA
	Subject: hello

	.
	QUIT
	EOF
	replies 220 250 250 250 354 250 221
	messages 1
	[[ $(message) == *'Received: from client.test'*local* ]]
}

@test "connections at the same time do not wait for each other" {
	local line= pid

	serve -f "$CONF"
	coproc HELD { talk; }
	pid=$HELD_PID
	printf '< 220\n> EHLO held.test\n< 250\n' >&"${HELD[1]}"
	until [[ $line == '< 250'* ]]; do
		read -rt 10 -u "${HELD[0]}" line
	done
	deliver 127.0.0.3
	printf '> QUIT\n< 221\neof\n' >&"${HELD[1]}"
	exec {HELD[1]}>&-
	wait "$pid"
}

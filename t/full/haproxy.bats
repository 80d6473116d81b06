# SPDX-License-Identifier: ISC
# HAProxy in front, as it is.

load ../lib

# haproxy_starts OPTIONS [LINE ...]: a server behind HAProxy, which passes on
# with these options to it.  Listens on FRONT, by IPv4 and IPv6.
haproxy_starts() {
	local options=$1

	shift
	serve -o spool="$SPOOL" -o proxy-protocol=yes
	FRONT=$(free_port)
	STATS=$BATS_TEST_TMPDIR/stats
	cat >"$BATS_TEST_TMPDIR/haproxy.cfg" <<-END
		global
		    stats socket $STATS
		defaults
		    mode tcp
		    timeout connect 5s
		    timeout client 20s
		    timeout server 20s
		    timeout check 10s
		frontend smtp
		    bind 127.0.0.1:$FRONT
		    bind [::1]:$FRONT
		    default_backend smtpd
		backend smtpd
		$(printf '    %s\n' "$@")
		    server one 127.0.0.1:$PORT $options
	END
	background haproxy -db -f "$BATS_TEST_TMPDIR/haproxy.cfg" \
	    >"$BATS_TEST_TMPDIR/haproxy.log" 2>&1
	wait_for test -S "$STATS" || cat "$BATS_TEST_TMPDIR/haproxy.log"
	wait_for healthy
}

# The server is up, or there is no check.
healthy() {
	local status

	status=$(echo 'show stat' | socat - "UNIX:$STATS" |
	    awk -F, '$1 == "smtpd" && $2 == "one" { print $18 }')
	[[ $status == UP* || $status == 'no check' ]]
}

checked() {
	[[ $(echo 'show stat' | socat - "UNIX:$STATS" |
	    awk -F, '$1 == "smtpd" && $2 == "one" { print $37 }') == *L?OK ]]
}

# through ADDRESS LITERAL: a message through HAProxy from that address.
through() {
	talk "$1" "$FRONT" <<-'END'
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
		> .
		< 250
		> QUIT
		< 221
		eof
	END
	messages 1
	message | grep -qF "[$2]" || fail "$(message)"
	rm "$SPOOL"/new/*
}

# Only where HAProxy connects from is the same address; its port is not.
port_is_the_clients() {
	grep -a 'event=connect' "$LOG" | tail -n 1 | grep -q "port=$1\$"
}

@test "send-proxy: IPv4 and IPv6" {
	haproxy_starts send-proxy
	through 127.0.0.1 127.0.0.1
	through ::1 IPv6:::1
	not_logged event=error
	not_logged event=proxy
}

@test "send-proxy-v2: IPv4 and IPv6" {
	haproxy_starts send-proxy-v2
	through 127.0.0.1 127.0.0.1
	through ::1 IPv6:::1
	not_logged event=error
	not_logged event=proxy
}

@test "send-proxy-v2 with everything that HAProxy can add to it" {
	haproxy_starts \
	    'send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,crc32c,unique-id'
	through 127.0.0.1 127.0.0.1
	through ::1 IPv6:::1
	not_logged event=proxy
}

@test "the port is the client's, not HAProxy's" {
	local port

	haproxy_starts send-proxy-v2
	port=$("$PYTHON" - "$FRONT" <<-'END'
		import smtplib, sys
		smtp = smtplib.SMTP("127.0.0.1", int(sys.argv[1]))
		print(smtp.sock.getsockname()[1])
		smtp.quit()
	END
	)
	wait_for port_is_the_clients "$port"
}

# A health check of each kind, many of them, is no error.
check_is_no_error() {
	haproxy_starts "$@"
	wait_for checked
	through 127.0.0.1 127.0.0.1
	through 127.0.0.1 127.0.0.1
	checked
	wait_for grep -q event=close "$LOG"
	not_logged event=error
	not_logged event=proxy
}

@test "health check: connect and close, version 1" {
	check_is_no_error 'send-proxy check inter 20ms fall 1000'
}

@test "health check: connect and close, version 2" {
	check_is_no_error 'send-proxy-v2 check inter 20ms fall 1000'
}

@test "health check: a whole dialogue behind LOCAL" {
	check_is_no_error 'send-proxy-v2 check inter 20ms fall 1000' \
	    'option smtpchk EHLO haproxy.test'
	wait_for grep -q 'helo=haproxy.test' "$LOG"
}

@test "without send-proxy nobody gets a banner, and the log says why" {
	haproxy_starts ''
	printf '%s\n' '> EHLO client.test' eof | talk 127.0.0.1 "$FRONT"
	wait_for logged event=proxy
}

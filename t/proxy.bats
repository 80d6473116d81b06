# SPDX-License-Identifier: ISC
# The header of the PROXY protocol, and that it comes first.

load lib

V2='\r\n\r\n\0\r\nQUIT\n'	# the signature; of the same length for printf

# header OCTETS [ARGUMENT ...]: a session behind it, from a pipe; printf's
# escapes are understood.
header() {
	local octets=$1

	shift
	# shellcheck disable=SC2059 # it is a format
	{
		printf "$octets"
		printf 'EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<a@mx.test>\r\n'
		printf 'DATA\r\n.\r\nQUIT\r\n'
	} >"$BATS_TEST_TMPDIR/octets"
	smtp_raw -o spool="$SPOOL" -o proxy-protocol=yes "$@" \
	    <"$BATS_TEST_TMPDIR/octets"
}

# from ADDRESS OCTETS: such a header says that the client is there.
from() {
	header "$2"
	replies 220 250 250 250 354 250 221
	messages 1
	message | sed '/^\r*$/d' | grep -qF "[$1]" || {
		message
		fail "not from $1"
	}
	rm "$SPOOL"/new/*
}

# garbage OCTETS: no banner, a line in the log, nothing delivered.
garbage() {
	: >"$LOG"
	header "$1"
	[[ -z $output ]] || fail "an answer to garbage: $1"
	messages 0
	[[ $(grep -c 'event=proxy' "$LOG") == 1 ]] || fail "not logged: $1"
}

@test "version 1, IPv4 and IPv6" {
	from 192.0.2.7 'PROXY TCP4 192.0.2.7 198.51.100.1 5555 25\r\n'
	from IPv6:2001:db8::7 'PROXY TCP6 2001:db8::7 ::1 5555 25\r\n'
	from IPv6:2001:db8::7 \
	    'PROXY TCP6 2001:0DB8:0:0:0:0:0:7 ::1 0 65535\r\n'
}

@test "version 2, IPv4 and IPv6" {
	from 192.0.2.7 "$V2"'\x21\x11\0\x0c\xc0\0\x02\x07\x7f\0\0\1\x15\xb3\0\x19'
	from IPv6:2001:db8::7 "$V2"'\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x15\xb3\0\x19'
}

@test "version 2: what follows the addresses is passed over" {
	from 192.0.2.7 "$V2"'\x21\x11\0\x10\xc0\0\x02\x07\x7f\0\0\1\x15\xb3\0\x19\x04\0\1A'
	# As much as there may be: 520 octets.
	from 192.0.2.7 "$V2"'\x21\x11\2\x08\xc0\0\x02\x07\x7f\0\0\1\x15\xb3\0\x19'"$(printf '%0508d' 0)"
}

@test "IPv4 mapped into IPv6 is IPv4" {
	from 192.0.2.7 'PROXY TCP6 ::ffff:192.0.2.7 ::1 5555 25\r\n'
}

@test "UNKNOWN and LOCAL keep the socket's address" {
	REMOTE_ADDR=192.0.2.99 REMOTE_PORT=1
	export REMOTE_ADDR REMOTE_PORT
	from 192.0.2.99 'PROXY UNKNOWN\r\n'
	from 192.0.2.99 'PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n'
	from 192.0.2.99 "$V2"'\x20\0\0\0'
	from 192.0.2.99 "$V2"'\x20\x11\0\x0c\xc0\0\x02\x07\x7f\0\0\1\x15\xb3\0\x19'
	from 192.0.2.99 "$V2"'\x21\0\0\3abc'
}

@test "the header overrides what the supervisor says" {
	REMOTE_ADDR=192.0.2.99 REMOTE_PORT=1 \
	    from 192.0.2.7 'PROXY TCP4 192.0.2.7 198.51.100.1 5555 25\r\n'
}

@test "version 1: garbage" {
	garbage 'PROXY TCP4 192.0.2.7 198.51.100.1 5555 25\n'
	garbage 'PROXY  TCP4 192.0.2.7 198.51.100.1 5555 25\r\n'
	garbage 'PROXY TCP4 192.0.2.7 198.51.100.1 5555 25 \r\n'
	garbage 'PROXY TCP4 192.0.2.7 198.51.100.1 5555\r\n'
	garbage 'PROXY TCP4 192.0.2.256 198.51.100.1 5555 25\r\n'
	garbage 'PROXY TCP4 192.0.2.07 198.51.100.1 5555 25\r\n'
	garbage 'PROXY TCP4 192.0.2 198.51.100.1 5555 25\r\n'
	garbage 'PROXY TCP4 2001:db8::7 ::1 5555 25\r\n'
	garbage 'PROXY TCP6 192.0.2.7 198.51.100.1 5555 25\r\n'
	garbage 'PROXY TCP6 2001:db8::7%%eth0 ::1 5555 25\r\n'
	garbage 'PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n'
	garbage 'PROXY TCP4 192.0.2.7 198.51.100.1 5555 025\r\n'
	garbage 'PROXY TCP4 192.0.2.7 198.51.100.1 -1 25\r\n'
	garbage 'PROXY TCP4 192.0.2.7 198.51.100.1 4294967297 25\r\n'
	garbage 'PROXY TCP4 192.0.2.7\0 198.51.100.1 5555 25\r\n'
	garbage 'PROXY UDP4 192.0.2.7 198.51.100.1 5555 25\r\n'
	garbage 'PROXY UNKNOWNS\r\n'
	garbage 'proxy TCP4 192.0.2.7 198.51.100.1 5555 25\r\n'
	garbage 'PROXY TCP4\r\n'
}

@test "version 1: 107 octets and no more" {
	local x

	x=$(printf '%091d' 0)
	from local "PROXY UNKNOWN $x\r\n" || [[ $output == 220* ]]
	garbage "PROXY UNKNOWN 0$x\r\n"
}

@test "version 2: garbage" {
	local v4='\xc0\0\x02\x07\x7f\0\0\1\x15\xb3\0\x19'

	garbage "$V2"'\x11\x11\0\x0c'"$v4"	# version 1
	garbage "$V2"'\x22\x11\0\x0c'"$v4"	# an unknown command
	garbage "$V2"'\x21\x12\0\x0c'"$v4"	# datagrams
	garbage "$V2"'\x21\x41\0\x0c'"$v4"	# an unknown family
	garbage "$V2"'\x21\x11\0\x0b'"$v4"	# too short for its addresses
	garbage "$V2"'\x21\x21\0\x0c'"$v4"
	garbage "$V2"'\x21\x11\2\x09'"$v4"	# too long
	garbage "$V2"'\x21\x11\xff\xff'"$v4"
	garbage '\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c'"$v4"
}

@test "no header is garbage, of any protocol" {
	garbage ''
	garbage 'GET / HTTP/1.0\r\n\r\n'
	garbage '\x16\x03\x01\x02\x00\x01'
	garbage '\r\n'
}

# bats test_tags=listener
@test "a client that says nothing gets no banner, and not for long" {
	SECONDS=0
	serve -o spool="$SPOOL" -o proxy-protocol=yes -o timeout=1
	talk <<<eof
	((SECONDS < 5)) || fail "took $SECONDS s"
	logged 'in time'
}

# bats test_tags=listener
@test "half a header does not get more time" {
	SECONDS=0
	serve -o spool="$SPOOL" -o proxy-protocol=yes -o timeout=1
	printf '%s\n' '>> PROXY TCP4 192.0' eof | talk
	((SECONDS < 5)) || fail "took $SECONDS s"
	logged 'in time'
}

@test "a header cut short by the end of input" {
	: >"$LOG"
	printf 'PROXY TCP4 192.0' | smtp_raw -o proxy-protocol=yes
	logged 'cut short'
}

# bats test_tags=listener
@test "a health check that goes as it came leaves no error" {
	smtp_raw -o proxy-protocol=yes </dev/null
	not_logged event=error
	not_logged event=proxy
	serve -o spool="$SPOOL" -o proxy-protocol=yes
	talk <<<reset
	talk <<<close
	# One that came later has been logged, so the others would have been.
	printf '%s\n' '>> PROXY UNKNOWN\r\n' '< 220' '> QUIT' '< 221' eof |
	    talk
	wait_for grep -q event= "$LOG"
	not_logged event=error
	not_logged event=proxy
}

# bats test_tags=listener
@test "a health check with LOCAL and a reset leaves no error" {
	serve -o spool="$SPOOL" -o proxy-protocol=yes
	printf '%s\n' '>> \r\n\r\n\0\r\nQUIT\n\x20\0\0\0' '< 220' reset | talk
	printf '%s\n' '>> \r\n\r\n\0\r\nQUIT\n\x20\0\0\0' reset | talk
	printf '%s\n' '>> PROXY UNKNOWN\r\n' '< 220' '> QUIT' '< 221' eof |
	    talk
	not_logged event=error
	not_logged event=proxy
}

@test "the banner does not come before the header is complete" {
	{
		echo '>> PROXY TCP4 192.0.2.7 198.51.100.1 5555 25\r'
		echo '>> \n'
		echo '< 220'
		echo '> QUIT'
		echo '< 221'
		echo eof
	} | talk -- "$SMTPD" -o hostname=mx.test -o proxy-protocol=yes
}

@test "in pieces: each octet for itself" {
	local header

	for header in 'PROXY TCP4 192.0.2.7 198.51.100.1 5555 25\r\n' \
	    '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x7f\0\0\x01\x15\xb3\0\x19'; do
		printf '%s\n' ">> $header" '< 220' '> EHLO c.test' '< 250' \
		    '> MAIL FROM:<>' '< 250' '> RCPT TO:<a@mx.test>' '< 250' \
		    '> DATA' '< 354' '> .' '< 250' '> QUIT' '< 221' eof |
		    talk -b -- "$SMTPD" -o hostname=mx.test \
		    -o spool="$SPOOL" -o proxy-protocol=yes
		messages 1
		message | grep -qF '[192.0.2.7]'
		rm "$SPOOL"/new/*
	done
}

# bats test_tags=listener
@test "nothing behind the header is lost or taken: TLS from the first octet" {
	local header

	certs
	serve -o spool="$SPOOL" -o proxy-protocol=yes -o tls=implicit \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key"
	for header in 'PROXY TCP4 192.0.2.7 198.51.100.1 5555 25\r\n' \
	    'PROXY UNKNOWN\r\n' '\r\n\r\n\0\r\nQUIT\n\x20\0\0\x03abc'; do
		printf '%s\n' ">> $header" tls '< 220' '> QUIT' '< 221' |
		    talk
	done
}

@test "without proxy-protocol the header is a command that nobody knows" {
	smtp <<-'END'
		PROXY TCP4 192.0.2.7 198.51.100.1 5555 25
		QUIT
	END
	replies 220 500 221
}

@test "the policy server is told both addresses of the header" {
	echo OK >"$BATS_TEST_TMPDIR/answers"
	serve_with "$PYTHON" "$ROOT/t/policyserver.py" inet:0 \
	    "$BATS_TEST_TMPDIR/answers" "$BATS_TEST_TMPDIR/asked"
	header 'PROXY TCP4 192.0.2.7 198.51.100.1 5555 25\r\n' \
	    -o policy="inet:127.0.0.1:$PORT"
	grep -qx client_address=192.0.2.7 "$BATS_TEST_TMPDIR/asked"
	grep -qx client_port=5555 "$BATS_TEST_TMPDIR/asked"
	grep -qx server_address=198.51.100.1 "$BATS_TEST_TMPDIR/asked"
	grep -qx server_port=25 "$BATS_TEST_TMPDIR/asked"
}

@test "SIGTERM while the header is missing ends the session" {
	SECONDS=0
	client -o proxy-protocol=yes <<-'END'
	import signal, time
	from client import Client
	c = Client()
	c.send(b'PROXY TCP4 ')
	# Signals are blocked when it has got so far as to wait.
	blocked = 1 << signal.SIGTERM - 1
	while True:
	    with open('/proc/%d/status' % c.smtpd.pid) as f:
	        masks = [int(l[8:], 16) for l in f if l.startswith('SigBlk')]
	    if masks[0] & blocked:
	        break
	    time.sleep(0.01)
	start = time.monotonic()
	c.smtpd.terminate()
	assert c.smtpd.wait(20) == 0
	assert time.monotonic() - start < 4, 'not at once'
	assert c.rest() == []
	END
	logged 'service is shutting down'
}

# let ADDRESS PREFIXES, shut ADDRESS PREFIXES: the socket's peer and what
# proxy-from says.
let() {
	REMOTE_ADDR=$1 REMOTE_PORT=1 header \
	    'PROXY TCP4 192.0.2.7 198.51.100.1 5555 25\r\n' -o proxy-from="$2"
	replies 220 250 250 250 354 250 221 || fail "$1 is not in $2"
}

shut() {
	: >"$LOG"
	REMOTE_ADDR=$1 REMOTE_PORT=1 header \
	    'PROXY TCP4 192.0.2.7 198.51.100.1 5555 25\r\n' -o proxy-from="$2"
	[[ -z $output ]] || fail "$1 is in $2" || return
	logged "event=proxy status=refused addr=$1 reason=\"not in proxy-from\""
}

@test "only the balancers of proxy-from may say who the client is" {
	export REMOTE_ADDR REMOTE_PORT
	let 203.0.113.5 203.0.113.5
	let 203.0.113.5 '::1 203.0.113.4/31'
	let 203.0.113.5 0.0.0.0/0
	let 10.255.0.1 10.0.0.0/8
	let 2001:db8::1 2001:db8::/127
	let 2001:db8:80::1 2001:db8:80::/41
	let fe80::1%eth0 fe80::/10
	shut 203.0.113.5 203.0.113.4
	shut 203.0.113.6 203.0.113.4/31
	shut 203.0.113.5 ::/0
	shut 2001:db8::2 '2001:db8::/127 0.0.0.0/0'
	shut 2001:db8:80::1 2001:db8::/41
	shut 203.0.113.5 local
}

@test "a pipe is local in proxy-from" {
	unset REMOTE_ADDR
	header 'PROXY TCP4 192.0.2.7 198.51.100.1 5555 25\r\n' \
	    -o proxy-from='127.0.0.1 local'
	replies 220 250 250 250 354 250 221
	header 'PROXY TCP4 192.0.2.7 198.51.100.1 5555 25\r\n' \
	    -o proxy-from=127.0.0.1
	[[ -z $output ]] || fail "local is 127.0.0.1"
}

# SPDX-License-Identifier: ISC
# Everything at once, with real programs around it: HAProxy in front, which
# tells us the client's address; TLS; AUTH; LMTP; messages by BDAT; and a
# program that delivers to each recipient.

load ../lib

# Clients have an address that HAProxy does not.
CLIENT=127.0.0.9
# What one client sends in one write, once it is inside TLS.
EHLO='LHLO client.test\r\n'
AUTH='AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n'	# alice, secret
MAIL='MAIL FROM:<a@client.test>\r\n'
TO_B='RCPT TO:<b@mx.test>\r\n'
TO_C='RCPT TO:<c@mx.test>\r\n'
CHUNKS='BDAT 16\r\nSubject: hello\r\nBDAT 5\r\n\r\nhelBDAT 4 LAST\r\nlo\r\n'

setup() {
	test_setup
	certs
	OUT=$BATS_TEST_TMPDIR/out
	mkdir "$OUT"
	users >"$BATS_TEST_TMPDIR/users"
	printf '%s@mx.test\n' b c d >"$BATS_TEST_TMPDIR/recipients"
}

# The password of both is "secret": crypt(3) and SCRAM.
users() {
	echo "alice:$(mkpasswd -m sha512crypt -R 1000 secret)"
	echo "bob:$(doveadm pw -s SCRAM-SHA-256 -p secret)"
}

# program: delivers, keeps what it got in $OUT, has no user "c".
program() {
	cat >"$BATS_TEST_TMPDIR/program" <<-END
		#!/bin/sh
		env >"$OUT/env.\$RECIPIENT"
		cat >"$OUT/message.\$RECIPIENT"
		case \$RECIPIENT in
		c@*) exit 67 ;;
		esac
		echo "for \$RECIPIENT"
	END
	chmod 755 "$BATS_TEST_TMPDIR/program"
	DELIVER=(exec="$BATS_TEST_TMPDIR/program {recipient}")
}

# spool: the other way to deliver.
spool() {
	DELIVER=(spool="$SPOOL")
}

# behind_haproxy TLS [OPTION ...]: the server, with that tls setting; HAProxy
# listens on $FRONT.
behind_haproxy() {
	local tls=$1

	shift
	serve -o proxy-protocol=yes -o protocol=lmtp -o tls="$tls" \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key" \
	    -o auth=require -o auth-file="$BATS_TEST_TMPDIR/users" \
	    -o recipients="$BATS_TEST_TMPDIR/recipients" \
	    -o "${DELIVER[@]}" "$@"
	FRONT=$(free_port)
	cat >"$BATS_TEST_TMPDIR/haproxy.cfg" <<-END
		global
		    stats socket $BATS_TEST_TMPDIR/stats
		defaults
		    mode tcp
		    timeout connect 5s
		    timeout client 20s
		    timeout server 20s
		listen smtpd
		    bind 127.0.0.1:$FRONT
		    server one 127.0.0.1:$PORT send-proxy-v2
	END
	background haproxy -db -f "$BATS_TEST_TMPDIR/haproxy.cfg" \
	    >"$BATS_TEST_TMPDIR/haproxy.log" 2>&1
	wait_for test -S "$BATS_TEST_TMPDIR/stats" ||
		cat "$BATS_TEST_TMPDIR/haproxy.log"
}

# client [OPTION ...]: plays the script on standard input, through HAProxy.
client() {
	talk -from "$CLIENT" -ca "$CERTS/ca.pem" -sni mx.test "$@" \
	    127.0.0.1 "$FRONT"
}

# starttls: the script up to TLS.
starttls() {
	printf '%s\n' '< 220' '> LHLO client.test' '< 250 STARTTLS' \
	    '> STARTTLS' '< 220' tls
}

# inside OCTETS REPLY ...: the rest of the script, and of the session: sent at
# once, and what is said to it.
inside() {
	echo ">> $1"
	shift
	printf '< %s\n' "$@"
	echo eof
}

# closed: the last session is over, with all that it logs.
closed() {
	wait_for logged event=close
}

# Nobody but the client is ever named.
only_the_client() {
	logged "event=connect addr=$CLIENT "
	! grep -a 'addr=' "$LOG" | grep -avF "addr=$CLIENT" ||
		fail 'another address'
}

# body FILE OCTETS: exactly these (as of printf %b) follow our own header.
body() {
	"$PYTHON" - "$1" "$2" <<-'END'
		import re, sys
		data = open(sys.argv[1], "rb").read()
		end = re.search(rb"\nReceived:.*\n([ \t].*\n)*", data).end()
		want = sys.argv[2].encode().decode("unicode_escape")
		if data[end:] != want.encode("latin-1"):
		    sys.exit("%r, expected %r" % (data[end:], want))
	END
}

# envelope RECIPIENT USER: what its program was told, and what the message's
# header says.
envelope() {
	local line text

	text=$(sed '/^\tfor </q' "$OUT/message.$1" | tr -d '\r')
	for line in "SENDER=a@client.test" "RECIPIENT=$1" \
	    "REMOTE_ADDR=$CLIENT" HELO=client.test PROTOCOL=LMTPSA \
	    "AUTH_USER=$2" TLS_PROTOCOL=TLSv1.3 \
	    "MESSAGE_SIZE=$(wc -c <"$OUT/message.$1")"; do
		grep -qxF "$line" "$OUT/env.$1" ||
			fail "$line: $(<"$OUT/env.$1")" || return
	done
	# HAProxy's own port would be 0 or another; the log has the client's.
	grep -qF "port=$(sed -n 's/^REMOTE_PORT=//p' "$OUT/env.$1")" "$LOG" ||
		fail "port: $(<"$OUT/env.$1")" || return
	[[ $text == *$'\n'"Delivered-To: $1"$'\n'* &&
	    $text == *"from client.test ([$CLIENT])"* &&
	    $text == *'with LMTPSA id '* && $text == *'(TLSv1.3 '* ]] ||
		fail "$text"
}

# delivered USER: to b, and not to c, whom the program does not know.
delivered() {
	closed
	body "$OUT/message.b@mx.test" 'Subject: hello\n\nhello\n'
	cmp <(sed '1,/^Subject/d' "$OUT/message.b@mx.test") \
	    <(sed '1,/^Subject/d' "$OUT/message.c@mx.test")
	envelope b@mx.test "$1"
	envelope c@mx.test "$1"
	logged "status=accepted size=25 recipients=2 from=a@client.test \
to=b@mx.test user=$1 addr=$CLIENT"
	logged "status=refused size=25 recipients=2 from=a@client.test \
to=c@mx.test user=$1 addr=$CLIENT"
	logged 'event=program exit=67 recipient=c@mx.test'
	logged 'messages=1 accepted=1'
	only_the_client
	not_logged event=error
	not_logged secret
}

# The whole of it, and what is said to it.
WHOLE=("$EHLO$AUTH$MAIL$TO_B$TO_C${CHUNKS}QUIT\r\n" '250 AUTH SCRAM' 235
    250 '250 2.1.5' '250 2.1.5' '250 2.0.0 Chunk' '250 2.0.0 Chunk'
    '250 2.0.0 for b@mx.test' '550 5.1.1' 221)

@test "STARTTLS: all in one write, a reply for each recipient" {
	program
	behind_haproxy require
	{ starttls; inside "${WHOLE[@]}"; } | client
	delivered alice
	logged 'status=ok mechanism=PLAIN user=alice addr='"$CLIENT"
}

@test "STARTTLS: all of it octet by octet" {
	program
	behind_haproxy require
	{ starttls; inside "${WHOLE[@]}"; } | client -b
	delivered alice
}

@test "implicit TLS: all in one write, a reply for each recipient" {
	program
	behind_haproxy implicit
	{ echo '< 220'; inside "${WHOLE[@]}"; } | client -tls
	delivered alice
}

@test "implicit TLS: all of it octet by octet" {
	program
	behind_haproxy implicit
	{ echo '< 220'; inside "${WHOLE[@]}"; } | client -tls -b
	delivered alice
}

@test "the spool has one message for both" {
	spool
	behind_haproxy require
	{ starttls; inside "$EHLO$AUTH$MAIL$TO_B$TO_C${CHUNKS}QUIT\r\n" \
	    250 235 250 250 250 250 250 250 250 221; } | client
	closed
	messages 1
	[[ $(message) == *"from client.test ([$CLIENT])"* ]]
	[[ $(message) == *'with LMTPSA id '* ]]
	[[ $(message | grep ^Delivered-To:) == \
	    $'Delivered-To: b@mx.test\nDelivered-To: c@mx.test' ]]
	body "$SPOOL"/new/* 'Subject: hello\n\nhello\n'
	only_the_client
}

@test "a recipient off the list has a reply to RCPT and none after it" {
	program
	behind_haproxy require
	{ starttls; inside \
	    "$EHLO$AUTH$MAIL${TO_C}RCPT TO:<x@mx.test>\r\n$TO_B${CHUNKS}QUIT\r\n" \
	    250 235 250 250 '550 5.1.1' 250 250 250 '550 5.1.1' \
	    '250 2.0.0 for b@mx.test' 221; } | client
	closed
	logged "event=recipient status=refused code=550 from=a@client.test \
to=x@mx.test addr=$CLIENT"
	[[ ! -e $OUT/env.x@mx.test ]]
	only_the_client
}

@test "two messages in one write, and the second without the first's state" {
	program
	behind_haproxy require
	{ starttls; inside "$EHLO$AUTH$MAIL$TO_B$CHUNKS$(
	    )MAIL FROM:<>\r\nRCPT TO:<d@mx.test>\r\nBDAT 3 LAST\r\nxyzQUIT\r\n" \
	    250 235 250 250 250 250 '250 2.0.0 for b@mx.test' \
	    250 250 '250 2.0.0 for d@mx.test' 221; } | client
	closed
	body "$OUT/message.b@mx.test" 'Subject: hello\n\nhello\n'
	body "$OUT/message.d@mx.test" '\nxyz'
	grep -qx SENDER= "$OUT/env.d@mx.test"
	grep -qx AUTH_USER=alice "$OUT/env.d@mx.test"
	logged 'messages=2 accepted=2'
}

# binary [OPTION ...]: every octet there is, in chunks that end inside of a
# CRLF; in $OCTETS.
binary() {
	local i

	OCTETS='\r\n.\r'
	for ((i = 0; i < 256; i++)); do
		OCTETS+=$(printf '\\x%02x' $i)
	done
	OCTETS+='\n.\n\r\r\n'
	{ starttls; inside "$EHLO${AUTH}MAIL FROM:<a@client.test> $(
	    )BODY=BINARYMIME\r\n${TO_B}BDAT 1\r\n\rBDAT 3\r\n\n.\rBDAT 262 $(
	    )LAST\r\n${OCTETS:7}QUIT\r\n" \
	    250 235 250 250 250 250 '250 2.0.0' 221; } | client "$@"
	closed
}

@test "BINARYMIME to the program, octet for octet" {
	program
	behind_haproxy require
	binary
	body "$OUT/message.b@mx.test" "$OCTETS"
	grep -qx BODY=BINARYMIME "$OUT/env.b@mx.test"
	envelope b@mx.test alice
}

@test "BINARYMIME to the spool, octet for octet, sent octet by octet" {
	spool
	behind_haproxy require
	binary -b
	messages 1
	body "$SPOOL"/new/* "$OCTETS"
}

# Whatever is said to it: a chunk is octets, not commands.
SWALLOWED='MAIL FROM:<x@x.test>\r\n'		# 22

@test "in clear there is no AUTH and no MAIL, and chunks are swallowed" {
	program
	behind_haproxy require
	{ echo '< 220'; inside "$EHLO$AUTH${MAIL}BDAT 22 LAST\r\n$(
	    )${SWALLOWED}NOOP\r\nQUIT\r\n" \
	    '250 STARTTLS' 530 530 530 250 221; } | client
	closed
	not_logged event=auth
	only_the_client
}

@test "inside TLS: no MAIL before AUTH, and chunks are swallowed" {
	program
	behind_haproxy require
	{ starttls; inside "$EHLO$MAIL$(
	    )BDAT 22\r\n${SWALLOWED}BDAT 22 LAST\r\n$SWALLOWED$AUTH$(
	    )BDAT 22 LAST\r\n$SWALLOWED$MAIL$(
	    )BDAT 22 LAST\r\n${SWALLOWED}QUIT\r\n" \
	    250 '530 5.7.0' 503 503 235 503 250 503 221; } | client
	closed
	[[ -z $(ls "$OUT") ]]
	logged 'messages=1 accepted=0'
}

@test "a wrong password is 535, and the log says whose address" {
	program
	behind_haproxy require
	{ starttls; inside "${EHLO}AUTH PLAIN AGFsaWNlAHdyb25n\r\n$(
	    )${MAIL}BDAT 22 LAST\r\n${SWALLOWED}QUIT\r\n" \
	    250 '535 5.7.8' 530 503 221; } | client
	closed
	logged "event=auth status=failed mechanism=PLAIN user=alice addr=$CLIENT"
	not_logged wrong
	only_the_client
}

@test "too large: the chunk that is is refused, and those after it" {
	program
	behind_haproxy require -o max-size=24
	{ starttls; inside "$EHLO$AUTH$MAIL$TO_B$TO_C${CHUNKS}NOOP\r\n$(
	    )$MAIL$TO_B${TO_C}BDAT 16\r\nSubject: hello\r\n$(
	    )BDAT 8 LAST\r\n\r\nhell\r\nQUIT\r\n" \
	    250 235 250 250 250 250 250 552 552 250 \
	    250 250 250 250 '250 2.0.0 for b@mx.test' '550 5.1.1' 221; } |
		client
	closed
	body "$OUT/message.b@mx.test" 'Subject: hello\n\nhell\n'
	logged "status=refused recipients=2 from=a@client.test \
to=b@mx.test,c@mx.test user=alice addr=$CLIENT number=1 \
why=\"Message too big\""
	logged 'messages=2 accepted=1'
	only_the_client
}

@test "bare line ends refuse the message, and no smuggled one is run" {
	program
	behind_haproxy require -o stray-newline=refuse
	{ starttls; inside "$EHLO$AUTH$MAIL$TO_B${TO_C}BDAT 32 LAST\r\n$(
	    )hello\n.\r\n${SWALLOWED}xNOOP\r\nQUIT\r\n" \
	    250 235 250 250 250 '550 5.6.0' '550 5.6.0' 250 221; } | client
	closed
	[[ -z $(ls "$OUT") ]]
}

@test "a client that is gone in the middle of a chunk leaves nothing" {
	program
	behind_haproxy require
	{
		starttls
		printf '%s\n' \
		    ">> $EHLO$AUTH$MAIL$TO_B${TO_C}BDAT 100 LAST\\r\\nhello"
		printf '< %s\n' 250 235 250 250 250
		echo close
	} | client
	closed
	[[ -z $(ls "$OUT") ]]
	logged 'messages=1 accepted=0'
	only_the_client
}

@test "octets that came with STARTTLS end the session" {
	program
	behind_haproxy require
	printf '%s\n' '< 220' '> LHLO client.test' '< 250' \
	    ">> STARTTLS\\r\\n$EHLO$AUTH$MAIL${TO_B}BDAT 6 LAST\\r\\nevil\\r\\n" \
	    '< 554' eof | client
	closed
	[[ -z $(ls "$OUT") ]]
	not_logged event=auth
	not_logged event=message
	only_the_client
}

@test "implicit TLS: commands in clear are not a handshake" {
	program
	behind_haproxy implicit
	printf '%s\n' ">> $EHLO$AUTH$MAIL${TO_B}BDAT 6 LAST\\r\\nevil\\r\\n" \
	    records | client
	closed
	[[ -z $(ls "$OUT") ]]
	logged 'event=tls status=failed'
	not_logged event=auth
	only_the_client
}

@test "msmtp: LMTP, STARTTLS and SCRAM" {
	program
	behind_haproxy require
	printf '%s\n' 'Subject: hello' '' hello | msmtp --file=/dev/null \
	    --protocol=lmtp --host=127.0.0.1 --port="$FRONT" \
	    --source-ip="$CLIENT" --domain=client.test --tls=on \
	    --tls-trust-file="$CERTS/ca.pem" --tls-host-override=mx.test \
	    --auth=scram-sha-256 --user=bob --passwordeval='echo secret' \
	    --from=a@client.test b@mx.test
	closed
	envelope b@mx.test bob
	logged "status=ok mechanism=SCRAM-SHA-256 user=bob addr=$CLIENT"
	only_the_client
}

@test "SCRAM, then a message by BDAT" {
	program
	behind_haproxy require
	"$PYTHON" - "$CLIENT" "$FRONT" "$CERTS/ca.pem" <<-'END'
		import hashlib, hmac, smtplib, ssl, sys
		from base64 import b64decode, b64encode

		def mac(key, text):
		    return hmac.new(key, text.encode(), "sha256").digest()

		smtp = smtplib.LMTP("127.0.0.1", int(sys.argv[2]),
		    "client.test", (sys.argv[1], 0))
		def said(code, line, text=b""):
		    smtp.send(line.encode() + text)
		    reply = smtp.getreply()
		    assert reply[0] == code, reply
		    return reply[1]

		smtp._host = "mx.test"
		smtp.ehlo()
		smtp.starttls(context=ssl.create_default_context(
		    cafile=sys.argv[3]))
		smtp.ehlo()
		assert "SCRAM-SHA-256" in smtp.esmtp_features["auth"]
		bare = "n=bob,r=nonce"
		first = b64decode(said(334, "AUTH SCRAM-SHA-256 " +
		    b64encode(b"n,," + bare.encode()).decode() +
		    "\r\n")).decode()
		field = dict(part.split("=", 1) for part in first.split(","))
		key = hashlib.pbkdf2_hmac("sha256", b"secret",
		    b64decode(field["s"]), int(field["i"]))
		final = "c=biws,r=" + field["r"]
		text = ",".join((bare, first, final))
		client = mac(key, "Client Key")
		sign = mac(hashlib.sha256(client).digest(), text)
		proof = bytes(a ^ b for a, b in zip(client, sign))
		final += ",p=" + b64encode(proof).decode()
		server = b64decode(said(334, b64encode(
		    final.encode()).decode() + "\r\n"))
		assert server == b"v=" + b64encode(
		    mac(mac(key, "Server Key"), text)), server
		said(235, "\r\n")
		said(250, "MAIL FROM:<a@client.test> SIZE=25\r\n")
		said(250, "RCPT TO:<b@mx.test>\r\n")
		said(250, "RCPT TO:<c@mx.test>\r\n")
		said(250, "BDAT 16\r\n", b"Subject: hello\r\n")
		said(250, "BDAT 9 LAST\r\n", b"\r\nhello\r\n")
		assert smtp.getreply()[0] == 550
		said(221, "QUIT\r\n")
	END
	delivered bob
	logged 'mechanism=SCRAM-SHA-256 user=bob'
}

# wire TLS: as HAProxy would pass it on, but each octet in a segment of its
# own: of the PROXY header, of the handshake and of each record.
wire() {
	"$PYTHON" - "$PORT" "$CERTS/ca.pem" "$1" <<-'END'
		import socket, ssl, sys
		sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
		sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		def out(data):
		    for i in range(len(data)):
		        sock.send(data[i:i + 1])

		def until(text, read):
		    data = b""
		    while text not in data:
		        more = read()
		        assert more, data
		        data += more
		    return data

		def clear():
		    return sock.recv(1)

		to, fro = ssl.MemoryBIO(), ssl.MemoryBIO()
		tls = ssl.create_default_context(
		    cafile=sys.argv[2]).wrap_bio(to, fro,
		    server_hostname="mx.test")
		def step(what, *arguments):
		    while True:
		        try:
		            result = what(*arguments)
		            out(fro.read())
		            return result
		        except ssl.SSLWantReadError:
		            out(fro.read())
		            data = sock.recv(65536)
		            to.write(data) if data else to.write_eof()

		def inside():
		    return step(tls.read, 65536)

		# 127.0.0.9, port 1234.
		out(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x09"
		    b"\x7f\0\0\1\x04\xd2\0\x19")
		if sys.argv[3] == "require":
		    until(b"220 mx.test", clear)
		    until(b"\n", clear)
		    out(b"LHLO client.test\r\n")
		    until(b"250 HELP\r\n", clear)
		    out(b"STARTTLS\r\n")
		    until(b"\n", clear)
		step(tls.do_handshake)
		step(tls.write, b"LHLO client.test\r\n"
		    b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"
		    b"MAIL FROM:<a@client.test>\r\n"
		    b"RCPT TO:<b@mx.test>\r\nRCPT TO:<c@mx.test>\r\n"
		    b"BDAT 16\r\nSubject: hello\r\n"
		    b"BDAT 5\r\n\r\nhelBDAT 4 LAST\r\nlo\r\nQUIT\r\n")
		said = until(b"\r\n221 ", inside)
		assert b"\r\n250 2.0.0 for b@mx.test\r\n550 5.1.1 " in said, said
	END
}

@test "each octet in a segment of its own, STARTTLS" {
	program
	behind_haproxy require
	wire require
	delivered alice
	logged port=1234
}

@test "each octet in a segment of its own, implicit TLS" {
	program
	behind_haproxy implicit
	wire implicit
	delivered alice
	logged port=1234
}

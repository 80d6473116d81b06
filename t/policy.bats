# SPDX-License-Identifier: ISC
# The questions to a policy server, and what its answers do.

load auth
load lib
load table
load tls

# answering ANSWER ...: a policy server; see policyserver.py.
answering() {
	printf '%s\n' "$@" >"$BATS_TEST_TMPDIR/answers"
	ASKED=$BATS_TEST_TMPDIR/asked
	POLICY=unix:$BATS_TEST_TMPDIR/policy
	rm -f "$BATS_TEST_TMPDIR/ready"
	"$PYTHON" "$ROOT/t/policyserver.py" "$POLICY" \
	    "$BATS_TEST_TMPDIR/answers" "$ASKED" \
	    >"$BATS_TEST_TMPDIR/ready" 2>>"$LOG" 3>&- &
	SERVERS+=($!)
	wait_for grep -q ready "$BATS_TEST_TMPDIR/ready"
}

# rcpt NUMBER [ARGUMENT ...]: a session with so many recipients and no message.
rcpt() {
	local n=$1 i

	shift
	{
		echo 'EHLO client.test'
		echo 'MAIL FROM:<a@client.test>'
		for ((i = 1; i <= n; i++)); do
			echo "RCPT TO:<r$i@mx.test>"
		done
		echo QUIT
	} >"$BATS_TEST_TMPDIR/in"
	smtp -o spool="$SPOOL" -o policy="$POLICY" "$@" \
	    <"$BATS_TEST_TMPDIR/in"
}

# mail [ARGUMENT ...]: a session with one message to r1@mx.test.
mail() {
	smtp -o spool="$SPOOL" "$@" <<-'END'
		EHLO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		DATA
		Subject: hello

		text
		.
		QUIT
	END
}

# asked NAME=VALUE: in some question.
asked() {
	grep -qxF -e "$1" "$ASKED" || {
		cat "$ASKED"
		fail "not asked: $1"
	}
}

refused() {
	local reply=$1

	shift
	answering "$@"
	rcpt 1
	[[ ${lines[-2]} == "$reply" ]] || fail "expected: $reply"
}

@test "an answer that accepts: OK, PERMIT, DUNNO, in any case" {
	answering OK PERMIT DUNNO dunno 'OK with words' DEFER_IF_REJECT
	rcpt 6
	said '250 2.1.0'
	[[ $(grep -c '^250 2.1.5' <<<"$output") == 6 ]] || fail 'not six'
}

@test "REJECT is 554 5.7.1, with a text of its own if it has one" {
	refused '554 5.7.1 Access denied' REJECT
	rm "$BATS_TEST_TMPDIR/policy"
	refused '554 5.7.1 No, thanks' 'REJECT No, thanks'
}

@test "REJECT with an enhanced status code" {
	refused '554 5.1.1 Never heard of' 'reject 5.1.1 Never heard of'
}

@test "an enhanced status code of the wrong class gets the right one" {
	refused '554 5.2.1 Full' 'REJECT 4.2.1 Full'
}

@test "DEFER and DEFER_IF_PERMIT are 450" {
	refused '450 4.7.1 Try later' DEFER
	rm "$BATS_TEST_TMPDIR/policy"
	refused '450 4.7.1 Greylisted' 'DEFER_IF_PERMIT Greylisted'
}

@test "a reply code with and without a text" {
	refused '450 4.2.0 Later' '450 4.2.0 Later'
	rm "$BATS_TEST_TMPDIR/policy"
	refused '571 5.7.1 Blocked' '571 Blocked'
	rm "$BATS_TEST_TMPDIR/policy"
	refused '550 5.7.1 Refused' 550
}

@test "a refused recipient leaves the others alone" {
	answering OK 'REJECT no' OK
	rcpt 3
	replies 220 250 250 250 554 250 221
}

@test "all attributes of a recipient are sent" {
	answering OK
	REMOTE_ADDR=192.0.2.7 REMOTE_PORT=4711 smtp -o spool="$SPOOL" \
	    -o policy="$POLICY" <<-'END'
		EHLO client.test
		MAIL FROM:<a@client.test> SIZE=1234
		RCPT TO:<r1@mx.test>
		QUIT
	END
	[[ $(sed -n 2p "$ASKED") == request=smtpd_access_policy ]]
	asked protocol_state=RCPT
	asked protocol_name=ESMTP
	asked helo_name=client.test
	asked sender=a@client.test
	asked recipient=r1@mx.test
	asked recipient_count=0
	asked client_address=192.0.2.7
	asked client_port=4711
	asked client_name=unknown
	asked reverse_client_name=unknown
	asked size=1234
	grep -qE '^instance=[^.]+\.[0-9]+$' "$ASKED"
	grep -qE '^queue_id=.' "$ASKED"
}

@test "a client without an address is at home" {
	answering OK
	rcpt 1
	asked client_address=127.0.0.1
	asked client_name=localhost
}

@test "IPv6: a zone is left out" {
	answering OK
	REMOTE_ADDR=fe80::1%eth0 REMOTE_PORT=1 rcpt 1
	asked client_address=fe80::1
}

# bats test_tags=listener
@test "behind tcpserver the server's address is told" {
	answering OK
	serve -o spool="$SPOOL" -o policy="$POLICY"
	talk <<-'END'
		< 220
		> EHLO client.test
		< 250
		> MAIL FROM:<>
		< 250
		> RCPT TO:<r1@mx.test>
		< 250
		> QUIT
		< 221
		eof
	END
	asked sender=
	asked client_address=127.0.0.1
	asked client_name=unknown
	asked server_address=127.0.0.1
	asked "server_port=$PORT"
}

@test "a user who has logged in is told" {
	answering OK
	smtp -o spool="$SPOOL" -o policy="$POLICY" -o auth-any=yes \
	    -o auth-cleartext=yes <<-END
		EHLO client.test
		AUTH PLAIN $(printf '\0joe\0secret' | base64)
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		QUIT
	END
	replies 220 250 235 250 250 221
	asked sasl_method=PLAIN
	asked sasl_username=joe
	! grep -q secret "$ASKED"
}

# inside [ARGUMENT ...] [-- OPTION OF TALK ...]: a recipient, after STARTTLS.
inside() {
	local arguments=()

	certs
	while (($# > 0)) && [[ $1 != -- ]]; do
		arguments+=("$1")
		shift
	done
	shift || true
	answering OK
	talk "$@" -- "$SMTPD" -o hostname=mx.test -o spool="$SPOOL" \
	    -o policy="$POLICY" -o tls-cert="$CERTS/ec.pem" \
	    -o tls-key="$CERTS/ec.key" "${arguments[@]}" <<-'END'
		< 220
		> EHLO client.test
		< 250
		> STARTTLS
		< 220
		tls
		> EHLO client.test
		< 250
		> MAIL FROM:<a@client.test>
		< 250
		> RCPT TO:<r1@mx.test>
		< 250
		> QUIT
		< 221
	END
}

# prints FILE: the fingerprints of a certificate, and of its key, are asked.
prints() {
	asked "ccert_fingerprint=$(openssl x509 -in "$1" -noout -sha256 \
	    -fingerprint | cut -d = -f 2)"
	asked "ccert_pubkey_fingerprint=$(openssl x509 -in "$1" -noout \
	    -pubkey | openssl pkey -pubin -outform DER |
	    openssl dgst -sha256 -c | sed 's/.*= //' | tr a-f A-F)"
}

@test "TLS is told" {
	inside -- -sni mx.test
	asked encryption_protocol=TLSv1.3
	asked encryption_cipher=TLS_AES_128_GCM_SHA256
	asked encryption_keysize=128
	asked tls_sni=mx.test
	! grep ccert_ "$ASKED" || fail
}

@test "no TLS: the size of its key is 0" {
	answering OK
	rcpt 1
	asked encryption_keysize=0
	! grep -E '^(encryption_[cp]|tls_|ccert_)' "$ASKED" || fail
}

@test "a client's certificate is told" {
	certs
	inside -o tls-client-ca="$CERTS/ca.pem" -- \
	    -cert "$CERTS/client.pem" -key "$CERTS/client.key"
	asked ccert_subject=client.test
	asked ccert_issuer=Test+20CA
	prints "$CERTS/client.pem"
}

@test "a client's certificate is told of a resumed session as well" {
	local kind

	certs
	head -c 64 /dev/urandom >"$BATS_TEST_TMPDIR/tickets"
	for kind in full resumed; do
		rm -f "$BATS_TEST_TMPDIR"/{policy,asked}
		# Not by run: its servers would be nobody's to end.
		inside -o tls-client-ca="$CERTS/ca.pem" \
		    -o tls-ticket-key="$BATS_TEST_TMPDIR/tickets" -- \
		    -session "$BATS_TEST_TMPDIR/session" \
		    -cert "$CERTS/client.pem" -key "$CERTS/client.key" \
		    >"$BATS_TEST_TMPDIR/talk"
		output=$(<"$BATS_TEST_TMPDIR/talk")
		said "TLS_AES_128_GCM_SHA256 $kind"
		asked ccert_subject=client.test
		asked ccert_issuer=Test+20CA
		prints "$CERTS/client.pem"
	done
}

@test "a certificate that is not verified has fingerprints, but no names" {
	certs
	own CN=other.test tls_www_client 2099 self
	inside -o tls-client-ca="$CERTS/ca.pem" -- "${OWN[@]}"
	! grep -E '^ccert_(subject|issuer)=' "$ASKED" || fail
	prints "$BATS_TEST_TMPDIR/own.pem"
}

@test "one of tls-client-fingerprints has its name there" {
	certs
	own CN=other.test tls_www_client 2099 self
	echo "$(openssl x509 -in "$BATS_TEST_TMPDIR/own.pem" -noout -sha256 \
	    -fingerprint | cut -d = -f 2) a printer" >"$BATS_TEST_TMPDIR/list"
	inside -o tls-client-fingerprints="$BATS_TEST_TMPDIR/list" -- \
	    "${OWN[@]}"
	asked ccert_subject=a+20printer
	asked ccert_issuer=other.test
	prints "$BATS_TEST_TMPDIR/own.pem"
}

# What could be another line, or another attribute, in a question.

# one_each: each attribute of each question is there once, is one that
# there is, and has no control octet in its value; nothing is forged.
one_each() {
	"$PYTHON" - "$ASKED" <<-'END'
		import re, sys
		with open(sys.argv[1], "rb") as f:
		    asked = f.read()
		questions = re.split(rb"(?m)^-- connection \d+\n", asked)[1:]
		known = b"""request protocol_state protocol_name helo_name
		    queue_id instance sender client_address client_name
		    reverse_client_name client_port server_address server_port
		    sasl_method sasl_username sasl_sender encryption_protocol
		    encryption_cipher encryption_keysize tls_sni ccert_subject
		    ccert_issuer ccert_fingerprint ccert_pubkey_fingerprint
		    recipient recipient_count size""".split()
		assert questions
		for question in questions:
		    lines = question.split(b"\n")
		    assert lines.pop() == b"", question
		    names = [line.split(b"=", 1)[0] for line in lines]
		    assert len(set(names)) == len(names), names
		    assert set(names) <= set(known), names
		    assert not re.search(rb"[\0-\x09\x0b-\x1f\x7f]", question)
		    for line in lines:
		        if line.startswith((b"request=", b"size=")):
		            assert line in (b"request=smtpd_access_policy",
		                b"size=0"), line
	END
}

@test "a hostile name, addresses and user are one attribute each" {
	answering OK
	table -o spool="$SPOOL" -o policy="$POLICY" -o auth-any=yes \
	    -o auth-cleartext=yes -o max-auth-failures=0 <<-END
		501|EHLO x\\rsize=1
		501|EHLO x\\0size=1
		250|EHLO x size=1\\trequest=junk
		535|AUTH PLAIN $(plain 'me\nsize=1' p)
		235|AUTH PLAIN $(plain 'me size=1' p)
		501|MAIL FROM:<"a\\rsize=1"@client.test>
		250|MAIL FROM:<a@client.test> AUTH=a+0Asize+3D1@x.test
		250|RSET
		250|MAIL FROM:<"a size=1 request=junk"@b.test> AUTH=a+3D1@x.test
		501|RCPT TO:<"b\\rsize=1"@mx.test>
		250|RCPT TO:<size=1/request=junk>
		250|RCPT TO:<"size=1 request=junk"@mx.test>
		250|RCPT TO:<request=junk@x_size.test>
		221|QUIT
	END
	one_each
	asked 'helo_name=x?size?1?request?junk'
	asked 'sasl_username=me size=1'
	asked 'recipient="size=1 request=junk"@mx.test'
}

@test "a hostile name in a certificate is one attribute" {
	certs
	own CN=x tls_www_client		# for its key
	openssl req -x509 -key "$BATS_TEST_TMPDIR/own.key" \
	    -subj $'/CN=x\nsize=1\n\nrequest=junk' \
	    -out "$BATS_TEST_TMPDIR/hostile.pem"
	echo "$(openssl x509 -in "$BATS_TEST_TMPDIR/hostile.pem" -noout \
	    -sha256 -fingerprint | cut -d = -f 2) size=1 x" \
	    >"$BATS_TEST_TMPDIR/list"
	inside -o tls-client-fingerprints="$BATS_TEST_TMPDIR/list" -- \
	    -cert "$BATS_TEST_TMPDIR/hostile.pem" \
	    -key "$BATS_TEST_TMPDIR/own.key"
	one_each
	asked ccert_subject=size+3D1+20x
	asked ccert_issuer=x+0Asize+3D1+0A+0Arequest+3Djunk
}

@test "transactions of a session differ in their instance, recipients do not" {
	answering OK
	smtp -o spool="$SPOOL" -o policy="$POLICY" <<-'END'
		HELO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		RCPT TO:<r2@mx.test>
		RSET
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		QUIT
	END
	asked protocol_name=SMTP
	[[ $(grep -c ^instance= "$ASKED") == 3 ]]
	[[ $(grep ^instance= "$ASKED" | uniq -c | awk '{ print $1 }') == \
	    $'2\n1' ]]
}

@test "one connection serves the session, and both settings" {
	answering OK
	smtp -o spool="$SPOOL" -o policy="$POLICY" \
	    -o policy-end="$POLICY" <<-'END'
		EHLO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		RCPT TO:<r2@mx.test>
		DATA
		.
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		QUIT
	END
	[[ $(grep -c '^-- connection 1$' "$ASKED") == 4 ]]
	! grep -q '^-- connection 2$' "$ASKED"
}

@test "a kept connection that the server has closed is opened again" {
	answering '!OK' '!DUNNO' '!REJECT no'
	rcpt 3
	replies 220 250 250 250 250 554 221
	asked '-- connection 3'
	not_logged event=error
}

@test "a server that closes without an answer: 451, asked twice at the most" {
	answering '!'
	rcpt 1
	replies 220 250 250 451 221
	said '451 4.3.5'
	logged "on=$POLICY"
	[[ $(grep -c '^-- connection' "$ASKED") -le 2 ]]
}

@test "no server: 451, and accepted if policy-fail says so" {
	POLICY=unix:$BATS_TEST_TMPDIR/nobody
	rcpt 1
	replies 220 250 250 451 221
	logged "$BATS_TEST_TMPDIR/nobody"
	rcpt 1 -o policy-fail=accept
	replies 220 250 250 250 221
}

@test "TCP: by address, by localhost, nobody there" {
	printf 'REJECT by TCP\n' >"$BATS_TEST_TMPDIR/answers"
	serve_with "$PYTHON" "$ROOT/t/policyserver.py" inet:0 \
	    "$BATS_TEST_TMPDIR/answers" "$BATS_TEST_TMPDIR/asked"
	POLICY=inet:127.0.0.1:$PORT
	rcpt 1
	said '554 5.7.1 by TCP'
	POLICY=inet:localhost:$PORT
	rcpt 1
	said '554 5.7.1 by TCP'
	POLICY=inet:[::1]:$PORT
	rcpt 1
	replies 220 250 250 451 221
}

@test "a server that says nothing: 451 after the timeout, one wait a message" {
	answering =
	SECONDS=0
	rcpt 3 -o timeout=2
	replies 220 250 250 451 451 451 221
	((SECONDS < 6)) || fail "took $SECONDS s"
	[[ $(grep -c '^request=' "$ASKED") == 1 ]]
}

@test "SIGTERM while a policy server is asked: 451 and 421 at once" {
	answering =
	SECONDS=0
	ASKED=$ASKED client -o spool="$SPOOL" -o policy="$POLICY" \
	    -o policy-fail=accept <<-'END'
	import os, time
	from client import Client
	c = Client()
	c.send(b'EHLO c\r\nMAIL FROM:<a@c>\r\nRCPT TO:<b@mx.test>\r\n')
	while not os.path.exists(os.environ['ASKED']):
	    time.sleep(0.01)
	c.smtpd.terminate()
	text = c.rest()
	assert text[-2].startswith('451 '), text
	assert text[-1].startswith('421 4.3.2 '), text
	assert c.smtpd.wait(20) == 0
	END
	((SECONDS < 30))
}

# full SCRIPT: Python with a policy server whose backlog is full, and smtpd, which
# asks it.
full() {
	{
		cat <<-'END'
		import os, socket
		from client import Client
		server = socket.socket(socket.AF_UNIX)
		server.bind(os.environ['FULL'])
		server.listen(0)
		first = socket.socket(socket.AF_UNIX)
		first.connect(os.environ['FULL'])
		c = Client()
		END
		cat
	} | FULL=$BATS_TEST_TMPDIR/full client -o spool="$SPOOL" \
	    -o policy="unix:$BATS_TEST_TMPDIR/full"
}

@test "SIGTERM while a policy server does not take the connection" {
	SECONDS=0
	full <<-'END'
	c.hear(b'220')
	c.ask(b'HELO c', b'250')
	c.ask(b'MAIL FROM:<a@c>', b'250')
	c.send(b'RCPT TO:<b@mx.test>\r\n')
	c.until_read()
	c.smtpd.terminate()
	text = c.rest()
	assert text[-2].startswith('451 '), text
	assert text[-1].startswith('421 4.3.2 '), text
	assert c.smtpd.wait(20) == 0
	END
	((SECONDS < 30))
}

@test "a server whose backlog is full is tried until it takes us" {
	full <<-'END'
	c.send(b'HELO c\r\nMAIL FROM:<a@c>\r\nRCPT TO:<b@mx.test>\r\n')
	c.until_read()
	server.accept()
	asked = server.accept()[0]
	assert asked.recv(10000).endswith(b'\n\n')
	asked.sendall(b'action=REJECT at last\n\n')
	c.send(b'QUIT\r\n')
	text = c.rest()
	assert text[-2].startswith('554 5.7.1 at last'), text
	assert c.smtpd.wait(20) == 0
	END
}

@test "an answer without an end times out" {
	answering '=action=OK\n'
	rcpt 1 -o timeout=1
	replies 220 250 250 451 221
}

@test "garbage is 451 and logged" {
	answering '=\n\n' '=hello\n\n' '=action\n\n' '=action=\n\n' \
	    '=action=OK\0\n\n' '=\0\xff\xfe\n\n'
	rcpt 6
	replies 220 250 250 451 451 451 451 451 451 221
	[[ $(grep -c 'event=error' "$LOG") == 6 ]]
}

@test "something behind the answer is 451, and nothing of it is the next answer" {
	answering '=action=OK\n\naction=OK\n\n' 'REJECT second'
	rcpt 2
	replies 220 250 250 451 554 221
}

@test "an answer that is too long is 451" {
	answering "REJECT $(printf '%5000d' 0)" OK
	rcpt 2
	replies 220 250 250 451 250 221
}

@test "a long text is cut to one reply line" {
	answering "REJECT $(printf '%03000d' 0)"
	rcpt 1
	replies 220 250 250 554 221
	((${#lines[-2]} < 300)) || fail "${#lines[-2]} octets"
}

@test "control characters and Latin-1 of a text do not reach the client" {
	answering '=action=REJECT a\r\x1b[1m\xe4b\n\n'
	rcpt 1
	replies 220 250 250 554 221
	! grep -qP '[\x00-\x08\x0b-\x1f\x80-\xff]' <<<"$output"
	! grep -qP '[\x00-\x08\x0b-\x1f]' "$LOG"
}

@test "other lines of an answer are passed over" {
	answering '=name=value\naction=REJECT found\nmore=1\n\n'
	rcpt 1
	said '554 5.7.1 found'
}

@test "actions that only Postfix can do are 451 and logged" {
	answering HOLD 'FILTER smtp:[127.0.0.1]' 'REDIRECT x@y' 'BCC x@y' \
	    reject_unauth_destination 299 600 'STRIP x'
	rcpt 8
	replies 220 250 250 451 451 451 451 451 451 451 451 221
	logged HOLD
	logged FILTER
}

@test "INFO and WARN are logged and accepted" {
	answering 'INFO looks odd' 'WARN very odd'
	rcpt 2
	replies 220 250 250 250 250 221
	logged 'looks odd'
	logged 'very odd'
}

@test "PREPEND puts header lines on top of the message" {
	answering 'PREPEND X-First: 1' 'PREPEND X-Second:two'
	smtp -o spool="$SPOOL" -o policy="$POLICY" <<-'END'
		EHLO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		RCPT TO:<r2@mx.test>
		DATA
		Subject: hello

		text
		.
		QUIT
	END
	messages 1
	# Above Received, as RFC 7208 section 9.1 wants Received-SPF.
	[[ $(message) == *$'@mx.test\nX-First: 1\nX-Second:two\nReceived: '* ]]
}

@test "PREPEND is forgotten with its transaction" {
	answering 'PREPEND X-First: 1' DUNNO
	smtp -o spool="$SPOOL" -o policy="$POLICY" <<-'END'
		EHLO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		RSET
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		DATA
		.
		QUIT
	END
	messages 1
	[[ $(message) != *X-First* ]]
}

@test "PREPEND keeps to newline=crlf" {
	answering 'PREPEND X-First: 1'
	mail -o policy="$POLICY" -o newline=crlf
	messages 1
	[[ $(message) == *$'\r\nX-First: 1\r\nReceived: '* ]]
	[[ $(message | grep -c -v $'\r$') == 0 ]]
}

@test "PREPEND of what is not a header, of too long a line: 451" {
	answering PREPEND 'PREPEND text' 'PREPEND X Y: z' 'PREPEND : z' \
	    "PREPEND X: $(printf '%0996d' 0)" "PREPEND X: $(printf '%0995d' 0)"
	rcpt 6
	replies 220 250 250 451 451 451 451 451 250 221
}

@test "PREPEND is cleaned of control characters" {
	answering '=action=PREPEND X-A: 1\r\x01\tb\xe4\n\n'
	mail -o policy="$POLICY"
	[[ $(message) == *$'\nX-A: 1??\tb?\n'* ]]
}

@test "PREPEND of more than all messages need: 451" {
	answering "PREPEND X: $(printf '%0990d' 0)"
	rcpt 20
	[[ $(grep -c '^250 2.1.5' <<<"$output") == 16 ]] || fail 'not 16'
	[[ $(grep -c '^451 4.3.5' <<<"$output") == 4 ]] || fail 'not 4'
}

@test "DISCARD accepts the message and throws it away" {
	answering 'DISCARD spam'
	mail -o policy="$POLICY"
	replies 220 250 250 250 354 250 221
	messages 0
	logged 'event=policy action=DISCARD text=spam'
	logged 'event=message status=discarded'
	not_logged status=accepted
}

@test "DISCARD of a recipient: nobody is asked about the end" {
	answering DISCARD DUNNO 'REJECT no'
	smtp -o spool="$SPOOL" -o policy="$POLICY" -o policy-end="$POLICY" \
	    <<-'END'
		EHLO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		RCPT TO:<r2@mx.test>
		DATA
		.
		QUIT
	END
	replies 220 250 250 250 250 354 250 221
	! grep END-OF-MESSAGE "$ASKED" || fail
	messages 0
}

@test "DISCARD is forgotten with its transaction" {
	answering DISCARD DUNNO
	smtp -o spool="$SPOOL" -o policy="$POLICY" <<-'END'
		EHLO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		DATA
		first
		.
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		DATA
		second
		.
		QUIT
	END
	replies 220 250 250 250 354 250 250 250 354 250 221
	messages 1
	[[ $(message) == *second ]]
}

@test "policy-end: the size, and the recipient if there is just one" {
	answering OK
	mail -o policy-end="$POLICY"
	messages 1
	asked protocol_state=END-OF-MESSAGE
	asked recipient=r1@mx.test
	asked recipient_count=1
	asked size=24		# with CRLF
	[[ $(grep -c ^request= "$ASKED") == 1 ]]
}

@test "policy-end: of several recipients only their number" {
	answering OK
	smtp -o spool="$SPOOL" -o policy-end="$POLICY" <<-'END'
		EHLO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		RCPT TO:<r2@mx.test>
		DATA
		.
		QUIT
	END
	asked recipient=
	asked recipient_count=2
}

@test "policy-end: REJECT refuses the message, DISCARD throws it away" {
	answering 'REJECT 5.7.1 Spam' DISCARD
	smtp -o spool="$SPOOL" -o policy-end="$POLICY" <<-'END'
		EHLO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		DATA
		.
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		DATA
		.
		QUIT
	END
	replies 220 250 250 250 354 554 250 250 354 250 221
	said '554 5.7.1 Spam'
	messages 0
	logged 'event=message status=discarded'
}

@test "policy-end and {recipient}: asked once" {
	answering OK
	printf '#!/bin/sh\necho "$1" >>"%s"\n' "$BATS_TEST_TMPDIR/runs" \
	    >"$BATS_TEST_TMPDIR/program"
	chmod +x "$BATS_TEST_TMPDIR/program"
	smtp -o exec="$BATS_TEST_TMPDIR/program {recipient}" \
	    -o policy-end="$POLICY" <<-'END'
		EHLO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		RCPT TO:<r2@mx.test>
		DATA
		.
		QUIT
	END
	replies 220 250 250 250 250 354 250 221
	[[ $(<"$BATS_TEST_TMPDIR/runs") == $'r1@mx.test\nr2@mx.test' ]]
	asked recipient_count=2
	(($(grep -c '^request=' "$ASKED") == 1))
}

# bats test_tags=listener
@test "after STARTTLS another transaction, and nothing said in clear" {
	certs
	answering OK
	serve -o spool="$SPOOL" -o policy="$POLICY" \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key"
	talk <<-'END'
		< 220
		> EHLO clear.test
		< 250
		> MAIL FROM:<a@clear.test> SIZE=7
		< 250
		> RCPT TO:<r1@mx.test>
		< 250
		> RSET
		< 250
		> STARTTLS
		< 220
		tls
		> EHLO client.test
		< 250
		> MAIL FROM:<b@client.test>
		< 250
		> RCPT TO:<r2@mx.test>
		< 250
		> QUIT
		< 221
		eof
	END
	(($(grep -c '^request=' "$ASKED") == 2))
	(($(grep '^queue_id=' "$ASKED" | sort -u | wc -l) == 1))
	(($(grep '^instance=' "$ASKED" | sort -u | wc -l) == 2))
	sed '1,/^size=7/d' "$ASKED" >"$ASKED.tls"
	ASKED=$ASKED.tls
	asked sender=b@client.test
	asked encryption_protocol=TLSv1.3
	asked size=0
	! grep -E 'clear\.test|r1@mx' "$ASKED" || fail
}

@test "policy-end: PREPEND comes too late, 451" {
	answering 'PREPEND X-First: 1'
	mail -o policy-end="$POLICY"
	replies 220 250 250 250 354 451 221
	messages 0
	logged 'too late'
}

@test "policy-end in LMTP: asked once, answered for each recipient" {
	answering 'REJECT Spam'
	smtp -o spool="$SPOOL" -o protocol=lmtp \
	    -o policy-end="$POLICY" <<-'END'
		LHLO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		RCPT TO:<r2@mx.test>
		DATA
		.
		QUIT
	END
	replies 220 250 250 250 250 354 554 554 221
	asked protocol_name=LMTP
	[[ $(grep -c ^request= "$ASKED") == 1 ]]
	messages 0
}

@test "-t: a policy server that can't be reached, or is not an address" {
	answering OK
	"$SMTPD" -t -o spool="$SPOOL" -o policy="$POLICY" 2>>"$LOG"
	run ! "$SMTPD" -t -o spool="$SPOOL" \
	    -o policy-end=unix:"$BATS_TEST_TMPDIR/nobody"
	said policy-end
	run ! "$SMTPD" -t -o spool="$SPOOL" -o policy=inet:some.host.test:25
	said 'policy: want unix:PATH, inet:ADDRESS:PORT or exec:PROGRAM'
}

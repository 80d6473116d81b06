# SPDX-License-Identifier: ISC
# starttls.bats - from clear to TLS: what must be forgotten, what must not be
# believed, and that nothing leads back.

load lib

setup() {
	test_setup
	certs
	SERVER=("$SMTPD" -o hostname=mx.test -o spool="$SPOOL"
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key")
}

# play [OPTION ...] [-- ARGUMENT ...]: the script on standard input.
play() {
	local options=()

	while (($# > 0)) && [[ $1 != -- ]]; do
		options+=("$1")
		shift
	done
	[[ $# == 0 ]] || shift
	output=$(talk "${options[@]}" -- "${SERVER[@]}" "$@" 2>&1) || {
		status=$?
		fail talk
	}
}

# upto WORD: the first lines of most scripts.
upto() {
	printf '%s\n' '< 220' '> EHLO client.test' '< 250' '> STARTTLS'
	[[ $1 == starttls ]] || printf '%s\n' '< 220' tls
	[[ $1 == starttls || $1 == tls ]] ||
		printf '%s\n' '> EHLO client.test' '< 250'
	[[ $1 != mail ]] || printf '%s\n' '> MAIL FROM:<a@client.test>' \
	    '< 250' '> RCPT TO:<b@mx.test>' '< 250'
}

a_message() {
	upto mail
	printf '%s\n' '> DATA' '< 354' '> Subject: x' '> ' '> hello' '> .' \
	    '< 250' '> QUIT' '< 221' eof
}

@test "a message inside TLS" {
	a_message | play
	messages 1
	[[ $(message) =~ 'with ESMTPS' ]]
	[[ $(message) == *TLSv1.3*TLS_AES_128_GCM_SHA256* ]]
	[[ $(message) == *$'\n\nhello' ]]
	logged 'event=tls status=started protocol=TLSv1.3'
}

@test "who was logged in before STARTTLS is not inside TLS" {
	{
		printf '%s\n' '< 220' '> EHLO client.test' '< 250' \
		    '> AUTH PLAIN AGpvZQBzZWNyZXQ=' '< 235' '> STARTTLS' \
		    '< 220' tls
		a_message | sed '1,/^tls/d'
	} | play -- -o auth-any=yes -o auth-cleartext=yes
	messages 1
	[[ $(message) == *'with ESMTPS id'* ]]
	grep -a event=message "$LOG"
	! grep -a event=message "$LOG" | grep user=joe
}

@test "the same, one octet a record" {
	a_message | play -b
	messages 1
}

@test "a message inside TLS 1.2" {
	a_message | play -tls12
	messages 1
	[[ $(message) == *TLSv1.2* ]]
}

@test "EHLO offers STARTTLS in clear and not inside TLS" {
	play <<-END
	< 220
	> EHLO client.test
	< 250 ^250.STARTTLS$
	> STARTTLS
	< 220
	tls
	> EHLO client.test
	< 250
	> QUIT
	< 221
	END
	[[ $(grep -c STARTTLS$ <<<"${output#*tls TLS}") == 0 ]]
}

@test "what was said in clear is forgotten" {
	play <<-END
	< 220
	> EHLO before.test
	< 250
	> MAIL FROM:<evil@client.test>
	< 250
	> RCPT TO:<evil@mx.test>
	< 250
	> RSET
	< 250
	> STARTTLS
	< 220
	tls
	> MAIL FROM:<a@client.test>
	< 503
	> RCPT TO:<b@mx.test>
	< 503
	> DATA
	< 503
	> EHLO after.test
	< 250
	> RCPT TO:<b@mx.test>
	< 503
	> MAIL FROM:<a@client.test>
	< 250
	> RCPT TO:<b@mx.test>
	< 250
	> DATA
	< 354
	> .
	< 250
	END
	messages 1
	[[ $(message) != *evil* && $(message) != *before.test* ]]
}

@test "STARTTLS before EHLO is 503 where syntax is strict" {
	play -- "${STRICT[@]}" <<-END
	< 220
	> STARTTLS
	< 503
	> EHLO client.test
	< 250
	> STARTTLS
	< 220
	tls
	> MAIL FROM:<>
	< 503
	END
}

@test "STARTTLS has no argument" {
	{
		upto starttls | sed 's/STARTTLS/STARTTLS now/'
		printf '%s\n' '< 501' '> NOOP' '< 250'
	} | play
}

@test "STARTTLS in any case, with blanks behind it" {
	upto tls | sed 's/STARTTLS/sTaRtTlS  /' | play
}

@test "STARTTLS twice" {
	{
		upto ehlo
		printf '%s\n' '> STARTTLS' '< 503' '> NOOP' '< 250'
	} | play
}

@test "without a certificate STARTTLS is not known" {
	smtp -o spool="$SPOOL" <<-END
	EHLO client.test
	STARTTLS
	END
	replies 220 250 502
	not_said STARTTLS
}

@test "tls=require: nothing but EHLO, NOOP, STARTTLS and QUIT in clear" {
	play -- -o tls=require <<-END
	< 220
	> EHLO client.test
	< 250
	> MAIL FROM:<a@client.test>
	< 530
	> RCPT TO:<b@mx.test>
	< 530
	> DATA
	< 530
	> BDAT 3 LAST
	>> abc
	< 530
	> VRFY a
	< 530
	> NOOP
	< 250
	> STARTTLS
	< 220
	tls
	> EHLO client.test
	< 250
	> MAIL FROM:<a@client.test>
	< 250
	END
}

# Octets glued to STARTTLS: CVE-2011-0411 and its family.

glued() {
	{
		upto starttls | sed '$d'
		cat
		printf '%s\n' '< 554' eof
	} | play "$@"
	messages 0
	[[ $output != *'tls TLS'* ]]
}

@test "commands glued to STARTTLS close the connection" {
	glued <<-'END'
	>> STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@client.test>\r\n
	END
}

@test "glued, and split after CR" {
	glued <<-'END'
	>> STARTTLS\r
	>> \nMAIL FROM:<evil@client.test>\r\n
	END
}

@test "a single octet glued to STARTTLS" {
	glued <<-'END'
	>> STARTTLS\r\n\n
	END
}

@test "a ClientHello glued to STARTTLS" {
	glued <<-'END'
	>> STARTTLS\r\n\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00
	END
}

@test "pipelined before STARTTLS is answered, behind it is not" {
	play <<-'END'
	< 220
	> EHLO client.test
	< 250
	>> NOOP\r\nSTARTTLS\r\n
	< 250
	< 220
	tls
	> EHLO client.test
	< 250
	END
}

# After 220.

@test "a command in clear after 220 is not a handshake: nothing in clear" {
	{
		upto starttls
		printf '%s\n' '< 220' '> EHLO evil' records
	} | play
	logged 'event=tls status=failed'
	messages 0
}

@test "the same with octets of every kind" {
	local junk

	for junk in '\x00' '\x16\x03\x01\x00\x00' '\x16\x03\x03\xff\xff' \
	    '\x15\x03\x01\x00\x02\x02\x28' '\x17\x03\x03\x00\x01x' \
	    '\x80\x2e\x01\x00\x02' '\x16\x03\x01\x00\x04\x01\x00\x00\x00'; do
		{
			upto starttls
			printf '%s\n' '< 220' ">> $junk" shut records
		} | play
	done
	[[ $(grep -c 'event=tls status=failed' "$LOG") == 7 ]]
}

@test "closed during the handshake" {
	{
		upto starttls
		printf '%s\n' '< 220' '>> \x16\x03\x01' shut records
	} | play
	logged 'why="closed by the client"'
}

@test "a client that does not trust the certificate" {
	local version

	for version in -tls12 -tls13; do
		{
			upto starttls
			printf '%s\n' '< 220' notls records
		} | play "$version" -ca "$CERTS/client.pem"
	done
	# In TLS 1.3 this client's alert comes in clear.
	[[ $(grep -c "status=failed why=\"client's alert: CA is unknown" \
	    "$LOG") == 2 ]]
}

@test "SSLv3, TLS 1.0 and TLS 1.1 are refused" {
	local version

	for version in 00 01 02; do
		# A ClientHello with one suite and no extension.
		{
			upto starttls
			printf '%s\n' '< 220' ">> $(hello "$version")" shut \
			    records
		} | play
	done
	[[ $(grep -c 'event=tls status=failed' "$LOG") == 3 ]]
}

# hello VERSION: of a client that knows version 3.VERSION at most.
hello() {
	local i

	printf '\\x16\\x03\\x%s\\x00\\x2d\\x01\\x00\\x00\\x29\\x03\\x%s' \
	    "$1" "$1"
	for ((i = 0; i < 32; i++)); do
		printf '\\x41'
	done
	printf '\\x00\\x00\\x02\\xc0\\x13\\x01\\x00'
}

# The end of TLS is the end.

@test "close_notify in the middle of DATA delivers nothing" {
	{
		upto mail
		printf '%s\n' '> DATA' '< 354' '> half a' notify \
		    '>> message\r\n.\r\n' '> NOOP' records
	} | play
	messages 0
}

@test "close_notify in the middle of BDAT delivers nothing" {
	{
		upto mail
		printf '%s\n' '> BDAT 100 LAST' '>> 1234567890' notify \
		    '* 90 x' '> NOOP' records
	} | play
	messages 0
}

@test "close_notify in BDAT, one octet a record" {
	{
		upto mail
		printf '%s\n' '> BDAT 100 LAST' '>> 1234567890' notify \
		    '* 90 x' '> NOOP' records
	} | play -b
	messages 0
}

@test "close_notify between commands ends the session" {
	{
		upto ehlo
		printf '%s\n' notify '> NOOP' records
	} | play
	logged 'reason="end of input"'
}

@test "a cut in mid-message delivers nothing" {
	local how

	for how in close reset; do
		{
			upto mail
			printf '%s\n' '> DATA' '< 354' '> half a' "$how"
		} | play
	done
	messages 0
}

@test "octets that are not a record inside TLS end it" {
	cut_into '\r\n.\r\nQUIT\r\n'
	messages 0
}

@test "a record that was tampered with ends it" {
	cut_into '\x17\x03\x03\x00\x20AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
	messages 0
}

# cut_into OCTETS: written past the client's TLS, in the middle of DATA.
cut_into() {
	JUNK=$1 client "${SERVER[@]:3}" <<-'END'
	import codecs, os, socket
	from client import Client
	junk = codecs.decode(os.environ["JUNK"], "unicode_escape").encode("latin-1")
	c = Client()
	raw = socket.socket(fileno=os.dup(c.socket.fileno()))
	c.hear(b"220")
	c.ask(b"EHLO client.test", b"250")
	c.starttls(os.environ["CERTS"] + "/ca.pem")
	c.ask(b"MAIL FROM:<a@client.test>", b"250")
	c.ask(b"RCPT TO:<b@mx.test>", b"250")
	c.ask(b"DATA", b"354")
	c.send(b"half a\r\n")
	raw.send(junk)
	raw.shutdown(socket.SHUT_WR)
	raw.settimeout(20)
	rest = b""
	while True:
	    try:
	        piece = raw.recv(4096)
	    except ConnectionResetError:
	        break
	    if not piece:
	        break
	    rest += piece
	while rest:		# records, no clear text
	    assert 20 <= rest[0] <= 23 and rest[1] == 3, rest
	    rest = rest[5 + rest[3] * 256 + rest[4]:]
	assert c.smtpd.wait(20) == 0
	END
}

# s_client [OPTION ...]: lines to it with tell, from it with hear REGEX.
s_client() {
	serve -o spool="$SPOOL" -o tls-cert="$CERTS/ec.pem" \
	    -o tls-key="$CERTS/ec.key"
	coproc S { exec timeout 20 openssl s_client "$@" -starttls smtp \
	    -connect "127.0.0.1:$PORT" 2>&1 3>&-; }
	# The shell forgets the coprocess when it ends.
	exec {to}>&"${S[1]}" {from}<&"${S[0]}"
}

tell() {
	printf '%s\r\n' "$1" >&"$to"
}

hear() {
	local line

	while IFS= read -rt 20 line; do
		[[ ! $line =~ $1 ]] || return 0
	done <&"$from"
	fail "not heard: $1"
}

# bats test_tags=listener
@test "a renegotiation is refused and ends the session" {
	s_client -tls1_2
	tell 'EHLO client.test'
	hear '^250 HELP'
	tell R
	hear RENEGOTIATING
	hear 'no renegotiation|closed|error'
	wait_for logged event=close
	not_logged 'reason=quit'
}

# bats test_tags=listener
@test "a key update does not end it" {
	s_client -tls1_3
	tell 'EHLO client.test'
	hear '^250 HELP'
	tell K
	hear KEYUPDATE
	tell NOOP
	hear '^250 2.0.0 OK'
	tell quit			# s_client has its own Q
	hear '^221'
}

@test "a client that waits too long is told so inside TLS" {
	{
		upto ehlo
		printf '%s\n' '< 421' eof
	} | play -- -o timeout=1
}

@test "a handshake that takes too long is ended without a word" {
	{
		upto starttls
		printf '%s\n' '< 220' '>> \x16' records
	} | play -- -o timeout=1
	logged 'event=tls status=failed'
}

# When there is no TLS to be had.

# unavailable REASON [ARGUMENT ...]: STARTTLS, implicit TLS and -t.
unavailable() {
	local reason=$1

	shift
	SERVER=("$SMTPD" -o hostname=mx.test -o spool="$SPOOL" "$@")
	{
		upto starttls
		printf '%s\n' '< 454' '> NOOP' '< 250' '> STARTTLS' '< 454' \
		    '> QUIT' '< 221' eof
	} | play
	logged "$reason" || return
	: >"$LOG"
	printf '%s\n' eof | play -- -o tls=implicit
	logged "$reason" || return
	run "${SERVER[@]}" -t
	((status == 78)) && [[ $output == *"$reason"* ]] ||
		fail "-t: $status"
}

@test "454 if the certificate can't be read" {
	unavailable "tls-cert: $BATS_TEST_TMPDIR/no.pem: No such file" \
	    -o tls-cert="$BATS_TEST_TMPDIR/no.pem" -o tls-key="$CERTS/ec.key"
}

@test "454 if the key can't be read" {
	unavailable "tls-key: $BATS_TEST_TMPDIR/no.key: No such file" \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$BATS_TEST_TMPDIR/no.key"
}

@test "454 if the key is not the certificate's" {
	unavailable 'other.key: not the key of the certificate' \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/other.key"
}

@test "454 if it is a key of another kind" {
	unavailable 'rsa.key: not the key of the certificate' \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/rsa.key"
}

@test "454 if one of two certificates is bad" {
	unavailable 'other.key: not the key of the certificate' \
	    -o tls-cert="$CERTS/rsa.pem" -o tls-key="$CERTS/rsa.key" \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/other.key"
}

@test "454 if the file holds no certificate" {
	unavailable 'client.key: ' \
	    -o tls-cert="$CERTS/client.key" -o tls-key="$CERTS/ec.key"
}

@test "454 if the clients' authority can't be read" {
	unavailable 'tls-client-ca: /nonexistent: ' \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key" \
	    -o tls-client-ca=/nonexistent
}

@test "454 if the priority string is wrong" {
	unavailable 'tls-priority: ' -o tls-cert="$CERTS/ec.pem" \
	    -o tls-key="$CERTS/ec.key" -o tls-priority=NORMAL:+NONSENSE
}

# refused NUMBER: a transaction with so many refused recipients.
refused() {
	local i

	printf '%s\n' '> MAIL FROM:<a@client.test>' '< 250'
	for ((i = 0; i < $1; i++)); do
		printf '%s\n' '> RCPT TO:<x@mx.test>' '< 550'
	done
	printf '%s\n' '> RSET' '< 250'
}

@test "the lines of a session in the log are limited over STARTTLS" {
	echo joe@mx.test >"$BATS_TEST_TMPDIR/list"
	{
		printf '%s\n' '< 220' '> EHLO client.test' '< 250'
		refused 700
		printf '%s\n' '> STARTTLS' '< 220' tls '> EHLO client.test' \
		    '< 250'
		refused 700
		printf '%s\n' '> QUIT' '< 221' eof
	} | play -- -o recipients="$BATS_TEST_TMPDIR/list" -o max-errors=0 \
	    -o max-junk=0 -o max-recipients=2000
	[[ $(wc -l <"$LOG") == 1002 ]] || fail "$(wc -l <"$LOG") lines"
	[[ $(grep event=suppressed "$LOG") == *' lines=402' ]]
}

@test "what another version handed over is not a session: 421, not a banner" {
	local state

	for state in '' x 'id 192.0.2.1 25 - - 0 0 0 0 0 0 x client.test' \
	    'id 192.0.2.1 25 - - 0 0 0 0 0 0 0 0 client.test more' \
	    "id 192.0.2.1 25 - - 0 0 0 0 0 0 0 0 $(printf %01200d 0)"; do
		SMTPD_STARTTLS=$state smtp -o spool="$SPOOL" <<<NOOP
		replies 421
		said '421 4.3.0 mx.test TLS not available now'
		logged 'error what=starttls on="malformed SMTPD_STARTTLS"'
	done
}

# bats test_tags=listener
@test "a client that does not listen to its end reads the 421, inside TLS" {
	serve -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key"
	"$PYTHON" - "$PORT" <<-'END'
	import select, socket, ssl, sys
	for n in 20, 5000, 20, 5000:
	    s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 20)
	    for command in b'EHLO client.test\r\n', b'STARTTLS\r\n':
	        s.recv(1000)
	        s.sendall(command)
	    assert s.recv(1000).startswith(b'220 ')
	    context = ssl._create_unverified_context()
	    tls = context.wrap_socket(s, suppress_ragged_eofs=False)
	    tls.sendall(b'BAD%0200d\r\n' % 0 * n)
	    p = select.poll()
	    p.register(tls, select.POLLRDHUP)
	    assert p.poll(20000), 'still open'
	    said = b''
	    while True:		# up to a close_notify
	        more = tls.recv(65536)
	        said += more
	        if not more:
	            break
	    last = said.split(b'\r\n')[-2]
	    assert last.startswith(b'421 4.7.0 mx.test too many errors'), last
	END
}

# SPDX-License-Identifier: ISC
# tls.bats - TLS itself: certificates, versions, tickets, and programs that people
# send mail with.
# bats file_tags=listener

load lib
load tls

setup() {
	tls_setup
}

# Versions, ciphers, certificates.

@test "implicit TLS" {
	implicit "${EC[@]}"
	printf '%s\n' '< 220' '> EHLO client.test' '< 250' \
	    '> MAIL FROM:<a@client.test>' '< 250' '> RCPT TO:<b@mx.test>' \
	    '< 250' '> DATA' '< 354' '> hello' '> .' '< 250' '> STARTTLS' \
	    '< 503' '> QUIT' '< 221' eof |
		talk -tls -ca "$CERTS/ca.pem" -sni mx.test
	messages 1
	[[ $(message) =~ 'with ESMTPS' ]]
}

@test "TLS 1.2 and 1.3, nothing older" {
	local version

	implicit "${EC[@]}" "${RSA[@]}"
	for version in 1_2 1_3; do
		[[ $(s_client -tls$version) == *'New, TLSv1.'* ]] ||
			fail "no TLS $version"
	done
	for version in 1 1_1; do
		[[ $(s_client -tls$version -cipher ALL@SECLEVEL=0) == \
		    *'Cipher is (NONE)'* ]] || fail "TLS $version"
	done
}

@test "a version that we do not have is named in the log" {
	local version

	implicit "${EC[@]}"
	for version in 10 11; do
		refused -weak -tls$version
		wait_for logged "offered=TLSv1.${version#1}"
	done
	quick -tls12
	logged 'protocol=TLSv1.2'
	not_logged offered=TLSv1.2
}

@test "tls-priority for devices of TLS 1.0 and 1.1" {
	local version

	implicit "${RSA[@]}" -o tls-priority=NORMAL:+VERS-TLS1.0:+VERS-TLS1.1
	for version in 10 11 12 13; do
		quick -weak -tls$version
		logged "protocol=TLSv1.${version#1} "
	done
}

@test "the group of the key exchange is in the log" {
	implicit "${EC[@]}"
	quick -tls13
	quick -tls12
	[[ $(grep -c 'group=X25519' "$LOG") == 2 ]]
}

# bats test_tags=bulk
@test "in TLS 1.2 only ephemeral keys and authenticated encryption" {
	local cipher

	implicit "${EC[@]}" "${RSA[@]}"
	for cipher in ECDHE-{ECDSA,RSA}-{AES128-GCM-SHA256,AES256-GCM-SHA384} \
	    ECDHE-{ECDSA,RSA}-CHACHA20-POLY1305; do
		[[ $(s_client -tls1_2 -cipher "$cipher") == \
		    *"Cipher is $cipher"* ]] || fail "no $cipher"
	done
	for cipher in AES128-GCM-SHA256 AES256-SHA ECDHE-RSA-AES128-SHA \
	    ECDHE-RSA-AES256-SHA384 ECDHE-ECDSA-AES128-SHA256 \
	    DHE-RSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES128-CCM aNULL eNULL \
	    PSK-AES128-GCM-SHA256 CAMELLIA ARIA; do
		[[ $(s_client -tls1_2 -cipher "$cipher:@SECLEVEL=0") == \
		    *'Cipher is (NONE)'* ]] || fail "$cipher"
	done
}

@test "no signature with SHA-1" {
	implicit "${EC[@]}" "${RSA[@]}"
	[[ $(s_client -tls1_2 -sigalgs RSA+SHA1:ECDSA+SHA1 \
	    -cipher DEFAULT@SECLEVEL=0) == *'Cipher is (NONE)'* ]]
}

@test "no compression, no early data, secure renegotiation only" {
	local said

	implicit "${EC[@]}" -o tls-ticket-key="$TICKETS"
	said=$(s_client -tls1_2)
	[[ $said == *'Secure Renegotiation IS supported'* ]]
	[[ $said == *'Compression: NONE'* ]]
	quick -tls13 -session "$BATS_TEST_TMPDIR/session"
	run openssl sess_id -in "$BATS_TEST_TMPDIR/session" -text -noout
	[[ $output == *'Protocol  : TLSv1.3'* ]]
	[[ $output == *'Max Early Data: 0'* ]]
}

# signed OPTIONS ...: the kind of key that signed the handshake.
signed() {
	s_client "$@" | sed -n 's/^Peer signature type: //p'
}

@test "ECDSA or RSA, by what the client can, whichever is first" {
	local order

	for order in 'EC RSA' 'RSA EC'; do
		local -n first=${order% *} second=${order#* }
		implicit "${first[@]}" "${second[@]}"
		[[ $(signed -tls1_3 -sigalgs ECDSA+SHA256) == ECDSA ]]
		[[ $(signed -tls1_3 -sigalgs RSA-PSS+SHA256) == RSA-PSS ]]
		[[ $(signed -tls1_2 -sigalgs ECDSA+SHA256) == ECDSA ]]
		[[ $(signed -tls1_2 -sigalgs RSA-PSS+SHA256) == RSA-PSS ]]
		[[ $(signed -tls1_2 -sigalgs RSA+SHA256) == RSA ]]
	done
}

@test "the first one for a client that can both" {
	implicit "${EC[@]}" "${RSA[@]}"
	[[ $(signed -tls1_3) == ECDSA && $(signed -tls1_2) == ECDSA ]]
	implicit "${RSA[@]}" "${EC[@]}"
	[[ $(signed -tls1_3) == RSA-PSS ]]
}

@test "a certificate by the name that the client asks for" {
	local version

	implicit "${EC[@]}" "${OTHER[@]}"
	for version in -tls12 -tls13; do
		quick $version -ca "$CERTS/ca.pem" -sni mx.test
		quick $version -ca "$CERTS/ca.pem" -sni other.test
		quick $version -ca "$CERTS/ca.pem"
	done
	[[ $(s_client -servername other.test) == *'subject=CN = other.test'* ]]
	[[ $(s_client -servername unknown.test) == *'subject=CN = mx.test'* ]]
	[[ $(s_client -noservername) == *'subject=CN = mx.test'* ]]
}

# all_closed: every session that began has come to its end.
all_closed() {
	[[ $(grep -c event=connect "$LOG") == $(grep -c event=close "$LOG") ]]
}

@test "names that are none" {
	local name

	implicit "${EC[@]}"
	for name in '' . .. x..y 127.0.0.1 'a b' $'\x01' ÄÖÜ \
	    "$(printf '%0254d' 0)"; do
		s_client -servername "$name" >/dev/null
	done
	quick
	wait_for all_closed
}

@test "a key in the same file as its certificate" {
	cat "$CERTS/ec.key" "$CERTS/ec.pem" >"$BATS_TEST_TMPDIR/both.pem"
	chmod 600 "$BATS_TEST_TMPDIR/both.pem"
	implicit -o tls-cert="$BATS_TEST_TMPDIR/both.pem" \
	    -o tls-key="$BATS_TEST_TMPDIR/both.pem"
	quick -ca "$CERTS/ca.pem"
	implicit -o tls-cert="$BATS_TEST_TMPDIR/both.pem"
	quick -ca "$CERTS/ca.pem"
}

@test "tls-priority" {
	implicit "${EC[@]}" \
	    -o tls-priority=NORMAL:-VERS-ALL:+VERS-TLS1.2:-AES-128-GCM
	quick
	[[ $output == *TLSv1.2* ]]
	refused -tls13
}

@test "ALPN: none or smtp" {
	local said

	implicit "${EC[@]}"
	[[ $(s_client) == *'No ALPN negotiated'* ]]
	[[ $(s_client -alpn smtp) == *'ALPN protocol: smtp'* ]]
	[[ $(s_client -alpn h2,smtp) == *'ALPN protocol: smtp'* ]]
	for said in h2 http/1.1 SMTP smtps imap; do
		[[ $(s_client -alpn "$said") == \
		    *'alert no application protocol'* ]] || fail "$said"
	done
}

# Tickets.

# resumed VERSION: two processes, one session.
resumed() {
	local session=$BATS_TEST_TMPDIR/session$1

	quick "$1" -session "$session"
	[[ $output == *' full'* ]] || fail "$1: $output" || return
	quick "$1" -session "$session"
	[[ $output == *' resumed'* ]] || fail "$1: $output"
}

@test "a session resumed by another process" {
	implicit "${EC[@]}" -o tls-ticket-key="$TICKETS"
	resumed -tls12
	resumed -tls13
}

@test "a session resumed by another server with the same key" {
	local session=$BATS_TEST_TMPDIR/session

	implicit "${EC[@]}" -o tls-ticket-key="$TICKETS"
	quick -session "$session"
	cp "$TICKETS" "$TICKETS.copy"
	implicit "${EC[@]}" -o tls-ticket-key="$TICKETS.copy"
	quick -session "$session"
	[[ $output == *' resumed'* ]]
}

@test "a resumed session gets a new ticket" {
	local session=$BATS_TEST_TMPDIR/session

	implicit "${EC[@]}" -o tls-ticket-key="$TICKETS"
	quick -tls13 -session "$session"
	cp "$session" "$session.first"
	quick -tls13 -session "$session"
	run ! cmp -s "$session" "$session.first"
	quick -tls13 -session "$session"
	[[ $output == *' resumed'* ]]
}

@test "a ticket of the old key: a full handshake" {
	local version session

	implicit "${EC[@]}" -o tls-ticket-key="$TICKETS"
	for version in -tls12 -tls13; do
		session=$BATS_TEST_TMPDIR/session$version
		quick $version -session "$session"
		head -c 64 /dev/urandom >"$TICKETS.new"
		mv "$TICKETS.new" "$TICKETS"
		reloaded
		quick $version -session "$session"
		[[ $output == *' full'* ]]
		quick $version -session "$session"
		[[ $output == *' resumed'* ]]
	done
}

@test "the example of a rotation replaces the key" {
	local before

	before=$(<"$TICKETS" base64 -w 0)
	sh "$ROOT/examples/ticket-rotation/rotate" "$TICKETS"
	[[ $(stat -c '%s %a' "$TICKETS") == '64 600' ]]
	[[ $(<"$TICKETS" base64 -w 0) != "$before" ]]
	[[ $(ls "$BATS_TEST_TMPDIR"/tickets*) == "$TICKETS" ]]
	"$SMTPD" -t -o spool="$SPOOL" "${EC[@]}" -o tls-ticket-key="$TICKETS"
}

@test "without a key no tickets" {
	local said

	implicit "${EC[@]}"
	said=$(s_client -tls1_2)
	[[ $said != *'session ticket:'* ]]
	quick -tls13 -session "$BATS_TEST_TMPDIR/session"
	[[ ! -e $BATS_TEST_TMPDIR/session ]]
}

@test "a bad key of tickets: just no tickets, and the reason" {
	local size

	for size in 0 32 63 65; do
		head -c $size /dev/urandom >"$TICKETS"
		implicit "${EC[@]}" -o tls-ticket-key="$TICKETS"
		quick -tls13 -session "$BATS_TEST_TMPDIR/session"
		[[ ! -e $BATS_TEST_TMPDIR/session ]] || fail "$size"
		logged "tls-ticket-key: $TICKETS: not 64 octets long"
		: >"$LOG"
	done
	rm "$TICKETS"
	implicit "${EC[@]}" -o tls-ticket-key="$TICKETS"
	quick
	logged "tls-ticket-key: $TICKETS: No such file or directory"
}

# Checking.

@test "-t: nothing is wrong" {
	checked "${EC[@]}" "${RSA[@]}" "${OTHER[@]}" "${CA[@]}" \
	    -o tls-ticket-key="$TICKETS" -o tls-client-require=yes \
	    -o tls=require
	((status == 0)) && [[ $output == '' ]]
}

@test "-t: all that is wrong, not only the first" {
	checked -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/other.key" \
	    -o tls-cert=/nonexistent -o tls-key="$CERTS/rsa.key" \
	    -o tls-client-ca="$CERTS/ca.key" -o tls-ticket-key=/dev/null \
	    -o tls-priority=NORMAL:+NONSENSE
	((status == 78))
	[[ $output == *'other.key: not the key of the certificate'* ]]
	[[ $output == *'tls-cert: /nonexistent: No such file'* ]]
	[[ $output == *"tls-client-ca: $CERTS/ca.key: "* ]]
	[[ $output == *'tls-ticket-key: /dev/null: not 64 octets long'* ]]
	[[ $output == *'tls-priority: +NONSENSE: '* ]]
	((${#lines[@]} == 5))
}

@test "-t: an expired certificate" {
	own CN=mx.test tls_www_server 2021
	checked -o tls-cert="$BATS_TEST_TMPDIR/own.pem" \
	    -o tls-key="$BATS_TEST_TMPDIR/own.key"
	((status == 78)) && [[ $output == *'own.pem: has expired' ]]
}

@test "-t: a certificate of the future" {
	own CN=mx.test tls_www_server
	sed -i 's/2020/2090/' "$BATS_TEST_TMPDIR/own.tmpl"
	certtool --generate-self-signed --load-privkey \
	    "$BATS_TEST_TMPDIR/own.key" \
	    --template "$BATS_TEST_TMPDIR/own.tmpl" \
	    --outfile "$BATS_TEST_TMPDIR/own.pem" 2>/dev/null
	checked -o tls-cert="$BATS_TEST_TMPDIR/own.pem" \
	    -o tls-key="$BATS_TEST_TMPDIR/own.key"
	((status == 78)) && [[ $output == *'own.pem: is not valid yet' ]]
}

@test "-t: keys that everybody can read" {
	cp "$CERTS/ec.key" "$BATS_TEST_TMPDIR/ec.key"
	chmod 644 "$BATS_TEST_TMPDIR/ec.key" "$TICKETS"
	checked -o tls-cert="$CERTS/ec.pem" \
	    -o tls-key="$BATS_TEST_TMPDIR/ec.key" -o tls-ticket-key="$TICKETS"
	((status == 78))
	[[ $output == *'ec.key: everybody can read it'* ]]
	[[ $output == *'tickets: everybody can read it'* ]]
}

@test "-t: a key of which only the public half is the certificate's" {
	local name

	for name in ec other; do
		openssl ec -in "$CERTS/$name.key" -outform DER \
		    -out "$BATS_TEST_TMPDIR/$name.der" 2>/dev/null
	done
	# RFC 5915: the private key is octets 7 to 38, the public one the last.
	{
		head -c 39 "$BATS_TEST_TMPDIR/other.der"
		tail -c +40 "$BATS_TEST_TMPDIR/ec.der"
	} >"$BATS_TEST_TMPDIR/mixed.der"
	{
		echo '-----BEGIN EC PRIVATE KEY-----'
		base64 "$BATS_TEST_TMPDIR/mixed.der"
		echo '-----END EC PRIVATE KEY-----'
	} >"$BATS_TEST_TMPDIR/mixed.key"
	chmod 600 "$BATS_TEST_TMPDIR/mixed.key"
	checked -o tls-cert="$CERTS/ec.pem" \
	    -o tls-key="$BATS_TEST_TMPDIR/mixed.key"
	((status == 78)) && [[ $output == *mixed.key* ]]
}

@test "tls-client-require without tls-client-ca is an error" {
	checked "${EC[@]}" -o tls-client-require=yes
	((status == 78))
	[[ $output == *'tls-client-require: want tls-client-ca'* ]]
}

@test "tls-client-require where a client can do without TLS is an error" {
	local tls

	for tls in off auto offer; do
		checked "${EC[@]}" "${CA[@]}" -o tls-client-require=yes \
		    -o tls="$tls"
		((status == 78)) || fail "$tls" || return
		[[ $output == *'tls-client-require: want tls = '* ]]
	done
	checked "${EC[@]}" "${CA[@]}" -o tls-client-require=yes -o tls=require
	((status == 0))
}

# Keys in a process of their own.

# apart NAME ...: a server with these certificates of $CERTS, keys elsewhere.
apart() {
	local name

	APART=("$TOOLS/keys")
	for name; do
		APART+=("$CERTS/$name.pem" "$CERTS/$name.key")
	done
}

# signed_apart SIGNATURES [OPTION ...]: a session took so many.
signed_apart() {
	printf '%s\n' "< 220 220 $1" '< 221' eof |
		talk -tls "${@:2}" -- "${APART[@]}" || fail "$*"
}

@test "another process signs: ECDSA, RSA, both kinds of padding" {
	local version

	for version in -tls12 -tls13; do
		apart ec
		signed_apart 1 $version -ca "$CERTS/ca.pem" -sni mx.test
		apart rsa
		signed_apart 1 $version -ca "$CERTS/ca.pem" -sni mx.test
		signed_apart 1 $version -sigalgs RSA-PSS+SHA512
		apart ec rsa other
		signed_apart 1 $version -ca "$CERTS/ca.pem" -sni other.test
		signed_apart 1 $version -sigalgs RSA-PSS+SHA256
	done
	signed_apart 1 -tls12 -sigalgs RSA+SHA256
}

@test "another process signs: Ed25519" {
	local version

	apart ed
	for version in -tls12 -tls13; do
		signed_apart 1 $version -ca "$CERTS/ca.pem" -sni mx.test
	done
}

@test "another process that can't sign, or has another key" {
	cp "$CERTS/ec.pem" "$BATS_TEST_TMPDIR/ec.pem"
	cp "$CERTS/other.key" "$BATS_TEST_TMPDIR/ec.key"
	CERTS=$BATS_TEST_TMPDIR apart ec
	printf '%s\n' notls | talk -tls -- "${APART[@]}" || true
	logged 'not the key of the certificate'
}

# The library is not there until it is needed.

# mapped PID: the process has GnuTLS in its memory, whichever way.
mapped() {
	grep -qE "gnutls|smtpd-tls" "/proc/$1/maps"
}

@test "a plain session does not load GnuTLS, TLS configured or not" {
	local pid

	LISTENER=tcpserver serve -o spool="$SPOOL" "${EC[@]}"
	exec {fd}<>"/dev/tcp/127.0.0.1/$PORT"
	read -rt 20 -u "$fd" _
	pid=$(pgrep -P "${SERVERS[0]}")
	run ! mapped "$pid"
	printf 'EHLO client.test\r\n' >&"$fd"
	while read -rt 20 -u "$fd" line && [[ $line == 250-* ]]; do :; done
	run ! mapped "$pid"
	printf 'STARTTLS\r\n' >&"$fd"
	read -rt 20 -u "$fd" line
	[[ $line == 220* ]]
	mapped "$pid"
	exec {fd}>&-
}

# Programs.

# mailed: a message arrived, by TLS.
mailed() {
	messages 1
	[[ $(message) =~ 'with ESMTPS' ]]
}

starttls() {
	printf 'Subject: hello\n\nhello\n' >"$BATS_TEST_TMPDIR/text"
	serve -o spool="$SPOOL" -o tls=require "${EC[@]}" "${RSA[@]}" \
	    -o tls-ticket-key="$TICKETS"
}

@test "openssl s_client" {
	starttls
	[[ $(s_client -starttls smtp -CAfile "$CERTS/ca.pem" \
	    -verify_hostname mx.test -verify_return_error) == \
	    *'Verification: OK'* ]]
}

@test "gnutls-cli" {
	starttls
	run timeout 20 gnutls-cli --starttls-proto=smtp --port "$PORT" \
	    --x509cafile "$CERTS/ca.pem" --verify-hostname=mx.test \
	    127.0.0.1 </dev/null
	[[ $output == *'The certificate is trusted'* ]]
	[[ $output == *'Handshake was completed'* ]]
}

@test "curl, STARTTLS required" {
	starttls
	curl -sS --ssl-reqd --cacert "$CERTS/ca.pem" \
	    --connect-to "mx.test:25:127.0.0.1:$PORT" \
	    --url smtp://mx.test:25/client.test --mail-from a@client.test \
	    --mail-rcpt b@mx.test -T "$BATS_TEST_TMPDIR/text" --crlf
	mailed
}

@test "curl, smtps" {
	starttls
	implicit "${EC[@]}"
	curl -sS --cacert "$CERTS/ca.pem" \
	    --connect-to "mx.test:465:127.0.0.1:$PORT" \
	    --url smtps://mx.test:465/client.test --mail-from a@client.test \
	    --mail-rcpt b@mx.test -T "$BATS_TEST_TMPDIR/text" --crlf
	mailed
}

@test "Python's smtplib" {
	starttls
	"$PYTHON" - "$PORT" "$CERTS/ca.pem" <<-'END'
	import smtplib, ssl, sys
	context = ssl.create_default_context(cafile=sys.argv[2])
	context.check_hostname = False
	s = smtplib.SMTP("127.0.0.1", int(sys.argv[1]), "client.test")
	s.starttls(context=context)
	s.sendmail("a@client.test", ["b@mx.test"], "Subject: hello\n\nhello\n")
	assert not s.has_extn("starttls")
	s.quit()
	END
	mailed
}

@test "swaks" {
	starttls
	swaks --server 127.0.0.1 --port "$PORT" --tls --tls-sni mx.test \
	    --helo client.test --from a@client.test --to b@mx.test
	mailed
}

@test "msmtp" {
	starttls
	msmtp -C /dev/null --host=127.0.0.1 --port="$PORT" --tls=on \
	    --tls-starttls=on --tls-trust-file="$CERTS/ca.pem" \
	    --tls-host-override=mx.test --domain=client.test \
	    --from=a@client.test b@mx.test <"$BATS_TEST_TMPDIR/text"
	mailed
}

@test "Postfix's smtp client" {
	starttls
	mkdir "$BATS_TEST_TMPDIR/postfix"
	# A user and a group that there are.
	printf '%s\n' 'mail_owner = mail' 'setgid_group = uucp' \
	    >"$BATS_TEST_TMPDIR/postfix/main.cf"
	MAIL_CONFIG=$BATS_TEST_TMPDIR/postfix run postfix posttls-finger -c \
	    -l secure -F "$CERTS/ca.pem" "[127.0.0.1]:$PORT" mx.test
	[[ $output == *'Verified TLS connection established'* ]]
}

# bats test_tags=bulk
@test "sslscan" {
	starttls
	run sslscan --starttls-smtp --no-colour "127.0.0.1:$PORT"
	[[ $output == *'TLSv1.2   enabled'*'TLSv1.3   enabled'* ]]
	[[ $output == *'SSLv3     disabled'*'TLSv1.0   disabled'* ]]
	[[ $output == *'TLSv1.1   disabled'* ]]
	[[ $output == *'Server supports TLS Fallback SCSV'* ]]
	[[ $output == *'Session renegotiation not supported'* ]]
	! grep -E '^(Preferred|Accepted)' <<<"$output" |
		grep -vE 'GCM|CHACHA20' || fail "weak"
	[[ $(grep -cE '^(Preferred|Accepted)' <<<"$output") == 9 ]]
}

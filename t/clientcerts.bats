# SPDX-License-Identifier: ISC
# clientcerts.bats - certificates of clients: who is taken, and for whom.

load lib
load tls

setup() {
	tls_setup
}

@test "a verified client: in the log and in Received" {
	local version

	implicit "${EC[@]}" "${CA[@]}"
	for version in -tls12 -tls13; do
		rm -rf "$SPOOL"
		: >"$LOG"
		printf '%s\n' '< 220' '> EHLO client.test' '< 250' \
		    '> MAIL FROM:<a@client.test>' '< 250' \
		    '> RCPT TO:<b@mx.test>' '< 250' '> DATA' '< 354' '> .' \
		    '< 250' | talk -tls $version "${CLIENT[@]}"
		logged 'client="CN=client.test" verify=ok' ||
			logged 'client=CN=client.test verify=ok'
		messages 1
		[[ $(message) == *CN=client.test* ]] || fail "$(message)"
	done
}

@test "a verified client: in the environment" {
	serve -o tls=implicit "${EC[@]}" "${CA[@]}" \
	    -o exec="/bin/sh -c env>$BATS_TEST_TMPDIR/env"
	printf '%s\n' '< 220' '> EHLO client.test' '< 250' \
	    '> MAIL FROM:<a@client.test>' '< 250' '> RCPT TO:<b@mx.test>' \
	    '< 250' '> DATA' '< 354' '> .' '< 250' |
		talk -tls "${CLIENT[@]}"
	grep -qx 'TLS_CLIENT=CN=client.test' "$BATS_TEST_TMPDIR/env"
	grep -qx 'TLS_PROTOCOL=TLSv1.3' "$BATS_TEST_TMPDIR/env"
	grep -qx 'TLS_CIPHER=TLS_AES_128_GCM_SHA256' "$BATS_TEST_TMPDIR/env"
}

@test "no certificate is asked for without an authority" {
	implicit "${EC[@]}"
	[[ $(s_client) == *'No client certificate CA names sent'* ]]
	quick "${CLIENT[@]}"
	logged verify=none
	not_logged CN=
}

@test "a client without a certificate is served" {
	implicit "${EC[@]}" "${CA[@]}"
	[[ $(s_client) == *'CN = Test CA'* ]]
	quick
	logged verify=none
}

@test "a client whose certificate is not good is served, without a name" {
	local version

	implicit "${EC[@]}" "${CA[@]}"
	for version in -tls12 -tls13; do
		: >"$LOG"
		own CN=client.test tls_www_client 2099 self
		quick $version "${OWN[@]}"
		logged 'verify="unknown issuer"'
		own CN=client.test tls_www_client 2021
		quick $version "${OWN[@]}"
		logged verify=expired
		quick $version -cert "$CERTS/ec.pem" -key "$CERTS/ec.key"
		logged 'verify="not for clients"'
		not_logged client=
	done
}

@test "subjects that are to be escaped" {
	implicit "${EC[@]}" "${CA[@]}"
	own 'CN=evil\"\\ \0D\0Aid=1 event=message,O=Grün' tls_www_client
	quick "${OWN[@]}"
	logged verify=ok
	logged 'Gr\\C3\\BCn' || logged 'Gr\C3\BCn'
	[[ $(grep -c . "$LOG") == 3 ]]		# connect, tls, close
	run ! grep -q '^id=1 ' "$LOG"
}

@test "a subject longer than there is room for is nobody's" {
	implicit "${EC[@]}" "${CA[@]}"
	own "CN=$(printf '%064d' 0),O=$(printf '%064d' 0),OU=$(printf '%064d' \
	    0),L=$(printf '%064d' 0),ST=$(printf '%064d' 0)" \
	    tls_www_client
	quick "${OWN[@]}"
	logged 'verify="subject too long"'
}

@test "tls-client-require: no or no good certificate, no session" {
	local version

	implicit "${EC[@]}" "${CA[@]}" -o tls-client-require=yes
	for version in -tls12 -tls13; do
		: >"$LOG"
		refused $version
		wait_for logged 'why="client certificate: none"'
		own CN=client.test tls_www_client 2099 self
		refused $version "${OWN[@]}"
		wait_for logged 'why="client certificate: unknown issuer"'
		quick $version "${CLIENT[@]}"
		logged verify=ok
	done
}

@test "a resumed session keeps its client" {
	local version session

	implicit "${EC[@]}" "${CA[@]}" -o tls-client-require=yes \
	    -o tls-ticket-key="$TICKETS"
	for version in -tls12 -tls13; do
		session=$BATS_TEST_TMPDIR/session$version
		quick $version "${CLIENT[@]}" -session "$session"
		: >"$LOG"
		quick $version "${CLIENT[@]}" -session "$session"
		[[ $output == *' resumed'* ]] || fail "$version"
		logged CN=client.test
		logged verify=ok
	done
}

@test "a ticket is not a certificate" {
	local version session

	# Without a certificate one gets a ticket, where none is wanted.
	implicit "${EC[@]}" "${CA[@]}" -o tls-ticket-key="$TICKETS"
	for version in -tls12 -tls13; do
		quick $version -session "$BATS_TEST_TMPDIR/session$version"
	done
	implicit "${EC[@]}" "${CA[@]}" -o tls-client-require=yes \
	    -o tls-ticket-key="$TICKETS"
	for version in -tls12 -tls13; do
		refused $version -session "$BATS_TEST_TMPDIR/session$version"
	done
}

# weak BITS: as own does, with a key that is not worth much.
weak() {
	local dir=$BATS_TEST_TMPDIR

	openssl genrsa -out "$dir/own.key" "$1" 2>/dev/null
	printf '%s\n' 'cn = client.test' tls_www_client signing_key \
	    'expiration_days = 30' >"$dir/own.tmpl"
	certtool --generate-certificate --load-privkey "$dir/own.key" \
	    --load-ca-certificate "$CERTS/ca.pem" \
	    --load-ca-privkey "$CERTS/ca.key" --template "$dir/own.tmpl" \
	    --outfile "$dir/own.pem" 2>/dev/null
	OWN=(-weak -cert "$dir/own.pem" -key "$dir/own.key")
}

@test "a key that can be broken is nobody's" {
	implicit "${EC[@]}" "${CA[@]}"
	weak 512
	quick -tls12 "${OWN[@]}"
	logged 'verify="weak key or algorithm"'
	weak 1024
	: >"$LOG"
	quick -tls13 "${OWN[@]}"
	logged 'verify="weak key or algorithm"'
	not_logged client=
	weak 2048
	quick -tls13 "${OWN[@]}"
	logged verify=ok
}

# revoke CERTIFICATE ...: a list of them in $CRL, to be replaced in year $NEXT.
revoke() {
	local dir=$BATS_TEST_TMPDIR

	CRL=$dir/crl.pem
	cat "$@" >"$dir/revoked.pem"
	printf '%s\n' 'crl_number = 1' \
	    'crl_this_update_date = "2020-01-01 00:00:00"' \
	    "crl_next_update_date = \"${NEXT-2099}-01-01 00:00:00\"" \
	    >"$dir/crl.tmpl"
	certtool --generate-crl --load-ca-privkey "$CERTS/ca.key" \
	    --load-ca-certificate "$CERTS/ca.pem" \
	    --load-certificate "$dir/revoked.pem" \
	    --template "$dir/crl.tmpl" --outfile "$CRL" 2>/dev/null
}

@test "tls-client-crl: a revoked certificate is nobody's, others are good" {
	own CN=other.test tls_www_client
	revoke "$BATS_TEST_TMPDIR/own.pem"
	implicit "${EC[@]}" "${CA[@]}" -o tls-client-crl="$CRL"
	quick "${OWN[@]}"
	logged verify=revoked
	not_logged client=
	quick "${CLIENT[@]}"
	logged verify=ok
}

@test "tls-client-crl: revoked meanwhile, a resumed session as well" {
	local session=$BATS_TEST_TMPDIR/session

	revoke "$CERTS/ec.pem"
	implicit "${EC[@]}" "${CA[@]}" -o tls-client-crl="$CRL" \
	    -o tls-ticket-key="$TICKETS" -o tls-client-require=yes
	quick -tls13 "${CLIENT[@]}" -session "$session"
	revoke "$CERTS/client.pem"
	refused -tls13 "${CLIENT[@]}" -session "$session"
	wait_for logged 'why="client certificate: revoked"'
}

@test "tls-client-crl: an old list is good for nobody, and -t says so" {
	NEXT=2021 revoke "$CERTS/ec.pem"
	implicit "${EC[@]}" "${CA[@]}" -o tls-client-crl="$CRL"
	quick "${CLIENT[@]}"
	logged 'verify="revocation list too old"'
	checked "${EC[@]}" "${CA[@]}" -o tls-client-crl="$CRL"
	((status == 78))
	[[ $output == "smtpd-tls: tls-client-crl: $CRL: too old" ||
	    $output == *"tls-client-crl: $CRL: too old" ]]
}

@test "tls-client-crl: a list of another authority" {
	revoke "$CERTS/client.pem"
	own CN=other.test tls_www_client 2099 itself
	checked "${EC[@]}" -o tls-client-ca="$BATS_TEST_TMPDIR/own.pem" \
	    -o tls-client-crl="$CRL"
	((status == 78))
	[[ $output == *"tls-client-crl: $CRL: not of an authority in"* ]]
}

@test "tls-client-crl: what is not a list, and one without an authority" {
	checked "${EC[@]}" "${CA[@]}" -o tls-client-crl="$CERTS/ca.pem"
	((status == 78))
	[[ $output == *"tls-client-crl: $CERTS/ca.pem: "* ]]
	serve -o spool="$SPOOL" "${EC[@]}" "${CA[@]}" \
	    -o tls-client-crl=/nonexistent
	printf '%s\n' '< 220' '> EHLO a' '< 250' '> STARTTLS' '< 454' | talk
	logged 'tls-client-crl: /nonexistent: No such file'
	checked "${EC[@]}" -o tls-client-crl=/nonexistent
	((status == 78))
	[[ $output == *'tls-client-crl: want tls-client-ca'* ]]
}

@test "tls-client-server-certs: those for servers as well, but not others" {
	implicit "${EC[@]}" "${CA[@]}" -o tls-client-server-certs=yes
	quick -cert "$CERTS/other.pem" -key "$CERTS/other.key"
	logged CN=other.test
	logged verify=ok
	quick "${CLIENT[@]}"
	: >"$LOG"
	own CN=client.test tls_www_client 2099 self
	quick "${OWN[@]}"
	logged 'verify="unknown issuer"'
}

# fingerprint CERTIFICATE [SED]: as openssl prints it, changed.
fingerprint() {
	openssl x509 -in "$1" -noout -fingerprint -sha256 |
		sed "s/.*=//;${2-}"
}

@test "tls-client-fingerprints: known one by one, with a name" {
	local change users=$BATS_TEST_TMPDIR/users list=$BATS_TEST_TMPDIR/list

	own CN=whoever tls_www_server 2021 self
	echo joe >"$users"
	for change in '' 's/://g' 's/.*/\L&/' 's/$/ /'; do
		{
			echo '# ours'
			echo
			echo "$(fingerprint "$CERTS/ec.pem") somebody"
			echo "$(fingerprint "$BATS_TEST_TMPDIR/own.pem" \
			    "$change") joe"
		} >"$list"
		: >"$LOG"
		implicit "${EC[@]}" -o tls-client-fingerprints="$list" \
		    -o tls-client-require=yes -o auth-users="$users" \
		    -o auth-mechanisms=EXTERNAL
		printf '%s\n' '< 220' '> EHLO a' '< 250' '> AUTH EXTERNAL =' \
		    '< 235' | talk -tls "${OWN[@]}" || fail "$change" || return
		logged 'client=CN=whoever verify=ok' ||
			logged 'client="CN=whoever" verify=ok'
		logged 'mechanism=EXTERNAL user=joe'
	done
	refused "${CLIENT[@]}"
	refused
}

@test "tls-client-fingerprints beside an authority; lines that are none" {
	local list=$BATS_TEST_TMPDIR/list

	own CN=whoever tls_www_client 2099 self
	{
		fingerprint "$BATS_TEST_TMPDIR/own.pem"		# no name
		echo 'AB:CD name'
	} >"$list"
	implicit "${EC[@]}" "${CA[@]}" -o tls-client-fingerprints="$list"
	quick "${OWN[@]}"
	logged 'verify="unknown issuer"'
	quick "${CLIENT[@]}"
	logged verify=ok
	checked "${EC[@]}" -o tls-client-fingerprints="$list"
	((status == 78))
	[[ $output == *"$list: line 1: not SHA-256 and a name"* ]]
	[[ $output == *"$list: line 2: not SHA-256 and a name"* ]]
}

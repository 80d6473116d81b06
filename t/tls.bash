# SPDX-License-Identifier: ISC
# tls.bash - what the tests of TLS share.

tls_setup() {
	test_setup
	certs
	TICKETS=$BATS_TEST_TMPDIR/tickets
	head -c 64 /dev/urandom >"$TICKETS"
	chmod 600 "$TICKETS"
	EC=(-o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key")
	RSA=(-o tls-cert="$CERTS/rsa.pem" -o tls-key="$CERTS/rsa.key")
	OTHER=(-o tls-cert="$CERTS/other.pem" -o tls-key="$CERTS/other.key")
	CA=(-o tls-client-ca="$CERTS/ca.pem")
	CLIENT=(-cert "$CERTS/client.pem" -key "$CERTS/client.key")
}

implicit() {
	serve -o spool="$SPOOL" -o tls=implicit "$@"
}

# reloaded: a file that was replaced is in use.  A listener looks once a second.
reloaded() {
	local n

	[[ $LISTENER == listen ]] || return 0
	n=$(grep -c 'event=reload status=ok' "$LOG") || :
	kill -HUP "$LISTENING"
	wait_for more_reloads "$n"
}

more_reloads() {
	(($(grep -c 'event=reload status=ok' "$LOG") > $1))
}

# s_client [OPTION ...]: what openssl says of the server; nothing is sent.
s_client() {
	timeout 20 openssl s_client -connect "127.0.0.1:$PORT" "$@" \
	    </dev/null 2>&1 || true
}

# quick [OPTION ...]: EHLO and QUIT by talk, in $output.
quick() {
	output=$(printf '%s\n' '< 220' '> EHLO client.test' '< 250' '> QUIT' \
	    '< 221' eof | talk -tls "$@" 2>&1) || {
		status=$?
		fail "talk $*"
	}
}

# refused [OPTION ...]: the handshake, or what follows at once, fails.
refused() {
	! output=$(printf '%s\n' '< 220' '> NOOP' '< 250' |
	    talk -tls "$@" 2>&1) || fail "not refused: $*"
}

# own SUBJECT PURPOSE [YEAR [CA]]: a certificate from 2020 to YEAR, in own.pem.
own() {
	local dir=$BATS_TEST_TMPDIR authority=()

	certtool --generate-privkey --key-type ecdsa --curve secp256r1 \
	    --outfile "$dir/own.key" 2>/dev/null
	printf '%s\n' "dn = \"$1\"" "$2" signing_key \
	    'activation_date = "2020-01-01 00:00:00"' \
	    "expiration_date = \"${3:-2099}-01-01 00:00:00\"" >"$dir/own.tmpl"
	if [[ ${4-ca} == ca ]]; then
		authority=(--generate-certificate
		    --load-ca-certificate "$CERTS/ca.pem"
		    --load-ca-privkey "$CERTS/ca.key")
	else
		authority=(--generate-self-signed)
	fi
	certtool "${authority[@]}" --load-privkey "$dir/own.key" \
	    --template "$dir/own.tmpl" --outfile "$dir/own.pem" 2>/dev/null
	OWN=(-cert "$dir/own.pem" -key "$dir/own.key")
}

# checked [OPTION ...]: what -t says.
checked() {
	mkdir -p "$SPOOL"
	run "$SMTPD" -t -o hostname=mx.test -o spool="$SPOOL" "$@"
}

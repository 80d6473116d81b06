# SPDX-License-Identifier: ISC
# tls.bats - what testssl.sh has to say of protocols and known holes.  The rest
# takes minutes, and sslscan has looked at ciphers: make testssl.

load ../lib

setup() {
	test_setup
	certs
	JSON=$BATS_TEST_TMPDIR/findings.json
	head -c 64 /dev/urandom >"$BATS_TEST_TMPDIR/tickets"
	patient
}

# patient: an openssl for testssl.sh that waits for a ticket.  To test whether
# sessions are resumed, testssl.sh runs s_client with /dev/null as its input, so
# that it leaves as soon as the handshake is over; but TLS 1.3 sends the ticket
# after that, here with the banner.  Whichever server it is, who is first is
# chance (of 40 tries s_server lost 4, Postfix 10, and a process that is new for
# each connection 35), and a test that lost is a "connect problem".
patient() {
	cat >"$BATS_TEST_TMPDIR/openssl" <<-'END'
		#!/bin/sh
		case $* in
		*-sess_out*) sleep 1 | /usr/bin/openssl "$@" ;;
		*) exec /usr/bin/openssl "$@" ;;
		esac
	END
	chmod +x "$BATS_TEST_TMPDIR/openssl"
}

# graded ARGUMENT ...: nothing is called weak, and nothing could not be tested.
# What is about this certificate, which no public authority has signed, is left
# out, and so is what testssl.sh misses in its own openssl: from 3.0.22 on Debian
# builds it without the engine for GOST.
graded() {
	local tests=(-p -U) needed='TLS1_3 BEAST heartbleed secure_client_renego'

	if [[ -n ${TESTSSL_ALL-} ]]; then
		tests+=(-s -P -S)
		needed+=' cipher_order sessionresumption_ticket'
	fi
	testssl --quiet --color 0 --warnings batch --ip 127.0.0.1 \
	    --openssl "$BATS_TEST_TMPDIR/openssl" \
	    --add-ca "$CERTS/ca.pem" "${tests[@]}" \
	    --jsonfile "$JSON" "$@" >"$BATS_TEST_TMPDIR/testssl" 2>&1 || true
	"$PYTHON" - "$JSON" "$needed" <<-'END' || {
	import json, sys
	findings = json.load(open(sys.argv[1]))
	said = {f["id"]: f["finding"] for f in findings}
	for needed in sys.argv[2].split():
	    assert needed in said, needed
	assert said.get("sessionresumption_ticket", "supported") == "supported"
	bad = [f for f in findings
	    if f["severity"] not in ("OK", "INFO", "DEBUG")
	    and not f["id"].startswith(("cert_", "DNS_CAA", "OCSP_"))
	    and f["id"] != "engine_problem"]
	for f in bad:
	    print(f["severity"], f["id"], f["finding"])
	assert not bad
	END
		cat "$BATS_TEST_TMPDIR/testssl"
		return 1
	}
}

# Once is enough: where TLS begins at once it is the same code.
@test "testssl.sh finds nothing weak" {
	serve -o spool="$SPOOL" -o tls=require \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key" \
	    -o tls-cert="$CERTS/rsa.pem" -o tls-key="$CERTS/rsa.key" \
	    -o tls-ticket-key="$BATS_TEST_TMPDIR/tickets"
	graded -t smtp "mx.test:$PORT"
}

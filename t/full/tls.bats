# tls.bats - what testssl.sh has to say, which takes minutes.

load ../lib

setup() {
	test_setup
	certs
	JSON=$BATS_TEST_TMPDIR/findings.json
	head -c 64 /dev/urandom >"$BATS_TEST_TMPDIR/tickets"
}

# graded ARGUMENT ...: nothing is called weak.  What is about this certificate,
# which no public authority has signed, is left out, and so are warnings, which
# are about what could not be tested.
graded() {
	testssl --quiet --color 0 --warnings batch --ip 127.0.0.1 \
	    --add-ca "$CERTS/ca.pem" -p -s -f -P -S -U \
	    --jsonfile "$JSON" "$@" >"$BATS_TEST_TMPDIR/testssl" 2>&1 || true
	"$PYTHON" - "$JSON" <<-'END' || {
	import json, sys
	findings = json.load(open(sys.argv[1]))
	ids = {f["id"] for f in findings}
	for needed in ("TLS1_3", "BEAST", "heartbleed", "cipher_order",
	    "secure_client_renego"):
	    assert needed in ids, needed
	bad = [f for f in findings
	    if f["severity"] not in ("OK", "INFO", "DEBUG", "WARN")
	    and not f["id"].startswith(("cert_", "DNS_CAA", "OCSP_"))]
	for f in bad:
	    print(f["severity"], f["id"], f["finding"])
	assert not bad
	END
		cat "$BATS_TEST_TMPDIR/testssl"
		return 1
	}
}

@test "testssl.sh finds nothing weak, STARTTLS" {
	serve -o spool="$SPOOL" -o tls=require \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key" \
	    -o tls-cert="$CERTS/rsa.pem" -o tls-key="$CERTS/rsa.key" \
	    -o tls-ticket-key="$BATS_TEST_TMPDIR/tickets"
	graded -t smtp "mx.test:$PORT"
}

@test "testssl.sh finds nothing weak, implicit TLS" {
	serve -o spool="$SPOOL" -o tls=implicit \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key" \
	    -o tls-cert="$CERTS/rsa.pem" -o tls-key="$CERTS/rsa.key" \
	    -o tls-ticket-key="$BATS_TEST_TMPDIR/tickets"
	graded "mx.test:$PORT"
}

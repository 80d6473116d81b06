# SPDX-License-Identifier: ISC
# The recipes of examples/ci with TLS and a password, as they are written there.
load ../lib

TEXT=$ROOT/examples/ci/README.md

setup() {
	test_setup
	CI=$BATS_TEST_TMPDIR/ci
	recipe '^openssl req' | sed "s|/usr/local/sbin/smtpd|exec $SMTPD|
	    s|127.0.0.1:2525|127.0.0.1:0|; s| &\$||" >"$BATS_TEST_TMPDIR/start"
	background bash -e "$BATS_TEST_TMPDIR/start" 2>>"$LOG"
	wait_for listening "$!"
}

# recipe PATTERN: the block with a line like that, in this test's places.
recipe() {
	awk -v "pattern=$1" '
	/^    / { text = text substr($0, 5) "\n"
	    if (substr($0, 5) ~ pattern) found = 1; next }
	{ if (found) printf "%s", text; text = found = "" }' "$TEXT" |
	    sed "s|/tmp/ci|$CI|g; s|/tmp/caught|$SPOOL|g" | grep ''
}

# sends COMMAND ...: the block is fed to it; once as it is, and once each with
# a wrong password and where nobody trusts the certificate.
sends() {
	recipe "$1" | sed "s|2525|$PORT|" >"$BATS_TEST_TMPDIR/send"
	shift
	"$@" "$BATS_TEST_TMPDIR/send"
	messages 1
	"$PYTHON" - "$SPOOL" <<-'END'
	import mailbox, sys
	box = mailbox.Maildir(sys.argv[1])
	assert [m['Subject'] for m in box] == ['Welcome']
	assert [m['Delivered-To'] for m in box] == ['bob@example.org']
	END
	sed 's/secret/wrong/' "$BATS_TEST_TMPDIR/send" >"$BATS_TEST_TMPDIR/wrong"
	! "$@" "$BATS_TEST_TMPDIR/wrong" || fail 'a wrong password'
	certs
	cp "$CERTS/ca.pem" "$CI.crt"
	! "$@" "$BATS_TEST_TMPDIR/send" || fail 'another certificate'
	messages 1
}

@test "Python" {
	sends '^import smtplib, ssl' "$PYTHON"
}

@test "PHP" {
	mkdir "$BATS_TEST_TMPDIR/vendor"
	printf "<?php\nrequire 'Symfony/Component/%s/autoload.php';\n" Mailer \
	    >"$BATS_TEST_TMPDIR/vendor/autoload.php"
	cd "$BATS_TEST_TMPDIR"
	sends '^<[?]php' php -d openssl.cafile="$CI.crt" -d include_path=.:/usr/share/php
}

@test "Node" {
	export NODE_EXTRA_CA_CERTS=$CI.crt NODE_PATH=/usr/share/nodejs
	sends 'nodemailer' node
}

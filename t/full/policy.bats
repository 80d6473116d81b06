# SPDX-License-Identifier: ISC
# Policy servers of Debian, as they are.

load ../lib

# mail ADDRESS SENDER [ARGUMENT ...]: a message to b@mx.test from there.
mail() {
	local REMOTE_ADDR=$1 REMOTE_PORT=4711 sender=$2

	export REMOTE_ADDR REMOTE_PORT
	shift 2
	smtp -o spool="$SPOOL" "$@" <<-END
		EHLO client.test
		MAIL FROM:<$sender>
		RCPT TO:<b@mx.test>
		DATA
		Subject: hello

		text
		.
		QUIT
	END
}

postgrey_starts() {
	local user

	DIR=$BATS_TEST_TMPDIR/postgrey
	mkdir "$DIR"
	user=$(id -un)
	# It does not run as root.
	if [[ $user == root ]]; then
		user=postgrey
		chmod a+x "$BATS_RUN_TMPDIR" "${BATS_TEST_TMPDIR%/*}" \
		    "$BATS_TEST_TMPDIR"
		chown postgrey: "$DIR"
	fi
	background "${INSIDE[@]}" postgrey "$@" --delay=1 --dbdir="$DIR" \
	    --user="$user" --group="$(id -gn "$user")" </dev/null \
	    >"$DIR.log" 2>&1
	SERVER=$!
}

# alone: from here on postgrey and smtpd have a loopback of their own, where
# each port is free.
alone() {
	# shellcheck disable=SC2016 # the inner shell's
	INSIDE=(unshare -n sh -c 'ip link set lo up && exec "$@"' sh)
	# shellcheck disable=SC2016 # so is this
	printf '#!/bin/sh\nexec nsenter -n -t "$(cat %s)" "%s" "$@"\n' \
	    "$BATS_TEST_TMPDIR/inside" "$SMTPD" >"$BATS_TEST_TMPDIR/smtpd"
	chmod +x "$BATS_TEST_TMPDIR/smtpd"
	SMTPD=$BATS_TEST_TMPDIR/smtpd
}

# As Debian starts it.
postgrey_of_debian() {
	local POSTGREY_OPTS

	. /etc/default/postgrey
	# shellcheck disable=SC2086 # words
	postgrey_starts $POSTGREY_OPTS
	echo "$SERVER" >"$BATS_TEST_TMPDIR/inside"
	wait_for nsenter -n -t "$SERVER" sh -c 'ss -Htln | grep -q :10023'
}

not_greylisted() {
	mail "$@"
	replies 220 250 250 250 354 250 221
}

# greylists POLICY
greylists() {
	mail 192.0.2.7 a@client.test -o policy="$1"
	said '450 4.7.1 Greylisted'
	messages 0
	wait_for not_greylisted 192.0.2.7 a@client.test -o policy="$1"
	messages 1
	[[ $(message) == *$'\nX-Greylist: delayed '* ]] || fail "$(message)"
	# Another client is not known by that.
	mail 192.0.2.99 other@client.test -o policy="$1"
	said '450 4.7.1 Greylisted'
	not_logged event=error
}

@test "postgrey by a UNIX socket: 450, and accepted when it comes again" {
	postgrey_starts --unix="$BATS_TEST_TMPDIR/postgrey/socket"
	wait_for test -S "$DIR/socket"
	greylists unix:"$DIR/socket"
}

@test "postgrey by TCP: 450, and accepted when it comes again" {
	postgrey_starts --inet=127.0.0.1:"$(free_port)"
	wait_for listening "$SERVER"
	greylists inet:127.0.0.1:"$PORT"
}

@test "postgrey sees one connection a session" {
	local i n

	postgrey_starts --unix="$BATS_TEST_TMPDIR/postgrey/socket"
	wait_for test -S "$DIR/socket"
	smtp -o spool="$SPOOL" -o policy=unix:"$DIR/socket" < <(
		echo 'EHLO client.test'
		for i in {1..20}; do
			printf '%s\n' "MAIL FROM:<a$i@client.test>" \
			    'RCPT TO:<b@mx.test>' 'RCPT TO:<c@mx.test>' RSET
		done
		echo QUIT
	)
	n=$(grep -c '^450 4.7.1' <<<"$output")
	[[ $n == 40 ]] || fail "$n recipients deferred, of 40"
	not_logged event=error
}

# SPF by policyd-spf, which runs on standard input and output.
SPF=$UNPACKED/usr/bin/policyd-spf

spf_starts() {
	printf '%s\n' 'HELO_reject = Fail' 'Mail_From_reject = Fail' \
	    'debugLevel = 0' >"$BATS_TEST_TMPDIR/spf.conf"
	serve_with tcpserver -1 -HR -l 0 127.0.0.1 0 \
	    "$@" "$BATS_TEST_TMPDIR/spf.conf"
	POLICY=inet:127.0.0.1:$PORT
}

@test "policyd-spf: a client and a sender that need no DNS" {
	spf_starts "$SPF"
	mail 127.0.0.1 a@localhost -o policy="$POLICY"
	replies 220 250 250 250 354 250 221
	[[ $(message) == *$'\nX-Comment: SPF '* ]] || fail "$(message)"
	rm "$SPOOL"/new/*
	mail 198.51.100.7 a@localhost -o policy="$POLICY"
	replies 220 250 250 250 354 250 221
	[[ $(message) == *$'\nReceived-SPF: None '* ]] || fail "$(message)"
}

@test "policyd-spf: as a policy program, which smtpd starts itself" {
	printf 'debugLevel = 0\n' >"$BATS_TEST_TMPDIR/spf.conf"
	POLICY="exec:$SPF $BATS_TEST_TMPDIR/spf.conf"
	mail 198.51.100.7 a@localhost -o policy="$POLICY"
	replies 220 250 250 250 354 250 221
	[[ $(message) == *$'\nReceived-SPF: None '* ]] || fail "$(message)"
	not_logged event=error
}

@test "policyd-spf: pass, fail and none by a DNS of its own" {
	spf_starts "$PYTHON" "$ROOT/t/localspf.py"
	mail 198.51.100.7 a@pass.test -o policy="$POLICY"
	replies 220 250 250 250 354 250 221
	[[ $(message) == *$'\nReceived-SPF: Pass '* ]] || fail "$(message)"
	rm "$SPOOL"/new/*
	mail 192.0.2.7 a@pass.test -o policy="$POLICY"
	said '550 5.7.23 '
	mail 198.51.100.7 a@fail.test -o policy="$POLICY"
	said '550 5.7.23 '
	messages 0
	not_logged event=error
}

@test "policyd-spf: one header for all recipients of a message" {
	spf_starts "$PYTHON" "$ROOT/t/localspf.py"
	REMOTE_ADDR=198.51.100.7 REMOTE_PORT=1 smtp -o spool="$SPOOL" \
	    -o policy="$POLICY" <<-'END'
		EHLO client.test
		MAIL FROM:<a@pass.test>
		RCPT TO:<b@mx.test>
		RCPT TO:<c@mx.test>
		DATA
		.
		QUIT
	END
	replies 220 250 250 250 250 354 250 221
	[[ $(message | grep -c '^Received-SPF:') == 1 ]] || fail "$(message)"
}

@test "README: policyd-spf, then postgrey, with the lines as they are there" {
	alone
	postgrey_of_debian
	sed -n "s|/usr/bin/policyd-spf|$SPF|; s/^    \\(policy = .*\\)/\\1/p" "$ROOT/README.md" \
	    >"$BATS_TEST_TMPDIR/conf"
	(($(grep -c ^policy "$BATS_TEST_TMPDIR/conf") == 2))
	"$SMTPD" -t -f "$BATS_TEST_TMPDIR/conf" -o spool="$SPOOL" \
	    -o hostname=mx.test
	mail 198.51.100.7 a@localhost -f "$BATS_TEST_TMPDIR/conf"
	said '450 4.7.1 Greylisted'
	wait_for not_greylisted 198.51.100.7 a@localhost \
	    -f "$BATS_TEST_TMPDIR/conf"
	messages 1
	# In the order of the servers; what SPF can say without a DNS is little.
	[[ $(message | grep -oE '^(Received(-SPF)?|X-Greylist):') == \
	    $'Received-SPF:\nX-Greylist:\nReceived:' ]] ||
		fail "$(message)"
	not_logged event=error
}

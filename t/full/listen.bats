# SPDX-License-Identifier: ISC
# Where smtpd listens itself: what shows only in thousands of connections, in
# networks of its own, or after half a minute.
load ../lib

client() {
	"$PYTHON" "$ROOT/t/full/connections.py" "$@"
}

@test "hundreds of children: no random number is used twice" {
	certs
	serve_itself -o spool="$SPOOL" -o tls-cert="$CERTS/ec.pem" \
	    -o tls-key="$CERTS/ec.key" -o tls=implicit \
	    -o max-connections-source=0 -o sandbox=no
	client randoms "$PORT" 300
	kill "$LISTENING"
	echo 'bob:{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=' \
	    >"$BATS_TEST_TMPDIR/users"
	serve_itself -o auth-file="$BATS_TEST_TMPDIR/users" \
	    -o auth-cleartext=yes -o max-connections-source=0
	client nonces "$PORT" 200
	# Ids are random numbers as well.
	sed -n 's/^id=\([0-9a-f]*\) event=connect.*/\1/p' "$LOG" | sort |
	    uniq -d >"$BATS_TEST_TMPDIR/twice"
	(($(grep -c event=connect "$LOG") >= 500))
	[[ ! -s $BATS_TEST_TMPDIR/twice ]]
}

@test "after 10 000 connections it is another process image, and none is lost" {
	serve_itself -o spool="$SPOOL" -o max-connections-source=0
	client greeted "$PORT" 10500
	grep -q 'event=reload status=exec why=age' "$LOG"
	(($(grep -c 'event=reload status=started' "$LOG") == 1))
}

# reloads N: at least so many were good, and none was not.
reloads() {
	not_logged status=kept
	(($(grep -c 'event=reload status=ok' "$LOG") >= $1))
}

@test "certificates and settings are replaced under load: everybody is served" {
	local dir=$BATS_TEST_TMPDIR file n=0

	certs
	printf '%s\n' "tls-cert = $dir/cert" "tls-key = $dir/key" \
	    'max-connections-source = 0' >"$dir/conf"
	cp "$CERTS/ec.pem" "$dir/cert"
	cp "$CERTS/ec.key" "$dir/key"
	serve_itself -f "$dir/conf"
	client handshakes "$PORT" "$dir/stop" >"$dir/seen" &
	for file in other ec other ec other ec other ec; do
		cp "$CERTS/$file.key" "$dir/key.new"
		cp "$CERTS/$file.pem" "$dir/cert.new"
		sed '/^max-m/d' "$dir/conf" >"$dir/conf.new"
		echo "max-messages = $((++n))" >>"$dir/conf.new"
		for file in key cert conf; do
			mv "$dir/$file.new" "$dir/$file"
		done
		kill -HUP "$LISTENING"
		wait_for reloads $n
	done
	touch "$dir/stop"
	wait $!
	# Both certificates were seen, and no connection failed.
	[[ $(sort -u "$dir/seen" | wc -l) == 2 ]] ||
		fail "$(sort "$dir/seen" | uniq -c)"
	! grep -q failed "$dir/seen"
}

@test "fork fails: 421, one line, and service goes on" {
	chmod 755 "$BATS_TEST_TMPDIR"
	background setpriv --reuid=54321 --clear-groups bash -c \
	    'ulimit -u 3; exec "$@"' - "$SMTPD" -l 127.0.0.1:0 2>>"$LOG"
	LISTENING=$!
	wait_for listening "$LISTENING"
	client held "$PORT" 6 >"$BATS_TEST_TMPDIR/said"
	grep -q '^421 4.3.2' "$BATS_TEST_TMPDIR/said"
	grep -q '^220' "$BATS_TEST_TMPDIR/said"
	(($(grep -c event=refused "$LOG") == 1))
	wait_for client greeted "$PORT" 1
}

@test "a source: an IPv4 address however it comes, a /64, eight times for a /48" {
	unshare -n bash -e -s "$SMTPD" "$PYTHON" "$ROOT/t/full/connections.py" \
	    <<-'EOF' || fail "$(<"$LOG")"
	ip link set lo up
	for a in 192.0.2.1 192.0.2.2; do ip addr add $a/32 dev lo; done
	for net in 1 2 3 4 5 6 7 8 9; do
		for host in 1 2; do
			ip -6 addr add 2001:db8:0:$net::$host/128 dev lo nodad
		done
	done
	ip -6 addr add 2001:db8:1::1/128 dev lo nodad
	"$2" "$3" sources "$1"
	EOF
}

@test "over 70 % of the places, who says nothing has half a minute" {
	serve_itself -o spool="$SPOOL" -o max-connections=10 \
	    -o max-connections-source=0 -o timeout=300
	# Seven wait as long as they may; the eighth and ninth do not.
	client hurried "$PORT" 9 7
}

# SPDX-License-Identifier: ISC
# accounts.bats - authentication: Dovecot's hashes, and fail2ban.

load ../lib

setup() {
	test_setup
	USERS=$BATS_TEST_TMPDIR/users
	PASSWORD='pa s,s="wörd"'
}

# b64 FORMAT: octets as printf has them, in base64.
b64() {
	# shellcheck disable=SC2059 # it is a format
	printf "$1" | base64 -w 0
}

# in_clear USER PASSWORD CODE: PLAIN on a pipe, with the file.
in_clear() {
	smtp -o spool="$SPOOL" -o auth-file="$USERS" -o auth-cleartext=yes \
	    <<-END
	EHLO c
	AUTH PLAIN $({ printf '\0%s\0%s' "$1" "$2"; } | base64 -w 0)
	QUIT
	END
	replies 220 250 "$3" 221
}

@test "all kinds of hashes that doveadm pw makes and that we know" {
	local kind

	for kind in SCRAM-SHA-256 SHA512-CRYPT SHA256-CRYPT BLF-CRYPT \
	    CRYPT MD5-CRYPT; do
		echo "$kind:$(doveadm pw -s $kind -p "$PASSWORD")"
	done >"$USERS"
	for kind in $(cut -d : -f 1 "$USERS"); do
		in_clear "$kind" "$PASSWORD" 235 ||
			fail "$kind" || return
	done
	in_clear SCRAM-SHA-256 wrong 535
	# Others are no hash for us, and -t says so.
	echo "x:$(doveadm pw -s SSHA256 -p "$PASSWORD")" >>"$USERS"
	in_clear x "$PASSWORD" 535
	run "$SMTPD" -t -o spool="$SPOOL" -o auth-file="$USERS" \
	    -o auth-cleartext=yes
	[[ $output == *'line 7: no hash'* ]]
}

@test "fail2ban finds the address in each failure, and only there" {
	local base=$BATS_TEST_TMPDIR/fail2ban log=$BATS_TEST_TMPDIR/messages

	cp -r /etc/fail2ban "$base"
	rm -f "$base"/jail.d/*
	cp "$ROOT/examples/fail2ban/filter.conf" "$base/filter.d/smtpd.conf"
	cp "$ROOT/examples/fail2ban/jail.conf" "$base/jail.d/smtpd.conf"
	fail2ban-client -c "$base" -t
	echo "joe:$(doveadm pw -s SCRAM-SHA-256 -p secret)" >"$USERS"
	for address in 192.0.2.7 2001:db8::7; do
		REMOTE_ADDR=$address REMOTE_PORT=4711 \
		smtp -o spool="$SPOOL" -o auth-file="$USERS" \
		    -o auth-cleartext=yes <<-END
		EHLO c
		AUTH PLAIN $(b64 '\0x" addr=9.9.9.9 "\0p')
		AUTH PLAIN $(b64 '\0x\\" addr=9.9.9.9\0p')
		AUTH PLAIN $(b64 '\0joe\0secret')
		QUIT
		END
		replies 220 250 535 535 235 221
	done
	REMOTE_ADDR=192.0.2.8 REMOTE_PORT=4711 smtp -o log-level=debug <<-'END'
	EHLO id=1.event=auth
	MAIL FROM:<"event=auth status=failed mechanism=PLAIN addr=9.9.9.9"@x>
	QUIT
	END
	sed 's/^/Nov 24 17:29:01 mx smtpd[123]: /' "$LOG" >"$log"
	[[ $(fail2ban-regex -c "$base" -o ip "$log" smtpd 2>/dev/null |
	    sort | uniq -c | awk '{ print $1, $2 }') == \
	    $'2 192.0.2.7\n2 2001:db8::7' ]]
	# From the journal there is no prefix.
	sed 's/^/Nov 24 17:29:01 /' "$LOG" >"$log"
	[[ $(fail2ban-regex -c "$base" -o ip "$log" smtpd 2>/dev/null |
	    wc -w) == 4 ]]
}

# entry TEXT FIELD=VALUE ...: one of a journal, in systemd's export format.
entry() {
	local field

	printf '%s\n' "__REALTIME_TIMESTAMP=$(date +%s)000000" \
	    SYSLOG_IDENTIFIER=smtpd _UID=65534 "MESSAGE=$1"
	shift
	printf '%s\n' "$@" ''
}

@test "fail2ban believes the units, and no local user" {
	local base=$BATS_TEST_TMPDIR/fail2ban unit n=0
	local journal=$BATS_TEST_TMPDIR/test.journal
	local line='id=1 event=auth status=failed mechanism=PLAIN user=x addr='

	cp -r /etc/fail2ban "$base"
	cp "$ROOT/examples/fail2ban/filter.conf" "$base/filter.d/smtpd.conf"
	cp "$ROOT/examples/fail2ban/jail.conf" "$base/jail.d/smtpd.conf"
	{
		for unit in smtpd 'smtpd\x2dsubmission' \
		    'smtpd\x2dsubmissions'; do
			n=$((n + 1))
			entry "${line}192.0.2.$n" \
			    "_SYSTEMD_SLICE=system-$unit.slice"
		done
		for unit in "$ROOT"/units/smtpd*.service; do
			n=$((n + 1))
			entry "${line}192.0.2.$n" _SYSTEMD_SLICE=system.slice \
			    "_SYSTEMD_UNIT=${unit##*/}"
		done
		# logger -t smtpd, and somebody who forges what can be.
		entry "${line}9.9.9.9" _SYSTEMD_SLICE=user-1000.slice \
		    _SYSTEMD_UNIT=user@1000.service UNIT=smtpd@1.service \
		    SYSTEMD_SLICE=system-smtpd.slice
	} >"$BATS_TEST_TMPDIR/export"
	/lib/systemd/systemd-journal-remote -o "$journal" - \
	    <"$BATS_TEST_TMPDIR/export" >&2
	run fail2ban-regex -c "$base" -o ip \
	    "systemd-journal[journalfiles=$journal]" smtpd
	diff <(sort -u <<<"$output") \
	    <(for ((; n > 0; n--)); do echo "192.0.2.$n"; done | sort -u)
}

# SPDX-License-Identifier: ISC
# Real mail filters, with the files of examples/milters.

load servers

export REMOTE_ADDR=192.0.2.7 REMOTE_PORT=4321

# conf FILE: that of the examples, in $DIR, with what there is here.
conf() {
	sed -e "s,/run/milters,$DIR,; s,mx\.example\.org,mx.test," \
	    -e "s,example\.org,client.test,; s,/etc/dkimkeys,$DIR," \
	    -e "s,/run/clamav,$DIR,; s,/etc/opendmarc/.*,$DIR/ignore," \
	    -e "s/^\(Syslog[[:blank:]]*\).*/\1no/" \
	    "$ROOT/examples/milters/$1" >"$DIR/$1"
}

clamd_answers() {
	[[ $(socat -t 10 - "UNIX:$DIR/clamd.ctl" <<<PING) == PONG ]]
}

setup_file() {
	local text

	# opendkim asks no DNS here, but this file.
	server_dir opendkim opendkim
	export DKIM=unix:$DIR/opendkim
	opendkim-genkey -b 1024 -d client.test -s mail -D "$DIR"
	text=$(tr -d '\n' <"$DIR/mail.txt" | grep -o '"[^"]*"' | tr -d '"\n')
	echo "mail._domainkey.client.test $text" >"$DIR/keys"
	conf opendkim.conf
	# ... and takes a key from below /tmp.
	printf "%s\n" "TestDNSData $DIR/keys" "RequireSafeKeys no" \
	    >>"$DIR/opendkim.conf"
	chown -R opendkim: "$DIR"
	server_start opendkim "$DIR/log" opendkim -f -x "$DIR/opendkim.conf"

	server_dir opendmarc opendmarc
	export DMARC=unix:$DIR/opendmarc
	conf opendmarc.conf
	: >"$DIR/ignore"
	server_start opendmarc "$DIR/log" opendmarc -f -c "$DIR/opendmarc.conf"

	server_dir rspamd _rspamd
	RSPAMD=$(free_port)
	export RSPAMD=inet:127.0.0.1:$RSPAMD
	echo test >"$DIR/tld"
	cat >"$DIR/rspamd.conf" <<-END
	options {
		pidfile = "$DIR/pid";
		tempdir = "$DIR";
		hs_cache_dir = "$DIR";
		dns { nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; }
		url_tld = "$DIR/tld";
		enable_test_patterns = true;
		disable_hyperscan = true;
		filters = "";
	}
	logging { type = "console"; level = "notice"; }
	worker "rspamd_proxy" {
	$(sed "s/127.0.0.1:11332/${RSPAMD#inet:}/" \
	    "$ROOT/examples/milters/rspamd-proxy.inc")
	}
	actions { reject = 15; add_header = 6; }
	END
	server_start _rspamd "$DIR/log" rspamd -f -c "$DIR/rspamd.conf"

	# The real database can't be had: one signature is enough.
	server_dir clamav clamav
	export CLAMAV=unix:$DIR/clamav
	printf 'Test.Eicar:0:*:%s\n' "$(eicar | od -An -tx1 | tr -d ' \n')" \
	    >"$DIR/test.ndb"
	printf '%s\n' "LocalSocket $DIR/clamd.ctl" "DatabaseDirectory $DIR" \
	    "TemporaryDirectory $DIR" 'Foreground yes' >"$DIR/clamd.conf"
	conf clamav-milter.conf
	server_start clamav "$DIR/log" clamd -c "$DIR/clamd.conf"
	# Or the milter finds it down, and looks again only after a while.
	wait_for clamd_answers
	server_start clamav "$DIR/log" clamav-milter -c "$DIR/clamav-milter.conf"

	server_dir spamass debian-spamd
	export SPAMASS=unix:$DIR/spamass
	server_start debian-spamd "$DIR/log" spamd --local --max-children=1 \
	    --socketpath="$DIR/spamd" --socketmode=666 --nouser-config \
	    --helper-home-dir="$DIR"
	server_start debian-spamd "$DIR/log" spamass-milter -m -p "$DIR/spamass" \
	    -r 15 -- -U "$DIR/spamd"
	wait_long test -S "$DIR/spamd"
}

teardown_file() {
	server_stop
}

eicar() {
	printf '%s%s' 'X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-' \
	    'ANTIVIRUS-TEST-FILE!$H+H*'
}

gtube() {
	printf '%s%s\n' 'XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI' \
	    '-UBE-TEST-EMAIL*C.34X'
}

# mail MILTER [ARGUMENT ...]: a message with the text on standard input.
mail() {
	local text milter=$1

	text=$(cat)
	shift
	wait_long "$SMTPD" -t -o hostname=mx.test -o spool="$SPOOL" \
	    -o milter="$milter"
	smtp -o spool="$SPOOL" -o milter="$milter" "$@" <<-END
		EHLO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<b@mx.test>
		DATA
		$text
		.
		QUIT
	END
}

HEADER='From: <a@client.test>
To: <b@mx.test>
Subject: one
 two
Date: Fri, 27 Nov 2026 07:00:00 +0000
Message-ID: <1@client.test>
'

taken() {
	replies 220 250 250 250 354 250 221
	not_logged event=error
}

# signed: a message with the signature of opendkim.
signed() {
	REMOTE_ADDR='' mail "$DKIM" <<<"$HEADER
text"
	taken
	message | sed '/^Return-Path\|^Delivered-To/d
	    /^Received/,/+0000$/d' >"$BATS_TEST_TMPDIR/signed"
	rm "$SPOOL"/new/*
	grep -q ^DKIM-Signature: "$BATS_TEST_TMPDIR/signed" ||
		fail "$(<"$BATS_TEST_TMPDIR/signed")"
}

# results: Authentication-Results, in a line each.
results() {
	message | sed ':a;N;$!ba;s/\n[ \t]\+/ /g' |
	    sed -n 's/^Authentication-Results: //p'
}

@test "opendkim signs, and its own signature passes" {
	signed
	mail "$DKIM" <"$BATS_TEST_TMPDIR/signed"
	taken
	[[ $(results) == 'mx.test; dkim=pass '*header.d=client.test* ]] ||
		fail "$(message)"
}

@test "opendkim signs for whoever has logged in, from anywhere" {
	smtp -o spool="$SPOOL" -o milter="$DKIM" -o auth-any=yes \
	    -o auth-cleartext=yes <<-END
		EHLO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<b@mx.test>
		DATA
		$HEADER
		text
		.
		RSET
		AUTH PLAIN $(printf '\0me\0secret' | base64)
		MAIL FROM:<a@client.test>
		RCPT TO:<b@mx.test>
		DATA
		$HEADER
		text
		.
		QUIT
	END
	replies 220 250 250 250 354 250 250 235 250 250 354 250 221
	messages 2
	(($(grep -l '^DKIM-Signature: .*' "$SPOOL"/new/* | wc -l) == 1))
	grep -q '^DKIM-Signature:' \
	    "$(grep -l '^Authenticated-User: me' "$SPOOL"/new/*)"
}

@test "opendkim: a message that was changed fails" {
	signed
	mail "$DKIM" < <(sed 's/^text/test/' "$BATS_TEST_TMPDIR/signed")
	taken
	[[ $(results) == 'mx.test; dkim=fail '* ]] || fail "$(message)"
}

@test "opendkim: a forged Authentication-Results is gone" {
	signed
	mail "$DKIM" < <(
		echo 'Authentication-Results: mx.test; dkim=pass header.d=forged.test'
		echo 'X-Between: 1'
		echo 'Authentication-Results: mx.test; spf=pass smtp.mailfrom=forged.test'
		echo 'Authentication-Results: other.test; dkim=pass header.d=kept.test'
		cat "$BATS_TEST_TMPDIR/signed"
	)
	taken
	[[ $(message) != *forged.test* ]] || fail "$(message)"
	[[ $(message) == *kept.test* ]] || fail "$(message)"
	[[ $(results) == *'dkim=pass '*header.d=client.test* ]]
}

@test "opendkim, then opendmarc: it has opendkim's result, both are there" {
	signed
	mail "$DKIM" -o milter="$DKIM" -o milter="$DMARC" \
	    <"$BATS_TEST_TMPDIR/signed"
	taken
	[[ $(results) == *'mx.test; dkim=pass'* ]] || fail "$(message)"
	[[ $(results) == *'dmarc='* ]] || fail "$(message)"
}

@test "opendmarc alone" {
	mail "$DMARC" <<<"$HEADER
text"
	taken
	[[ $(results) == 'mx.test; dmarc='* ]] || fail "$(message)"
}

@test "rspamd: GTUBE is refused with its text, ham is taken" {
	mail "$RSPAMD" <<<"$HEADER
text"
	taken
	mail "$RSPAMD" <<<"$HEADER
$(gtube)"
	said '554 5.7.1 '
	[[ $output == *[Gg]tube* ]] || fail 'not its text'
	messages 1
}

@test "clamav-milter: EICAR is refused with its name, the rest is marked" {
	mail "$CLAMAV" <<<"$HEADER
text"
	taken
	[[ $(message) == *$'\nX-Virus-Status: Clean\n'* ]] || fail "$(message)"
	mail "$CLAMAV" <<<"$HEADER
$(eicar)"
	said 'Refused: it has Test.Eicar'
	messages 1
}

@test "spamass-milter: GTUBE is refused, ham is marked" {
	mail "$SPAMASS" <<<"$HEADER
text"
	taken
	[[ $(message) == *$'\nX-Spam-'* ]] || fail "$(message)"
	mail "$SPAMASS" <<<"$HEADER
$(gtube)"
	said '550 5.7.1 '
	messages 1
}

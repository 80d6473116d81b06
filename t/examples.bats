# SPDX-License-Identifier: ISC
# examples.bats - the examples that need no server of their own to be proven.
# Those that do are in t/full.

load lib

EXAMPLES=$ROOT/examples

# one SENDER RECIPIENT SUBJECT: a dialogue with one message.
one() {
	printf '%s\n' 'EHLO client.test' "MAIL FROM:<$1>" "RCPT TO:<$2>" \
	    DATA "Subject: $3" '' '..A dot and ünïcödé' . QUIT
}

# webhook PATH [WORD ...]: a message to the web server's PATH.
webhook() {
	local path=$1

	shift
	WEB=$BATS_TEST_TMPDIR/web
	mkdir -p "$WEB"
	[[ -n ${WEBPORT-} ]] || {
		serve_with "$PYTHON" "$ROOT/t/webserver.py" "$WEB"
		WEBPORT=$PORT
	}
	smtp -o exec="$EXAMPLES/webhook http://127.0.0.1:$WEBPORT$path $*" \
	    < <(one a@client.test b@mx.test one)
}

# field NAME: its values in the last request.
field() {
	sed -n "s/^$1: //p" "$WEB"/*.head
}

@test "webhook: the request has the message and the envelope" {
	export REMOTE_ADDR=192.0.2.7
	webhook /
	replies 220 250 250 250 354 250 221
	head -n 1 "$WEB/1.head" | grep -qx 'POST / HTTP/1.1'
	[[ $(field Smtp-Sender) == a@client.test ]]
	[[ $(field Smtp-Recipient) == b@mx.test ]]
	[[ $(field Smtp-Client) == 192.0.2.7 ]]
	[[ $(field Smtp-Helo) == client.test ]]
	[[ $(field Smtp-Protocol) == ESMTP ]]
	[[ $(field Content-Type) == message/rfc822 ]]
	logged "id=$(field Smtp-Session) "
	head -n 1 "$WEB/1.body" | grep -q '^Received: from client.test '
	tail -n 3 "$WEB/1.body" |
	    cmp - <(printf 'Subject: one\n\n.A dot and ünïcödé\n')
}

@test "webhook-json: envelope, parts, attachments, and a signature" {
	WEB=$BATS_TEST_TMPDIR/web
	mkdir "$WEB"
	serve_with "$PYTHON" "$ROOT/t/webserver.py" "$WEB"
	printf secret >"$BATS_TEST_TMPDIR/key"
	smtp -o exec="$EXAMPLES/webhook-json http://127.0.0.1:$PORT/ \
	    $BATS_TEST_TMPDIR/key" <<'END'
EHLO client.test
MAIL FROM:<a@client.test>
RCPT TO:<b@mx.test>
RCPT TO:<c@mx.test>
DATA
Authentication-Results: mx.test; spf=pass
Subject: both
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

J=F6rg
--x
Content-Type: application/octet-stream
Content-Disposition: attachment; filename=a.bin
Content-Transfer-Encoding: base64

AAEC
--x--
.
QUIT
END
	replies 220 250 250 250 250 354 250 221
	"$PYTHON" - "$WEB" <<-'END'
	import hashlib, hmac, json, re, sys
	body = open(sys.argv[1] + '/1.body', 'rb').read()
	head = open(sys.argv[1] + '/1.head').read()
	when, mac = re.search(r'Webhook-signature: t=(\d+),v1=(\w+)', head,
	    re.I).groups()
	assert hmac.new(b'secret', when.encode() + b'.' + body,
	    hashlib.sha256).hexdigest() == mac
	m = json.loads(body)
	assert m['envelope']['sender'] == 'a@client.test', m
	assert m['envelope']['recipients'] == ['b@mx.test', 'c@mx.test'], m
	assert m['subject'] == 'both' and m['text'] == 'J\xf6rg', m
	assert m['authentication'] == ['mx.test; spf=pass'], m
	(a,) = m['attachments']
	assert (a['name'], a['content'], a['size']) == ('a.bin', 'AAEC', 3), m
	END
}

@test "webhook-json: the endpoint's code decides; nobody there is 451" {
	local code

	WEB=$BATS_TEST_TMPDIR/web
	mkdir "$WEB"
	: >"$BATS_TEST_TMPDIR/key"
	serve_with "$PYTHON" "$ROOT/t/webserver.py" "$WEB"
	for code in 204:250 404:451 410:550 422:554 500:451; do
		smtp -o exec="$EXAMPLES/webhook-json \
		    http://127.0.0.1:$PORT/${code%:*} $BATS_TEST_TMPDIR/key" \
		    < <(one a@client.test b@mx.test one)
		replies 220 250 250 250 354 "${code#*:}" 221
	done
	smtp -o exec="$EXAMPLES/webhook-json http://127.0.0.1:1/ \
	    $BATS_TEST_TMPDIR/key" < <(one a@client.test b@mx.test one)
	replies 220 250 250 250 354 451 221
}

@test "s3: a signed PUT, and 250 after it; a wrong secret is 451" {
	local store=$BATS_TEST_TMPDIR/store secret

	mkdir "$store"
	serve_with "$PYTHON" "$ROOT/t/s3server.py" "$store"
	for secret in wrong:451 secret:250; do
		echo "user = \"key:${secret%:*}\"" >"$BATS_TEST_TMPDIR/curlrc"
		smtp -o exec="$EXAMPLES/s3 http://127.0.0.1:$PORT/mail/ \
		    eu-central-1 $BATS_TEST_TMPDIR/curlrc" \
		    < <(one a@client.test b@mx.test one)
		replies 220 250 250 250 354 "${secret#*:}" 221
	done
	logged 'answered 403'
	(($(ls "$store" | wc -l) == 1))
	tail -n 3 "$store"/mail_*.eml |
	    cmp - <(printf 'Subject: one\n\n.A dot and ünïcödé\n')
}

@test "webhook: no address can add a field" {
	webhook /
	smtp -o exec="$EXAMPLES/webhook http://127.0.0.1:$WEBPORT/" <<'END'
EHLO client.test
MAIL FROM:<> SMTPUTF8
RCPT TO:<"b, c: \"%0d%0aX: y"@mx.test>
RCPT TO:<jörg+x@mx.test>
DATA

.
QUIT
END
	replies 220 250 250 250 250 354 250 221
	rm "$WEB/1.head"
	[[ $(field Smtp-Sender) == '<>' ]]
	[[ $(field Smtp-Recipient) == \
	    "%22b%2C%20c:%20%5C%22%250d%250aX:%20y%22@mx.test
j%C3%B6rg+x@mx.test" ]]
	# No user, however logged in, either.
	env SENDER=a@b RECIPIENT=c@d AUTH_USER=$'u\r\nSmtp-Sender: x' \
	    "$EXAMPLES/webhook" "http://127.0.0.1:$WEBPORT/" </dev/null
	rm "$WEB/2.head"
	[[ $(field Smtp-Sender) == a@b ]]
	[[ $(field Smtp-User) == u%0D%0ASmtp-Sender:%20x ]]
}

@test "webhook: the endpoint's code decides" {
	local code

	for code in 200:250 204:250 302:451 400:554 401:451 404:451 410:550 \
	    413:554 422:554 429:451 500:451 503:451; do
		webhook "/${code%:*}"
		replies 220 250 250 250 354 "${code#*:}" 221
	done
}

@test "webhook: the endpoint may word the reply" {
	webhook /422/No+attachments%2C+please
	said '554 5.3.0 No attachments, please'
	webhook /200/Ticket+17
	said '250 2.0.0 Ticket 17'
}

@test "webhook: an endpoint that is not there is 451" {
	smtp -o exec="$EXAMPLES/webhook http://127.0.0.1:1/" \
	    < <(one a@b b@mx.test one)
	replies 220 250 250 250 354 451 221
}

@test "webhook: fields of a file are sent along, and kept out of ps" {
	echo 'Authorization: Bearer secret' >"$BATS_TEST_TMPDIR/fields"
	webhook / "$BATS_TEST_TMPDIR/fields"
	replies 220 250 250 250 354 250 221
	[[ $(field Authorization) == 'Bearer secret' ]]
	webhook / "$BATS_TEST_TMPDIR/none"
	replies 220 250 250 250 354 451 221
}

@test "webhook: a message of some megabytes arrives whole" {
	WEB=$BATS_TEST_TMPDIR
	serve_with "$PYTHON" "$ROOT/t/webserver.py" "$WEB"
	{
		printf '%s\n' 'EHLO client.test' 'MAIL FROM:<a@b>' \
		    'RCPT TO:<c@d>' DATA 'Subject: big' ''
		yes 'All work and no play makes Jack a dull boy' |
		    head -c 3000000
		printf '\n.\nQUIT\n'
	} >"$BATS_TEST_TMPDIR/in"
	smtp -o exec="$EXAMPLES/webhook http://127.0.0.1:$PORT/" \
	    <"$BATS_TEST_TMPDIR/in"
	replies 220 250 250 250 354 250 221
	[[ $(sed '1,/^$/d' "$WEB/1.body" | wc -c) == 3000001 ]]
}

@test "maildir: the message is in new/, and in .Junk if it is spam" {
	smtp -o envelope-lines=yes -o exec="$EXAMPLES/maildir $SPOOL" \
	    < <(one a@b b@mx.test one)
	replies 220 250 250 250 354 250 221
	messages 1
	[[ $(message) == 'Return-Path: <a@b>'*$'\n.A dot'* ]]
	echo x | SPAM=yes "$EXAMPLES/maildir" "$SPOOL"
	messages 1
	SPOOL=$SPOOL/.Junk messages 1
}

@test "maildir: what can't be written is 451" {
	: >"$BATS_TEST_TMPDIR/file"
	smtp -o exec="$EXAMPLES/maildir $BATS_TEST_TMPDIR/file" \
	    < <(one a@b b@mx.test one)
	replies 220 250 250 250 354 451 221
	# A disk that is full, as far as the program can tell.
	mkdir -p "$SPOOL"/{tmp,new,cur}
	run bash -c 'ulimit -f 1; trap "" XFSZ; exec "$1" "$2" <"$3"' - \
	    "$EXAMPLES/maildir" "$SPOOL" "$SMTPD"
	[[ $status == 75 ]]
	messages 0
}

# failing RULE [OPTION ...]: with examples/failures.conf and this rule.
failing() {
	local dir=$BATS_TEST_TMPDIR

	[[ $1 == - ]] || printf '%s\n' "$1" >"$dir/failures.rules"
	shift
	sed "s|/usr/local/lib/smtpd|$EXAMPLES|g; s|/etc/smtpd|$dir|g
	    s|/var/tmp/caught|$SPOOL|" \
	    "$EXAMPLES/failures.conf" >"$dir/failures.conf"
	smtp -f "$dir/failures.conf" "$@"
}

@test "failures: without a rule that matches the message is caught" {
	failing 'recipient c@* 100 550 5.1.1 No such user' \
	    < <(one a@client.test b@mx.test one)
	replies 220 250 250 250 354 250 221
	messages 1
}

@test "failures: the rules of the example do as they say" {
	cp "$EXAMPLES/failures.rules" "$BATS_TEST_TMPDIR"
	failing - <<'END'
EHLO client.test
MAIL FROM:<x@blocked.test>
RCPT TO:<b@mx.test>
RSET
MAIL FROM:<x@client.test>
RCPT TO:<nobody@mx.test>
RCPT TO:<full@mx.test>
RCPT TO:<b@mx.test>
DATA
Subject: buy spam now

.
MAIL FROM:<x@client.test>
RCPT TO:<b@mx.test>
DATA
Subject: tempfail

.
MAIL FROM:<x@toobig.test>
RCPT TO:<b@mx.test>
DATA

.
MAIL FROM:<x@diskfull.test>
RCPT TO:<b@mx.test>
DATA

.
QUIT
END
	replies 220 250 250 550 250 250 550 452 250 354 554 \
	    250 250 354 451 250 250 354 552 250 250 354 452 221
	said '550 5.7.1 Sender refused'
	said '452 4.2.2 Mailbox full'
	said '554 5.7.1 This looks like spam'
	said '451 4.3.0 Try again later'
	said '552 5.3.4 Message too big'
	said '452 4.3.1 Out of disk space'
	messages 0
}

@test "failures: passwords are refused by the user's name" {
	cp "$EXAMPLES/failures.rules" "$BATS_TEST_TMPDIR"
	failing - <<END
EHLO client.test
AUTH PLAIN $(printf '\0wrong\0pw' | base64)
AUTH PLAIN $(printf '\0down\0pw' | base64)
AUTH PLAIN $(printf '\0right\0pw' | base64)
QUIT
END
	replies 220 250 535 454 235 221
}

@test "failures: by chance, about as often as the rule says" {
	local i refused

	printf 'recipient * 50 450 4.2.1 Busy\n' \
	    >"$BATS_TEST_TMPDIR/failures.rules"
	{
		printf '%s\n' 'EHLO client.test' 'MAIL FROM:<a@client.test>'
		for ((i = 0; i < 90; i++)); do
			echo "RCPT TO:<b$i@mx.test>"
		done
		echo QUIT
	} >"$BATS_TEST_TMPDIR/in"
	failing - <"$BATS_TEST_TMPDIR/in"
	refused=$(grep -c '^450 4.2.1 Busy' <<<"$output")
	# Outside of these once in a thousand million times.
	((refused > 16 && refused < 74)) || fail "$refused of 90"
}

@test "failures: drop cuts the connection without a reply" {
	cp "$EXAMPLES/failures.rules" "$BATS_TEST_TMPDIR"
	failing - < <(one a@client.test b@mx.test 'please drop me')
	# What was said before may still have been on its way.
	not_said 'Message accepted'
	not_said '221 '
	((status == 137)) || fail 'it went on'
	messages 0
}

@test "failures: without its rules it is 451, not a success" {
	smtp -o exec="$EXAMPLES/failures message /nowhere /bin/true" \
	    < <(one a@b b@mx.test one)
	replies 220 250 250 250 354 451 221
}

# Sessions of two clients in one log, one after the other.
two_sessions() {
	smtp -o spool="$SPOOL" < <(one a@client.test b@mx.test one)
	smtp -o spool="$SPOOL" < <(one c@client.test d@mx.test two)
}

@test "follow: all lines of a session, found by what the message says" {
	local id

	two_sessions
	id=$(grep -l 'Subject: one' "$SPOOL"/new/* | xargs \
	    sed -n 's/.* id \([^; ]*\).*/\1/p' | head -n 1)
	[[ -n $id ]]
	run "$EXAMPLES/follow" "$id" - <"$LOG"
	[[ $status == 0 && $output == *a@client.test* &&
	    $output != *c@client.test* && $output == *event=close* ]]
	run "$EXAMPLES/follow" d@mx.test - <"$LOG"
	[[ $status == 0 && $output == *c@client.test* &&
	    $output == *event=connect* && $output != *a@client.test* ]]
	run "$EXAMPLES/follow" nobody - <"$LOG"
	[[ $status == 1 && -z $output ]]
}

@test "follow: the journal is read, with journalctl's options" {
	local time=1700000000000000 line dir=$BATS_TEST_TMPDIR/journal

	two_sessions
	mkdir "$dir"
	while IFS= read -r line; do
		time=$((time + 1))
		printf '__REALTIME_TIMESTAMP=%s\n__MONOTONIC_TIMESTAMP=%s\n' \
		    $time $time
		printf '_BOOT_ID=%032d\nSYSLOG_IDENTIFIER=smtpd\n' 1
		printf 'MESSAGE=%s\n\n' "$line"
	done <"$LOG" | /lib/systemd/systemd-journal-remote \
	    -o "$dir/test.journal" - 2>"$BATS_TEST_TMPDIR/remote"
	run "$EXAMPLES/follow" a@client.test -D "$dir"
	[[ $status == 0 && $output == *a@client.test*event=close* &&
	    $output != *c@client.test* ]] || fail 'not found in the journal'
}

@test "ci: the start that the text shows catches a message" {
	local text=$EXAMPLES/ci/README.md

	sed -n '/^    cat >catch.conf <<END$/,/^    END$/p' "$text" |
	    sed '1d; $d; s/^    //' >"$BATS_TEST_TMPDIR/catch.conf"
	grep -q '^spool = /tmp/caught$' "$BATS_TEST_TMPDIR/catch.conf"
	sed -i "s|/tmp/caught|$SPOOL|" "$BATS_TEST_TMPDIR/catch.conf"
	serve -f "$BATS_TEST_TMPDIR/catch.conf"
	"$PYTHON" - "$PORT" "$SPOOL" <<'END'
import mailbox
import smtplib
import sys

with smtplib.SMTP('127.0.0.1', int(sys.argv[1])) as smtp:
    smtp.login('anybody', 'any password')
    smtp.sendmail('a@client.test', ['bob@example.org'],
                  'Subject: Welcome\r\n\r\nText\r\n')
box = mailbox.Maildir(sys.argv[2])
assert [m['Subject'] for m in box] == ['Welcome']
assert [m['Delivered-To'] for m in box] == ['bob@example.org']
END
}

# block FILE PATTERN: the lines that FILE sets off by four blanks, of the one
# block that has a line like PATTERN.
block() {
	awk -v "pattern=$2" '
	/^    / || /^$/ { text = text substr($0, 5) "\n"
	    if ($0 ~ pattern) found = 1; next }
	{ if (found) printf "%s", text; text = found = "" }
	END { if (found) printf "%s", text }' "$1" | sed '/./,$!d' | grep ''
}

# caught COMMAND: this receiver of a test run catches mail, once paths and port
# are made ours.
caught() {
	local port

	port=$(free_port)
	printf 'exec %s\n' "$1" | sed "s|/usr/local/sbin/smtpd|$SMTPD|
	    s|/tmp/caught|$SPOOL|; s|2525|$port|" >"$BATS_TEST_TMPDIR/command"
	background bash "$BATS_TEST_TMPDIR/command" 2>>"$LOG"
	wait_for listening "$!"
	curl -sS --crlf --url "smtp://127.0.0.1:$PORT" --user any:password \
	    --mail-from a@client.test --mail-rcpt b@mx.test \
	    -T - <<<'Subject: Welcome'
	messages 1
}

@test "README: mail is caught in CI as it is written there" {
	local command

	command=$(block "$ROOT/README.md" 'run-your-tests')
	caught "${command%%&*}"
	command=$(grep '^grep' <<<"$command")
	eval "${command/\/tmp\/caught/$SPOOL}"
}

@test "ci: the job for GitHub catches a message" {
	local job command

	job=$(block "$EXAMPLES/ci/README.md" 'name: Catch mail')
	export RUNNER_TEMP=$BATS_TEST_TMPDIR
	SPOOL=$RUNNER_TEMP/caught
	command=$(grep -A 2 'smtpd -l' <<<"$job")
	command=${command/smtpd -l/\/usr\/local\/sbin\/smtpd -l}
	caught "${command%%&*}"
	# The loop that waits for it ends, and what looks finds.
	command=$(grep 'until' <<<"$job")
	eval "${command//2525/$PORT}"
	command=$(grep 'run: grep' <<<"$job")
	eval "${command#*run: }"
}

# With the program of README.md that has this line, and another directory.
readme_program() {
	PROGRAM=$BATS_TEST_TMPDIR/program IN=$BATS_TEST_TMPDIR/in
	block "$ROOT/README.md" "$1" | sed "s|/srv/in|$IN|" >"$PROGRAM"
	chmod +x "$PROGRAM"
}

# It keeps a message whole, refuses what it means to, and defers if it can't.
keeps_or_defers() {
	mkdir -p "$IN"
	smtp -o exec="$PROGRAM" < <(one a@client.test b@mx.test one)
	said '250 2.0.0 Thank you'
	grep -q '^Subject: one' "$IN"/*.eml
	smtp -o exec="$PROGRAM" < <(one a@client.test b@mx.test one |
	    sed 's/^Subject/X-Unwanted/')
	said '550 5.7.1 Not wanted here'
	rm -r "$IN"
	smtp -o exec="$PROGRAM" < <(one a@client.test b@mx.test one)
	said '451 4.3.0 Delivery failed for now, try later'
	[[ ! -e $IN ]]
}

@test "README: the program in shell keeps, refuses and defers" {
	readme_program 'set -eu'
	keeps_or_defers
}

@test "README: the program in Python keeps, refuses and defers" {
	readme_program 'import os, sys'
	keeps_or_defers
}

@test "README: the mail is read as it is written there" {
	cd "$BATS_TEST_TMPDIR"
	"$SMTPD" -o spool=mail <"$EXAMPLES/transcript" >/dev/null 2>&1
	block "$ROOT/README.md" 'import mailbox' >read.py
	run -0 "$PYTHON" read.py
	[[ $output == "['me@example.org'] hello" ]] || fail "$output"
	run -0 bash -c "$(grep -o 'grep -l .*mail/new/\*' "$ROOT/README.md")"
	[[ $output == mail/new/* ]]
}

@test "supervisors.md: a transcript needs CRLF, and sed makes them" {
	cd "$BATS_TEST_TMPDIR"
	one you@example.org me@example.org x |
	    bash -c "$(sed -n 's/.*`\(sed .s.*\)`.*/\1/p' \
	    "$ROOT/docs/supervisors.md")" >transcript
	eval "$(sed -n "s|^    /usr/local/sbin/smtpd \(.*<transcript\)|$SMTPD \1|p" \
	    "$ROOT/docs/supervisors.md")" >replies 2>>"$LOG"
	grep -q '^250 2.0.0' replies
	SPOOL=mail messages 1
}

@test "README: the replies in it are what is said" {
	local line

	cd "$BATS_TEST_TMPDIR"
	ln -s "$SMTPD" "$EXAMPLES" .
	block "$ROOT/README.md" 'examples/transcript' >text
	grep '^[2-5]' text >expected
	(($(wc -l <expected) > 5))
	PATH=$PATH:. eval "$(sed -n 's/^\$ //p' text)" | tr -d '\r' >said
	while IFS= read -r line; do
		grep -qxF -- "$line" said || fail "not said: $line"
	done <expected
}

@test "README: the settings in it are settings" {
	local line n=0

	cd "$BATS_TEST_TMPDIR"
	certs
	cp "$CERTS/ec.pem" mx.pem
	cp "$CERTS/ec.key" mx.key
	echo "me:$(openssl passwd -6 secret)" >users
	chmod 600 users
	block "$ROOT/README.md" '^    auth-file = ' |
	    sed "s|/etc/smtpd|$PWD|" >conf
	(($(grep -c ' = ' conf) == 6))
	"$SMTPD" -t -f conf
	while IFS= read -r line; do
		"$SMTPD" -T -o "$line"
		n=$((n + 1))
	done < <(sed -n 's/^    \(exec = \)/\1/p; s/^    \(spool = \)/\1/p' \
	    "$ROOT/README.md")
	((n > 3))
}

# SPDX-License-Identifier: ISC
# Programs that people send mail with, over loopback.
load auth
load lib

setup() {
	test_setup
	MAIL=$BATS_TEST_TMPDIR/mail.txt
	printf '%s\n' 'From: a@client.test' 'To: b@mx.test' 'Subject: hello' \
	    '' 'first' '.' '..two' '' 'grüße' 'last' >"$MAIL"
}

# whole: after the trace header the message is $MAIL, octet for octet, but for
# an empty line at the end, which swaks adds.
whole() {
	message | "$PYTHON" -c '
import sys
data = sys.stdin.buffer.read().rstrip(b"\n")
sent = open(sys.argv[1], "rb").read().rstrip(b"\n")
sys.exit(not data.endswith(b"\n" + sent))' "$MAIL" ||
		fail "not whole: $(message)"
}

envelope() {
	local recipient

	[[ $(message) == "Return-Path: <$1>"$'\n'* ]] ||
		fail "Return-Path: $(message)" || return
	shift
	for recipient; do
		[[ $(message) == *$'\n'"Delivered-To: $recipient"$'\n'* ]] ||
			fail "Delivered-To: $(message)" || return
	done
}

@test "curl" {
	serve -o "spool=$SPOOL"
	curl -sS --crlf --url "smtp://127.0.0.1:$PORT/client.test" \
	    --mail-from a@client.test --mail-rcpt b@mx.test \
	    --mail-rcpt c@mx.test -T "$MAIL"
	messages 1
	whole
	envelope a@client.test b@mx.test c@mx.test
}

@test "curl gives up on a recipient that is refused" {
	serve			# nowhere to put a message: 451
	run -55 curl -sS --crlf --url "smtp://127.0.0.1:$PORT" \
	    --mail-from a@client.test --mail-rcpt b@mx.test -T "$MAIL"
	[[ $output == *451* ]]
}

@test "Python's smtplib" {
	serve -o "spool=$SPOOL"
	"$PYTHON" - "$PORT" "$MAIL" <<-'EOF'
	import smtplib, sys
	s = smtplib.SMTP("127.0.0.1", int(sys.argv[1]), "client.test")
	s.ehlo()
	assert s.has_extn("size") and s.has_extn("8bitmime"), s.esmtp_features
	assert s.noop()[0] == 250 and s.verify("x")[0] == 252
	refused = s.sendmail("a@client.test", ["b@mx.test", "c@mx.test"],
	    open(sys.argv[2], "rb").read().replace(b"\n", b"\r\n"),
	    ["BODY=8BITMIME"])
	assert refused == {}, refused
	assert s.rset()[0] == 250
	assert s.quit()[0] == 221
	EOF
	messages 1
	whole
	envelope a@client.test b@mx.test c@mx.test
}

@test "swaks" {
	serve -o "spool=$SPOOL"
	swaks --server 127.0.0.1 --port "$PORT" --helo client.test \
	    --from a@client.test --to b@mx.test --data - <"$MAIL"
	messages 1
	whole
	envelope a@client.test b@mx.test
}

@test "swaks, pipelined" {
	serve -o "spool=$SPOOL"
	swaks --server 127.0.0.1 --port "$PORT" --helo client.test \
	    --pipeline --from '<>' --to b@mx.test,c@mx.test --data - <"$MAIL"
	messages 1
	whole
	envelope '' b@mx.test c@mx.test
}

@test "msmtp" {
	serve -o "spool=$SPOOL"
	msmtp -C /dev/null --host 127.0.0.1 --port "$PORT" --tls=off \
	    --auth=off --domain client.test --from a@client.test \
	    b@mx.test <"$MAIL"
	messages 1
	whole
	envelope a@client.test b@mx.test
}

# source NUMBER OPTION ...: the messages of smtp-source, 20 at once.
source_messages() {
	local bodies n=$1

	shift
	serve -o "spool=$SPOOL" -o max-messages=0 -o max-junk=0
	postfix smtp-source "$@" -s 20 -m "$n" -l 4096 -M client.test \
	    -f a@client.test -t b@mx.test "127.0.0.1:$PORT"
	messages "$n"
	# All the same below the header, and none but the expected length.
	bodies=$("$PYTHON" - "$SPOOL" <<-'EOF'
	import os, sys
	new = os.path.join(sys.argv[1], "new")
	seen = set()
	for name in os.listdir(new):
	    data = open(os.path.join(new, name), "rb").read()
	    seen.add(data.split(b"\n\n", 1)[1])
	print(len(seen), *(len(body) for body in seen))
	EOF
	)
	# smtp-source counts CRLF, its header too.
	[[ $bodies == '1 '* ]] || fail "bodies: $bodies" || return
	((${bodies#1 } > 3800 && ${bodies#1 } < 4096)) ||
		fail "bodies: $bodies"
}

@test "smtp-source: 1000 messages, 20 at once" {
	source_messages 1000
}

@test "smtp-source: 400 messages in 20 connections" {
	source_messages 400 -d
}

# What Thunderbird says, with a password that was mistyped at first.
@test "Thunderbird's sequence: a mistyped password is one failure" {
	certs
	USERS=$BATS_TEST_TMPDIR/users
	echo "me:$(mkpasswd -m sha512crypt -R 1000 secret)" >"$USERS"
	serve -o spool="$SPOOL" -o tls=require -o tls-cert="$CERTS/ec.pem" \
	    -o tls-key="$CERTS/ec.key" -o auth=require \
	    -o auth-file="$USERS" -o max-auth-failures=2
	talk -ca "$CERTS/ca.pem" -sni mx.test <<-END
		< 220
		> EHLO [127.0.0.1]
		< 250 STARTTLS
		> STARTTLS
		< 220
		tls
		> EHLO [127.0.0.1]
		< 250 AUTH PLAIN LOGIN
		> AUTH PLAIN $(plain me sceret)
		< 535
		> AUTH LOGIN
		< 334 VXNlcm5hbWU6
		> $(b64 me)
		< 334 UGFzc3dvcmQ6
		> $(b64 sceret)
		< 535
		> AUTH PLAIN $(plain me secret)
		< 235
		> MAIL FROM:<a@client.test> BODY=8BITMIME SIZE=$(($(wc -c <"$MAIL") + 10))
		< 250
		> RCPT TO:<b@mx.test>
		< 250
		> DATA
		< 354
		$(sed 's/^\./../; s/^/> /' "$MAIL")
		> .
		< 250
		> QUIT
		< 221
		eof
	END
	messages 1
	whole
	envelope a@client.test b@mx.test
	[[ $(message) == *$'\n'"Received: from [127.0.0.1] ("*ESMTPSA* ]] ||
		fail "$(message)"
	[[ $(grep -c status=failed "$LOG") == 1 ]] || fail 'failures'
	logged 'event=auth status=repeated mechanism=LOGIN user=me'
	logged 'event=auth status=ok mechanism=PLAIN user=me'
}

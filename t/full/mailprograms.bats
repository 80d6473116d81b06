# SPDX-License-Identifier: ISC
# mailprograms.bats - programs that people write their mail with, with README's
# own settings for submission: STARTTLS, and the users as the README makes them.

load ../lib

# The server's certificate is for localhost, which is what they check.
setup_file() {
	certs
	make_cert localhost ecdsa localhost tls_www_server
}

setup() {
	test_setup
	export HOME=$BATS_TEST_TMPDIR TERM=xterm
	RC=$BATS_TEST_TMPDIR/rc
	TEXT=$BATS_TEST_TMPDIR/text
	printf '%s\n' one . ..two 'grüße' >"$TEXT"
	USERS=$BATS_TEST_TMPDIR/users
}

# submission [ARGUMENT ...]: README's settings, but for the files, and a user
# "me" as its line makes one.
submission() {
	local text

	text=$(sed -n '/^## Submission/,/^## /s/^    //p' "$ROOT/README.md")
	grep ' = ' <<<"$text" | grep -v '^exec' >"$BATS_TEST_TMPDIR/conf"
	# The password is typed twice.
	[[ -e $USERS ]] || bash -c "$(grep doveadm <<<"$text")" \
	    <<<$'secret\nsecret' >"$USERS"
	serve -f "$BATS_TEST_TMPDIR/conf" -o spool="$SPOOL" -o log-level=debug \
	    -o tls-cert="$CERTS/localhost.pem" \
	    -o tls-key="$CERTS/localhost.key" -o auth-file="$USERS" "$@"
}

# came MECHANISM: one message, sent by "me".
came() {
	messages 1
	message | grep -Eq 'with (ESMTP|UTF8SMTP)SA id' || fail "$(message)"
	# Whatever its encoding.
	message | "$PYTHON" -c 'import email, sys
message = email.message_from_binary_file(sys.stdin.buffer)
sys.stdout.buffer.write(message.get_payload(decode=True))' | cmp - "$TEXT" ||
		fail "$(message)"
	logged "event=auth status=ok mechanism=$1 user=me"
	not_logged status=failed
}

# muttrc [LINE ...]: of mutt, and of what was made of it.
muttrc() {
	printf '%s\n' 'set from = a@client.test' "set folder = $HOME" \
	    'set record = ""' 'set charset = utf-8' 'set send_charset = utf-8' \
	    "set smtp_url = smtp://me@localhost:$PORT" \
	    'set ssl_starttls = yes' 'set ssl_force_tls = yes' \
	    "set ssl_ca_certificates_file = $CERTS/ca.pem" \
	    "$@" >"$RC"
}

# at_a_terminal PROGRAM: a letter is written and sent, and the password typed.
at_a_terminal() {
	muttrc 'set autoedit = yes' "set editor = 'cp $TEXT'"
	LC_ALL=C.UTF-8 "$PYTHON" - "$1" -n -F "$RC" -s hello b@mx.test <<-'END'
		import os, pty, re, select, sys, time
		answers = {b"To: b@mx.test": b"\r",
		    b"Subject:.{,3} hello": b"\r", b"Security:": b"y",
		    b"assword for me@localhost": b"secret\r"}
		pid, fd = pty.fork()
		if pid == 0:
		    os.execvp(sys.argv[1], sys.argv[1:])
		shown, end = b"", time.monotonic() + 15
		while time.monotonic() < end:
		    if select.select([fd], [], [], 0.2)[0]:
		        try:
		            shown += os.read(fd, 4096)
		        except OSError:		# it has ended
		            break
		        continue
		    # Once it is quiet: what is typed too early may be lost.
		    for prompt in [each for each in answers
		        if re.search(each, shown)]:
		        os.write(fd, answers.pop(prompt))
		else:
		    sys.exit(f"{sys.argv[1]}: {shown}")
		if os.waitpid(pid, 0)[1] != 0:
		    sys.exit(f"{sys.argv[1]}: {shown}")
	END
}

# in_batch PROGRAM [OPTION ...]: the same from a script, with the password in a
# file.
in_batch() {
	muttrc 'set smtp_pass = secret'
	LC_ALL=C.UTF-8 "$1" -n -F "$RC" -s hello "${@:2}" b@mx.test <"$TEXT"
}

@test "mutt at a terminal, which asks for the password" {
	submission
	at_a_terminal mutt
	came SCRAM-SHA-256
}

@test "neomutt at a terminal, which asks for the password" {
	submission
	at_a_terminal neomutt
	came SCRAM-SHA-256
}

@test "mutt and neomutt from a script" {
	submission
	in_batch mutt
	came SCRAM-SHA-256
	rm "$SPOOL"/new/*
	in_batch neomutt
	came SCRAM-SHA-256
}

@test "mutt and neomutt with a password that is kept as a hash" {
	echo "me:$(mkpasswd -m yescrypt secret)" >"$USERS"
	submission
	in_batch mutt
	came PLAIN
	rm "$SPOOL"/new/*
	in_batch neomutt
	came PLAIN
}

# They would choose it, and have no channel binding.
@test "mutt and neomutt fail where SCRAM-SHA-256-PLUS is offered" {
	local plus='SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN'

	submission -o auth-mechanisms="$plus"
	! in_batch mutt || fail 'mutt did not'
	! in_batch neomutt || fail 'neomutt did not'
	[[ $(grep -c 'what=auth code=501 .*cancelled' "$LOG") == 2 ]] ||
		fail 'they did not give up'
	messages 0
}

# s_nail [LINE ...]: with these lines in its settings.
s_nail() {
	printf '%s\n' 'set v15-compat from=a@client.test' \
	    "set mta=smtp://me:secret@localhost:$PORT smtp-use-starttls" \
	    "set tls-verify=strict tls-ca-file=$CERTS/ca.pem" \
	    'set sendwait smtp-hostname=client.test' "$@" >"$RC"
	LC_ALL=C.UTF-8 MAILRC=$RC s-nail -:u -s hello b@mx.test <"$TEXT"
}

@test "s-nail" {
	submission
	s_nail
	came PLAIN
	rm "$SPOOL"/new/*
	s_nail 'set smtp-auth=login'
	came LOGIN
}

# SPDX-License-Identifier: ISC
# A dialogue with everything in it, under valgrind: no leak, no bad access.
# Valgrind has to replace malloc, which a static program does not let it do;
# smtpd-tls is made of the same files.
load ../lib

under_valgrind() {
	local report=$BATS_TEST_TMPDIR/valgrind

	status=0
	output=$(sed 's/$/\r/' | valgrind --quiet --error-exitcode=99 \
	    --leak-check=full --errors-for-leak-kinds=definite,indirect \
	    --child-silent-after-fork=yes --log-file="$report" \
	    "$ROOT/smtpd-tls" -o hostname=mx.test -o sandbox=no "$@" 2>>"$LOG" |
	    tr -d '\r'; exit "${PIPESTATUS[1]}") || status=$?
	[[ -e $report ]] || fail "no valgrind" || return
	# Other lines are about system calls that valgrind does not know.
	! grep -q '^==' "$report" || fail "$(<"$report")" || return
	((status != 99)) || fail valgrind
}

@test "a dialogue leaves nothing behind" {
	under_valgrind -o "spool=$SPOOL" <<-'EOF'
	NOOP
	HELO client.test
	EHLO client.test
	MAIL FROM:<"quoted\"local"@client.test> SIZE=1000 BODY=8BITMIME
	RCPT TO:<@relay.test:b@mx.test>
	RCPT TO:<c@[IPv6:::1]>
	RCPT TO:<nobody
	DATA
	Subject: hello

	..
	.
	VRFY b
	EXPN list
	HELP
	RSET
	MAIL FROM:<>
	RCPT TO:<postmaster>
	BDAT 6 LAST
	text
	MAIL FROM:<a@client.test>
	RCPT TO:<b@mx.test>
	RSET
	FOO
	QUIT
	EOF
	replies 220 250 250 250 250 250 250 501 354 250 252 502 214 250 \
	    250 250 250 250 250 250 500 221
	messages 2
}

@test "a client that leaves in the middle" {
	under_valgrind -o "spool=$SPOOL" <<-'EOF'
	EHLO client.test
	MAIL FROM:<a@client.test>
	RCPT TO:<b@mx.test>
	DATA
	Subject: hello
	EOF
	replies 220 250 250 250 354
	messages 0
}

@test "a delivery program" {
	under_valgrind -o 'exec=/bin/cat' <<-'EOF'
	EHLO client.test
	MAIL FROM:<a@client.test>
	RCPT TO:<b@mx.test>
	DATA
	Subject: hello

	.
	QUIT
	EOF
	replies 220 250 250 250 354 250 221
}

@test "settings, listed and checked" {
	under_valgrind -T </dev/null
	[[ $output == *'hostname = mx.test'* ]]
	under_valgrind -t -o "spool=$SPOOL" </dev/null
	((status == 0))
}

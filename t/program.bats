# SPDX-License-Identifier: ISC
# Policy programs, which the process outside the sandbox starts, and that
# process itself.

load lib
load deliver

setup() {
	test_setup
	unset REMOTE_ADDR REMOTE_PORT
	EXAMPLES=$ROOT/examples
}

# policy NAME: the script on standard input; its setting in $POLICY.
policy() {
	local file=$BATS_TEST_TMPDIR/$1

	{
		echo '#!/bin/bash'
		cat
	} >"$file"
	chmod 755 "$file"
	POLICY=exec:$file
}

# answers TEXT: a program that answers each question so, and counts.
answers() {
	policy answers <<-END
	n=0
	while IFS= read -r line; do
		[[ -z \$line ]] || continue
		n=\$((n + 1))
		printf 'action=%s\n\n' "$1"
	done
	END
}

# rcpt NUMBER [ARGUMENT ...]: a session with so many recipients.
rcpt() {
	local n=$1 i

	shift
	{
		printf '%s\n' 'EHLO client.test' 'MAIL FROM:<a@client.test>'
		for ((i = 1; i <= n; i++)); do
			echo "RCPT TO:<r$i@mx.test>"
		done
		echo QUIT
	} >"$BATS_TEST_TMPDIR/in"
	smtp -o spool="$SPOOL" "$@" <"$BATS_TEST_TMPDIR/in"
}

@test "a program is asked, and kept for the session" {
	answers '450 4.2.0 $$ $n'
	rcpt 3 -o "policy=$POLICY"
	replies 220 250 250 450 450 450 221
	[[ $output =~ 4.2.0\ ([0-9]+)\ 1 ]]
	said "4.2.0 ${BASH_REMATCH[1]} 2"
	said "4.2.0 ${BASH_REMATCH[1]} 3"
}

@test "its arguments are words, and it has no shell" {
	answers '450 4.2.0 $#:$1:$2'
	rcpt 1 -o "policy=$POLICY  \$HOME   *;id"
	said '4.2.0 2:$HOME:*;id'
}

@test "several are asked in their order, the first that refuses ends it" {
	answers DUNNO
	mv "$BATS_TEST_TMPDIR/answers" "$BATS_TEST_TMPDIR/first"
	answers 'REJECT second'
	mv "$BATS_TEST_TMPDIR/answers" "$BATS_TEST_TMPDIR/second"
	answers 'REJECT third'
	rcpt 1 -o policy=exec:"$BATS_TEST_TMPDIR/first" \
	    -o policy=exec:"$BATS_TEST_TMPDIR/second" -o "policy=$POLICY"
	said '554 5.7.1 second'
}

@test "the first on the command line drops those of the file" {
	printf '%s\n' 'policy = unix:/a' 'policy = exec:/b  c' \
	    >"$BATS_TEST_TMPDIR/conf"
	run -0 "$SMTPD" -T -f "$BATS_TEST_TMPDIR/conf"
	[[ $output == *$'\npolicy = unix:/a\npolicy = exec:/b c\n'* ]]
	run -0 "$SMTPD" -T -f "$BATS_TEST_TMPDIR/conf" -o policy=unix:/d
	[[ $output == *$'\npolicy = unix:/d\npolicy-end ='* ]]
	run -78 "$SMTPD" -T $(printf -- '-o policy=unix:/%s ' {1..9})
}

@test "the same words in policy and policy-end are one process" {
	answers 'INFO $$'
	smtp -o spool="$SPOOL" -o "policy=$POLICY" -o "policy-end=$POLICY" <<-'END'
	EHLO client.test
	MAIL FROM:<a@client.test>
	RCPT TO:<r1@mx.test>
	DATA
	.
	QUIT
	END
	replies 220 250 250 250 354 250 221
	(($(grep -o 'action=INFO text=[0-9]*' "$LOG" | wc -l) == 2))
	(($(grep -o 'action=INFO text=[0-9]*' "$LOG" | sort -u | wc -l) == 1))
}

@test "one that ends is started anew for the next question" {
	policy once <<-'END'
	while IFS= read -r line; do
		[[ -n $line ]] || break
	done
	printf 'action=450 4.2.0 %s\n\n' $$
	END
	rcpt 3 -o "policy=$POLICY"
	replies 220 250 250 450 450 450 221
	(($(grep -o '4\.2\.0 [0-9]*' <<<"$output" | sort -u | wc -l) == 3))
}

@test "one that dies without an answer: 451, and accepted if so set" {
	policy dies <<<'exit 1'
	rcpt 2 -o "policy=$POLICY"
	replies 220 250 250 451 451 221
	logged "$POLICY"
	rcpt 1 -o "policy=$POLICY" -o policy-fail=accept
	replies 220 250 250 250 221
}

@test "one that can't be started: 451" {
	rcpt 1 -o policy=exec:/nonexistent/program
	replies 220 250 250 451 221
	logged 'No such file'
}

@test "one that is slow: no other recipient of the transaction passes unasked" {
	policy slow <<<'exec sleep 100'
	SECONDS=0
	rcpt 3 -o "policy=$POLICY" -o timeout=1 -o policy-fail=accept
	replies 220 250 250 250 451 451 221
	((SECONDS < 60))
}

@test "it ends with the session" {
	policy stays <<-END
	trap '' TERM
	echo \$\$ >"$BATS_TEST_TMPDIR/pid"
	while IFS= read -r line; do
		[[ -n \$line ]] || printf 'action=OK\n\n'
	done
	exec sleep 1000
	END
	rcpt 1 -o "policy=$POLICY"
	replies 220 250 250 250 221
	wait_for eval "! grep -qs '^State:.[^Z]' \
	    /proc/$(<"$BATS_TEST_TMPDIR/pid")/status"
}

@test "it is not in the sandbox, and has nothing of ours but its words" {
	policy looks <<-'END'
	echo "$(grep -e NoNewPrivs -e Seccomp: /proc/self/status | tr -d '\n\t')" \
	    "$(ls /proc/self/fd | wc -l)" "$(env | grep -c -v -e ^PATH= -e ^PWD= \
	    -e ^_= -e ^SHLVL= -e ^OLDPWD=)" >&2
	exec cat >/dev/null
	END
	rcpt 1 -o "policy=$POLICY" -o timeout=1
	logged 'NoNewPrivs:0Seccomp:0'
	# 0, 1, 2 and what ls and bash open themselves.
	grep -qE 'Seccomp:0 [45] 0$' "$LOG"
}

@test "after STARTTLS it is another process" {
	certs
	answers '450 4.2.0 $$ $n'
	talk -- "$SMTPD" -o hostname=mx.test -o spool="$SPOOL" \
	    -o "policy=$POLICY" -o tls-cert="$CERTS/ec.pem" \
	    -o tls-key="$CERTS/ec.key" <<-'END'
	< 220
	> EHLO client.test
	< 250
	> MAIL FROM:<a@client.test>
	< 250
	> RCPT TO:<b@mx.test>
	< 450
	> RSET
	< 250
	> STARTTLS
	< 220
	tls
	> EHLO client.test
	< 250
	> MAIL FROM:<a@client.test>
	< 250
	> RCPT TO:<b@mx.test>
	< 450
	> QUIT
	< 221
	eof
	END
	(($(grep -c '4.2.0\|why="4* *[0-9]* 1"' "$LOG") >= 2))
}

@test "-t looks for the program" {
	answers OK
	"$SMTPD" -t -o spool="$SPOOL" -o "policy=$POLICY"
	run ! "$SMTPD" -t -o spool="$SPOOL" -o policy-end=exec:/nonexistent/x
	said 'policy-end: /nonexistent/x'
}

# The process outside.

@test "without it there is no session: 421" {
	failing socketpair:EMFILE:1
	smtp -o exec=/bin/true <<<'EHLO client.test'
	replies 220 421
	said '421 4.3.0'
	logged 'what=runner'
	smtp -o spool="$SPOOL" <<<'QUIT'
	replies 220 221
}

@test "what the kernel has no room for now is sent a moment later" {
	for one in sendmsg:ENOBUFS:1 sendmsg:EINTR:2; do
		failing "$one"
		deliver -o exec=/bin/true
		replies 220 250 250 250 354 250 221
		not_logged event=error
	done
}

@test "a session that is killed takes its delivery program along" {
	policy waits <<-END
	read -r _ _ _ session _ </proc/\$PPID/stat
	echo \$\$ >"$BATS_TEST_TMPDIR/pid"
	kill -KILL \$session
	sleep 100
	END
	deliver -o exec="${POLICY#exec:}"
	wait_for eval "! grep -qs '^State:.[^Z]' \
	    /proc/$(<"$BATS_TEST_TMPDIR/pid")/status"
}

# The examples.

@test "recipients.sh: who is a file, who is away, whose mailbox is full" {
	mkdir "$BATS_TEST_TMPDIR/users"
	touch "$BATS_TEST_TMPDIR/users"/{joe,old.away,jim,jim.full}
	smtp -o spool="$SPOOL" -o policy=exec:"$EXAMPLES/recipients.sh \
	    $BATS_TEST_TMPDIR/users" <<-'END'
	EHLO client.test
	MAIL FROM:<a@client.test>
	RCPT TO:<joe@mx.test>
	RCPT TO:<old@mx.test>
	RCPT TO:<jim@mx.test>
	RCPT TO:<nobody@mx.test>
	RCPT TO:<"../users/joe"@mx.test>
	RCPT TO:<old.away@mx.test>
	RCPT TO:<jim.full@mx.test>
	QUIT
	END
	replies 220 250 250 250 550 452 554 554 554 554 221
	said '550 5.2.1 old does not work here any more'
	said '452 4.2.2 The mailbox of jim is full'
	said '554 5.1.1 No such user'
}

@test "recipients.py: the same from a database" {
	"$PYTHON" - "$BATS_TEST_TMPDIR/db" <<-'END'
	import sqlite3, sys
	db = sqlite3.connect(sys.argv[1])
	db.execute('create table users (address text, state text)')
	for row in (('joe@mx.test', 'active'), ('jim@mx.test', 'full'),
	            ('old@mx.test', 'away')):
	    db.execute('insert into users values (?, ?)', row)
	db.commit()
	END
	smtp -o spool="$SPOOL" -o policy=exec:"$EXAMPLES/recipients.py \
	    $BATS_TEST_TMPDIR/db" <<-'END'
	EHLO client.test
	MAIL FROM:<a@client.test>
	RCPT TO:<Joe@mx.test>
	RCPT TO:<old@mx.test>
	RCPT TO:<jim@mx.test>
	RCPT TO:<"o'; drop table users"@mx.test>
	QUIT
	END
	replies 220 250 250 250 550 452 554 221
}

@test "senders.py: alice may send as alice@ only" {
	printf '%s\n' '# users' 'alice alice@client.test' 'bob @bob.test' \
	    >"$BATS_TEST_TMPDIR/senders"
	for one in alice:alice@client.test:250 alice:bob@client.test:553 \
	    alice::553 bob:any@bob.test:250 eve:alice@client.test:553; do
		IFS=: read -r user sender code <<<"$one"
		smtp -o spool="$SPOOL" -o auth-any=yes -o auth-cleartext=yes \
		    -o policy=exec:"$EXAMPLES/senders.py \
		    $BATS_TEST_TMPDIR/senders" <<-END
		EHLO client.test
		AUTH PLAIN $(printf '\0%s\0secret' "$user" | base64)
		MAIL FROM:<$sender>
		RCPT TO:<b@mx.test>
		QUIT
		END
		replies 220 250 235 250 "$code" 221
	done
	smtp -o spool="$SPOOL" -o policy=exec:"$EXAMPLES/senders.py \
	    $BATS_TEST_TMPDIR/senders" < <(to b@mx.test | sed '/^DATA/q'
	    echo .; echo QUIT)
	replies 220 250 250 250 354 250 221
}

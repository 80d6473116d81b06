# SPDX-License-Identifier: ISC
# What the process gives up before it reads, tried from within: build/attack
# holds the programs with t/attack.c in front of the parser.
load ../lib
load ../auth

ATTEMPTS=52

setup() {
	auth_setup
	ATTACK=$ROOT/build/attack/smtpd
	[[ $SMTPD != */coverage/smtpd ]] || ATTACK=${SMTPD%/*}/attack/smtpd
	echo secret >"$BATS_TEST_TMPDIR/file"
	mkdir -p "$BATS_TEST_TMPDIR/dir" "$SPOOL"/{tmp,new,cur}
	echo secret >"$SPOOL/new/message"
	background "$PYTHON" -c 'import signal, socket
s = socket.create_server(("127.0.0.1", 0))
signal.pause()'
	wait_for listening $!
	LINE="ATTACK $PORT $BATS_TEST_TMPDIR/file $BATS_TEST_TMPDIR/dir"
	LINE+=" $SPOOL/new/message"
}

# attack [ARGUMENT ...]: $output has one line for each attempt.
attack() {
	SMTPD=$ATTACK smtp "$@" <<<"$LINE"
	(($(grep -c ': ' <<<"$output") == ATTEMPTS)) || fail "cut short"
}

done_by() {
	grep -c ': done$' <<<"$output" || true
}

nothing_done() {
	[[ $(done_by) == 0 ]] || fail "the sandbox has holes" || return
	[[ $(<"$BATS_TEST_TMPDIR/file") == secret ]] &&
		[[ $(<"$SPOOL/new/message") == secret ]] &&
		[[ -z $(ls -A "$BATS_TEST_TMPDIR/dir") ]]
}

@test "an attacker in place of the parser gets nowhere" {
	attack -o "spool=$SPOOL" -o sandbox=yes
	nothing_done
	not_logged without
}

@test "without the sandbox the same attempts succeed" {
	attack -o "spool=$SPOOL" -o sandbox=no
	# Only root can become root, change the root, make a namespace.
	((EUID == 0)) || ATTEMPTS=$((ATTEMPTS - 3))
	(($(done_by) == ATTEMPTS)) || fail "an attempt proves nothing"
}

@test "a certificate opens the way to smtpd-tls; /bin/sh is still shut" {
	certs
	attack -o "spool=$SPOOL" -o "tls-cert=$CERTS/ec.pem" -o "tls-key=$CERTS/ec.key"
	nothing_done
}

@test "inside TLS the attacker gets nowhere either, nor at the key" {
	certs
	cp "$CERTS/ec.key" "$BATS_TEST_TMPDIR/file"
	SMTPD=$ATTACK talk -- "$ATTACK" -o hostname=mx.test \
	    -o "spool=$SPOOL" -o "tls-cert=$CERTS/ec.pem" \
	    -o "tls-key=$BATS_TEST_TMPDIR/file" <<-EOF
		< 220
		> EHLO client.test
		< 250
		> STARTTLS
		< 220
		tls
		> EHLO client.test
		< 250
		> $LINE
		eof
	EOF
	output=$(grep -a '^[a-z_]*: ' "$LOG")
	(($(wc -l <<<"$output") == ATTEMPTS)) || fail "cut short"
	(($(done_by) == 0)) || fail "the sandbox has holes"
}

@test "with a delivery program: only that, by another process" {
	ATTEMPTS=61
	attack -o exec=/bin/true
	nothing_done
	(($(grep -c '^other_.*: Operation not permitted' <<<"$output") == 7))
}

# program: the script on standard input, for exec; prints its path.
program() {
	cat >"$BATS_TEST_TMPDIR/program"
	chmod 755 "$BATS_TEST_TMPDIR/program"
	echo "$BATS_TEST_TMPDIR/program"
}

@test "the delivery program is not in the sandbox, inside TLS neither" {
	local path

	certs
	path=$(program <<-'EOF'
		#!/bin/sh
		echo $(grep -e NoNewPrivs -e Seccomp: /proc/self/status)
	EOF
	)
	talk -- "$SMTPD" -o hostname=mx.test -o "exec=$path" \
	    -o "tls-cert=$CERTS/ec.pem" -o "tls-key=$CERTS/ec.key" <<-EOF
		< 220
		> EHLO client.test
		< 250
		> MAIL FROM:<a@client.test>
		< 250
		> RCPT TO:<b@mx.test>
		< 250
		> DATA
		< 354
		> .
		< 250 NoNewPrivs: 0 Seccomp: 0
		> STARTTLS
		< 220
		tls
		> EHLO client.test
		< 250
		> MAIL FROM:<a@client.test>
		< 250
		> RCPT TO:<b@mx.test>
		< 250
		> DATA
		< 354
		> .
		< 250 NoNewPrivs: 0 Seccomp: 0
		> QUIT
		< 221
		eof
	EOF
	not_logged event=error
}

@test "the runner ends with the session" {
	local path

	path=$(program <<-'EOF'
		#!/bin/sh
		echo $PPID
	EOF
	)
	smtp -o "exec=$path" <<-'EOF'
		HELO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<b@mx.test>
		DATA
		.
		QUIT
	EOF
	replies 220 250 250 250 354 250 221
	[[ $output =~ 250\ 2\.0\.0\ ([0-9]+) ]]
	# Ended, whether or not somebody has asked for its status.
	wait_for eval "! grep -qs '^State:.[^Z]' /proc/${BASH_REMATCH[1]}/status"
}

# stopper: a program that stops the runner and remembers it.
stopper() {
	program <<-EOF
		#!/bin/sh
		echo \$PPID >"$BATS_TEST_TMPDIR/runner"
		kill -STOP \$PPID
		$1
	EOF
}

end_runner() {
	kill -KILL "$(<"$BATS_TEST_TMPDIR/runner")"
}

@test "a runner that is stopped is given up, and the session goes on: 451" {
	local path

	path=$(stopper)
	SECONDS=0
	smtp -o "exec=$path" -o timeout=1 <<-'EOF'
		HELO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<b@mx.test>
		DATA
		.
		MAIL FROM:<a@client.test>
		RCPT TO:<b@mx.test>
		DATA
		RSET
		QUIT
	EOF
	end_runner
	replies 220 250 250 250 354 451 250 250 451 250 221
	logged 'timed out'
	((SECONDS < 30))
}

@test "no room for a descriptor of the runner's: 451, and logged" {
	local path

	path=$(program <<-'EOF'
		#!/bin/sh
		read -r _ _ _ session _ </proc/$PPID/stat
		prlimit --pid "$session" --nofile=5:5
	EOF
	)
	smtp -o "exec=$path" <<-'EOF'
		HELO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<b@mx.test>
		DATA
		.
		MAIL FROM:<a@client.test>
		RCPT TO:<b@mx.test>
		DATA
		QUIT
	EOF
	replies 220 250 250 250 354 250 250 250 451 221
	logged 'event=error what=runner error="Too many open files"'
}

# transaction CODE: up to DATA, which is answered so; for talk.
transaction() {
	printf '%s\n' '> MAIL FROM:<a@client.test>' '< 250' \
	    '> RCPT TO:<b@mx.test>' '< 250' '> DATA' "< $1"
}

@test "a runner that ends while a message is refused is logged, too" {
	local path

	path=$(program <<-EOF
		#!/bin/sh
		echo \$PPID >"$BATS_TEST_TMPDIR/runner"
	EOF
	)
	{
		printf '%s\n' '< 220' '> HELO client.test' '< 250'
		transaction 354
		printf '%s\n' '> .' '< 250'
		transaction 354
		wait_for eval '(($(grep -c "line=.354" "$LOG") == 2))'
		end_runner
		printf '%s\n' '* 2000 x' '> ' '> .' '< 552'
		transaction 451
	} | talk -- "$SMTPD" -o hostname=mx.test -o "exec=$path" \
	    -o max-size=1000 -o log-level=debug
	logged 'event=error what=runner'
}

@test "SIGTERM: a program has ten seconds to finish, then 451 and 421" {
	local path

	path=$(stopper 'read -r _ _ _ session _ </proc/$PPID/stat
		kill -TERM $session')
	SECONDS=0
	talk -- "$SMTPD" -o hostname=mx.test -o "exec=$path" <<-EOF
		< 220
		> EHLO client.test
		< 250
		> MAIL FROM:<a@client.test>
		< 250
		> RCPT TO:<b@mx.test>
		< 250
		> DATA
		< 354
		> .
		< 451
		< 421
		eof
	EOF
	end_runner
	((SECONDS >= 9 && SECONDS < 30))
}

@test "a SMTPD_RUNNER that was there before is not ours" {
	for one in 0 7 x 1.3 "$$.0"; do
		SMTPD_RUNNER=$one smtp -o exec=/bin/true 7</dev/null <<-'EOF'
			HELO client.test
			MAIL FROM:<a@client.test>
			RCPT TO:<b@mx.test>
			DATA
			.
			QUIT
		EOF
		replies 220 250 250 250 354 250 221
	done
}

@test "policy servers bring no socket, of their family neither" {
	ATTEMPTS=61
	attack -o "spool=$SPOOL" -o "policy=inet:127.0.0.1:$PORT" \
	    -o policy=unix:/run/x -o policy-end=exec:/bin/true
	nothing_done
	[[ $output == *'socket_unix: Function not implemented'* ]]
	[[ $output == *'connect_tcp: Function not implemented'* ]]
}

@test "nor does syslog, before TLS and inside" {
	certs
	attack -o "spool=$SPOOL" -o log=syslog -o "tls-cert=$CERTS/ec.pem" \
	    -o "tls-key=$CERTS/ec.key"
	nothing_done
}

@test "with an auth-program there is a sandbox as well" {
	ATTEMPTS=61
	attack -o "spool=$SPOOL" -o auth-program=/bin/true
	(($(done_by) == 1)) || fail "the sandbox has holes"
	[[ $output == *'other_password: done'* ]]
}

@test "keys and passwords are out of reach where nothing uses them" {
	certs
	LINE=${LINE/$BATS_TEST_TMPDIR\/file/$BATS_TEST_TMPDIR/key}
	for one in tls-cert tls-ticket-key auth-file; do
		cp "$CERTS/ec.key" "$BATS_TEST_TMPDIR/key"
		attack -o "spool=$SPOOL" -o tls=off -o auth=off \
		    -o "$one=$BATS_TEST_TMPDIR/key"
		[[ $output == *'read_file: Permission denied'* ]]
	done
}

open_files() {
	find "/proc/$1/fd" -type l | wc -l
}

# files_of PID N ...: of each pair, the process has so many open.
files_of() {
	while (($# > 0)); do
		(($(open_files "$1") == $2)) || return
		shift 2
	done
}

@test "nor can an attacker use up what the listener has, or its keys" {
	local keys before

	certs
	SMTPD=$ATTACK serve_itself -o "spool=$SPOOL" -o sandbox=no \
	    -o "tls-cert=$CERTS/ec.pem" -o "tls-key=$CERTS/ec.key"
	keys=$(pgrep -P "$LISTENING")
	before="$LISTENING $(open_files "$LISTENING") $keys $(open_files "$keys")"
	printf '%s\n' '< 220' '> ATTACK listener' eof | talk || :
	wait_for grep -q ^busy "$LOG"
	logged 'signatures: 2'
	logged 'busy: no'
	# shellcheck disable=SC2086 # words
	wait_for files_of $before
}

@test "nor has it more guesses of a password than the session" {
	ATTEMPTS=61
	attack -o "spool=$SPOOL" -o auth-program=/bin/false
	(($(done_by) == 1)) || fail "the sandbox has holes"
	[[ $output == *'other_password: done'* ]]
	users >"$USERS"
	SMTPD=$ATTACK serve_itself -o "spool=$SPOOL" -o sandbox=no \
	    -o "auth-file=$USERS" -o auth-cleartext=yes
	printf '%s\n' '< 220' '> ATTACK users' eof | talk || :
	logged 'guesses: 3'
}

@test "system calls by another machine's numbers end the process" {
	[[ $(uname -m) == x86_64 ]] || return 0
	SMTPD=$ATTACK smtp -o "spool=$SPOOL" <<<'ATTACK'
	# SIGSYS; or SIGSEGV, where the kernel has no such numbers at all.
	((status == 159 || status == 139)) || fail "SIGSYS expected"
	not_said 'i386: done'
}

@test "a spool that is missing is made before it can't be" {
	rm -r "$SPOOL"
	smtp -o "spool=$SPOOL" <<-'EOF'
		HELO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<b@mx.test>
		DATA
		Subject: hello

		.
		QUIT
	EOF
	replies 220 250 250 250 354 250 221
	messages 1
}

# A seccomp filter that knows neither call is an older kernel.
@test "a kernel without Landlock and seccomp is one line in the log" {
	output=$(printf 'NOOP\r\nQUIT\r\n' | "$TOOLS/oldkernel" "$SMTPD" \
	    -o hostname=mx.test -o "spool=$SPOOL" 2>>"$LOG" | tr -d '\r')
	replies 220 250 221
	logged 'event=sandbox without="landlock seccomp"'
	(($(grep -c sandbox "$LOG") == 1))
}

# injected RULE ... -- ARGUMENT ...: the program, with what strace(1) makes of
# these calls; the calls are in $BATS_TEST_TMPDIR/trace.
injected() {
	local rules=()

	while [[ $1 != -- ]]; do
		rules+=(-e "inject=$1")
		shift
	done
	shift
	strace -qq -X raw -o "$BATS_TEST_TMPDIR/trace" \
	    -e trace=/landlock_,seccomp,prctl "${rules[@]}" "$SMTPD" "$@"
}

@test "an older Landlock is asked for what it knows, the first for nothing" {
	local abi rights

	while read -r abi rights; do
		: >"$LOG"
		injected "landlock_create_ruleset:retval=$abi:when=1" -- \
		    -o hostname=mx.test -o spool="$SPOOL" \
		    <<<$'QUIT\r' >/dev/null 2>"$LOG"
		if [[ $rights == none ]]; then
			logged 'event=sandbox without=landlock'
			continue
		fi
		grep -q "handled_access_fs=$rights," "$BATS_TEST_TMPDIR/trace"
	done <<-'END'
		1 none
		2 0x3fff
		3 0x7fff
		4 0x7fff
		5 0xffff
		6 0xffff
	END
}

@test "a sandbox that fails for want of something else: 421, and no session" {
	local rule

	for rule in landlock_create_ruleset:error=ENOMEM:when=2 \
	    landlock_add_rule:error=ENOMEM:when=3 \
	    landlock_restrict_self:error=E2BIG seccomp:error=ENOMEM; do
		: >"$LOG"
		output=$(injected "$rule" -- -o hostname=mx.test \
		    -o spool="$SPOOL" <<<$'NOOP\r' 2>"$LOG" | tr -d '\r')
		replies 220 421
		logged 'event=error what=sandbox'
		logged 'reason="no runner or sandbox"'
	done
}

@test "nor does a session go on in TLS if it can't give up more there" {
	certs
	talk -- strace -qq -o /dev/null -e trace=landlock_create_ruleset \
	    -e inject=landlock_create_ruleset:error=ENFILE:when=5 \
	    "$SMTPD" -o hostname=mx.test -o "spool=$SPOOL" \
	    -o "tls-cert=$CERTS/ec.pem" -o "tls-key=$CERTS/ec.key" <<-'EOF'
		< 220
		> EHLO client.test
		< 250
		> STARTTLS
		< 220
		tls
		< 421
		eof
	EOF
	logged 'event=error what=sandbox on=landlock'
	logged 'reason="no sandbox"'
}

@test "what can have no rule is no failure of the sandbox: a pipe, a file" {
	rmdir "$SPOOL/tmp"
	: >"$SPOOL/tmp"
	certs
	smtp -o "spool=$SPOOL" -o "tls-cert=$CERTS/ec.pem" \
	    -o "tls-key=$CERTS/ec.key" -o "recipients=/dev/fd/7" \
	    7< <(echo b@mx.test) <<-'EOF'
		HELO client.test
		QUIT
	EOF
	replies 220 250 221
	not_logged sandbox
}

@test "-t says what the kernel has not" {
	injected landlock_create_ruleset:error=ENOSYS prctl:error=EINVAL -- \
	    -t -o spool="$SPOOL" 2>"$LOG"
	logged 'sandbox: no Landlock in this kernel'
	logged 'sandbox: no seccomp in this kernel'
	injected landlock_create_ruleset:error=ENOSYS prctl:error=EINVAL -- \
	    -t -o spool="$SPOOL" -o sandbox=no 2>"$LOG"
	not_logged sandbox
}

@test "the setting is dumped and checked" {
	run -0 "$SMTPD" -T -o sandbox=no
	[[ $output == *'sandbox = no'* ]]
	run -78 "$SMTPD" -T -o sandbox=maybe
}

# SPDX-License-Identifier: ISC
# The delivery program: what it is given, what its end means, and what it can
# not do to us.

load lib
load deliver

setup() {
	test_setup
	WORK=$BATS_TEST_TMPDIR
	export TMPDIR=$WORK
}

# program <<SCRIPT: in $PROGRAM.
program() {
	PROGRAM=$WORK/program
	{
		printf '#!/bin/bash\nWORK=%q\n' "$WORK"
		cat
	} >"$PROGRAM"
	chmod +x "$PROGRAM"
}

# The reply to the message, when the program is this script.
answers() {
	program
	deliver -o exec="$PROGRAM"
	verdict "$1"
}

# The code alone.
codes() {
	program
	deliver -o exec="$PROGRAM"
	replies 220 250 250 250 354 "$1" 221
}

@test "the program gets the message with Received on top, as a file" {
	program <<-'END'
	cat >"$WORK/message"
	stat -Lc %s /dev/stdin >"$WORK/size"
	echo "$MESSAGE_SIZE" >>"$WORK/size"
	exec 3</proc/self/fd/0
	head -c 8 <&3 >"$WORK/again"
	END
	deliver -o exec="$PROGRAM"
	replies 220 250 250 250 354 250 221
	sed -e 's/id [0-9A-Za-z-]*/id ID/' -e 's/; .*/; DATE/' \
	    "$WORK/message" >"$WORK/masked"
	diff "$WORK/masked" - <<'END'
Received: from client.test ([192.0.2.7])
	by mx.test with ESMTP id ID
	for <rcpt@mx.test>; DATE
Subject: test

Hello
END
	[[ $(uniq "$WORK/size" | wc -l) == 1 ]]
	[[ $(<"$WORK/again") == Received ]]
}

# Who is named above Received, for these settings and words of the program.
named() {
	program <<<'sed "/^Received:/,\$d; s/:.*//" >>"$WORK/named"'
	rm -f "$WORK/named"
	smtp -o exec="$PROGRAM $1" "${@:2}" < <(to a@mx.test bcc@mx.test)
	xargs <"$WORK/named"
}

@test "envelope-lines: a program for all recipients is not to tell them of Bcc" {
	[[ -z $(named '{recipients}') ]]
	[[ -z $(named '{recipients}' -o dsn=yes -o mt-priority=yes) ]]
	[[ $(named '{recipients}' -o envelope-lines=yes) == \
	    'Return-Path Delivered-To Delivered-To' ]]
}

@test "envelope-lines: one for each recipient has its own" {
	[[ $(named '{recipient}') == \
	    'Return-Path Delivered-To Return-Path Delivered-To' ]]
	[[ -z $(named '{recipient}' -o envelope-lines=no) ]]
}

@test "envelope-lines: none, and the next field is a filter's or Received" {
	smtp -o spool="$SPOOL" -o envelope-lines=no < <(to a@mx.test bcc@mx.test)
	messages 1
	[[ $(message) == Received:* && $(message) != *bcc@* ]]
}

@test "the message can be read from any place, and more than once" {
	program <<-'END'
	cat >"$WORK/one"
	perl -e 'sysseek STDIN, 0, 0; print while <STDIN>' >"$WORK/two"
	END
	deliver -o exec="$PROGRAM"
	replies 220 250 250 250 354 250 221
	cmp "$WORK/one" "$WORK/two"
	grep -qx Hello "$WORK/two"
}

@test "a large message is whole" {
	program <<<'sed "1,/^\$/d" | cksum >"$WORK/sum"'
	smtp -o exec="$PROGRAM" < <(to rcpt@mx.test | sed '/^DATA/q'
	    seq 300000; echo .; echo QUIT)
	replies 220 250 250 250 354 250 221
	[[ $(<"$WORK/sum") == "$(seq 300000 | cksum)" ]]
}

@test "exit status: 0 is 250" {
	codes 250 <<<'exit 0'
}

@test "exit status: 75 is 451" {
	codes 451 <<<'exit 75'
}

@test "exit status: 111 is 451" {
	codes 451 <<<'exit 111'
}

@test "exit status: 67 is 550 5.1.1" {
	codes 550 <<<'exit 67'
	said '550 5.1.1 '
}

@test "exit status: 65 and 100 are 554" {
	codes 554 <<<'exit 65'
	said '554 5.3.0 Message refused'
	codes 554 <<<'exit 100'
	said '554 5.3.0 Message refused'
}

# bats test_tags=bulk
@test "exit status: all others are a fault of the program, so 451" {
	local one

	for one in 1 2 64 66 68 69 73 76 77 78 99 101 110 112 126 127 255; do
		codes 451 <<<"exit $one"
		logged "exit=$one"
	done
}

@test "a typo, an uncaught exception, a program that is not there: 451" {
	codes 451 <<<'no-such-command'
	logged exit=127
	codes 451 <<<"exec $PYTHON -c 'raise SystemError'"
	logged exit=1
	codes 451 <<<'set -e; false; exit 65'
}

@test "what a faulty program prints is logged, not shown" {
	answers '451 4.3.0 Delivery failed for now, try later' \
	    <<<'echo 5.7.1 secret; exit 1'
	logged 'text="5.7.1 secret"'
	answers '451 4.3.0 Delivery failed for now, try later' \
	    <<<'echo secret; kill -TERM $$'
	not_said secret
}

@test "a signal is 451" {
	codes 451 <<<'kill -SEGV $$'
	logged 'signal 11'
	codes 451 <<<'kill -KILL $$'
	logged 'signal 9'
}

@test "the first line it prints is the text" {
	answers '250 2.0.0 kept as 17' <<<'echo kept as 17; echo more'
	answers '554 5.3.0 no thanks' <<<'echo no thanks; exit 65'
	answers '554 5.3.0 no more' <<<'echo no more; exit 100'
	answers '451 4.3.0 later' <<<'printf later; exit 75'
	answers '550 5.1.1 unknown' <<<'printf "unknown\r\n"; exit 67'
}

@test "a line that begins with a status of the reply's class gives it" {
	answers '554 5.7.1 spam' <<<'echo 5.7.1 spam; exit 65'
	answers '250 2.6.0 fine' <<<'echo 2.6.0 fine'
	answers '554 5.3.0 4.7.1 spam' <<<'echo 4.7.1 spam; exit 65'
	answers '554 5.3.0 5.7 spam' <<<'echo 5.7 spam; exit 65'
	answers '554 5.3.0 5.7.1' <<<'echo 5.7.1; exit 65'
	answers '554 5.3.0 5.7.1234 x' <<<'echo 5.7.1234 x; exit 65'
	answers '554 5.3.0 5..1 x' <<<'echo 5..1 x; exit 65'
}

@test "a line may begin with a code of the exit status's class" {
	answers '452 4.2.2 full' <<<'echo 452 4.2.2 full; exit 75'
	answers '450 4.3.0 busy' <<<'echo 450 busy; exit 111'
	answers '550 5.7.1 no' <<<'echo 550 5.7.1 no; exit 65'
	answers '552 5.1.1 no' <<<'echo 552 no; exit 67'
	answers '250 2.6.0 kept' <<<'echo 250 2.6.0 kept'
}

@test "a code that contradicts the exit status is text" {
	answers '451 4.3.0 550 5.7.1 no' <<<'echo 550 5.7.1 no; exit 75'
	answers '554 5.3.0 452 4.2.2 full' <<<'echo 452 4.2.2 full; exit 65'
	answers '250 2.0.0 550 5.7.1 no' <<<'echo 550 5.7.1 no'
	answers '550 5.3.0 4.7.1 no' <<<'echo 550 4.7.1 no; exit 65'
	answers '451 4.3.0 421 4.3.0 x' <<<'echo 421 4.3.0 x; exit 75'
	answers '554 5.3.0 590 x' <<<'echo 590 x; exit 65'
	# 200 is a failure to some clients, which would send the message again
	answers '250 2.0.0 200 OK' <<<'echo 200 OK'
	answers '250 2.0.0 221 2.0.0 x' <<<'echo 221 2.0.0 x'
	answers '554 5.3.0 5500 x' <<<'echo 5500 x; exit 65'
	answers '554 5.3.0 550' <<<'echo 550; exit 65'
	answers '451 4.3.0 452-x' <<<'echo 452-x; exit 75'
}

@test "rubbish is made printable, on one line" {
	program <<<'printf "a\0b\033[31m\377\r250 c\n250 ok\n"; exit 65'
	deliver -o exec="$PROGRAM"
	replies 220 250 250 250 354 554 221
	said '554 5.3.0 a?b?[31m?250 c'
	not_said '250 ok'
}

@test "the text is cut at 200 characters" {
	program <<<'head -c 300 /dev/zero | tr "\0" x; exit 65'
	deliver -o exec="$PROGRAM"
	verdict "554 5.3.0 $(printf 'x%.0s' {1..200})"
}

@test "what it prints besides is read and dropped" {
	codes 250 <<<'head -c 3000000 /dev/zero; seq 100000; exit 0'
	codes 554 <<<'head -c 3000000 /dev/urandom; exit 65'
}

@test "standard error goes to the log, line by line, and not to the client" {
	codes 250 <<<'echo first trouble >&2; printf "second\033trouble" >&2'
	logged 'first trouble'
	logged 'second?trouble'
	not_said trouble
}

@test "standard error can't flood the log" {
	codes 250 <<<'seq 100000 >&2; head -c 100000 /dev/zero >&2'
	logged 99
	(($(wc -l <"$LOG") < 120 && $(wc -c <"$LOG") < 30000))
}

@test "words are replaced as a whole, and only as a whole" {
	program <<<'printf "%s\n" "$@" >"$WORK/words"'
	smtp -o exec="$PROGRAM x{sender} {sender} -- {recipients} {} {x}" \
	    < <(to a@mx.test b@mx.test)
	diff "$WORK/words" - <<-'END'
	x{sender}
	sender@client.test
	--
	a@mx.test
	b@mx.test
	{}
	{x}
	END
}

@test "nothing is special to anybody on the way" {
	local odd='"$(id) `id`; |&<\\\\ *"@mx.test'

	program <<<'printf "%s\n" "$@" "$RECIPIENTS" >"$WORK/words"'
	smtp -o exec="$PROGRAM -- {recipients} \$HOME * ;id" < <(to \
	    "$odd" -rf@mx.test '{sender}@mx.test')
	replies 220 250 250 250 250 250 354 250 221
	printf '%s\n' -- "$odd" -rf@mx.test '{sender}@mx.test' '$HOME' '*' \
	    ';id' "$odd" -rf@mx.test '{sender}@mx.test' |
		diff "$WORK/words" -
}

@test "the null sender is an empty argument" {
	program <<<'echo "$# <$1> <$SENDER>"'
	smtp -o exec="$PROGRAM {sender}" <<<"${DIALOGUE/sender@client.test/}"
	verdict '250 2.0.0 1 <> <>'
}

@test "{recipient}: a run for each, with lines of its own on top" {
	program <<-'END'
	cat >"$WORK/message.$1"
	echo "$RECIPIENT ${RECIPIENTS-unset}" >>"$WORK/runs"
	END
	smtp -o exec="$PROGRAM {recipient}" < <(to a@mx.test b@mx.test \
	    longer-than-the-others@mx.test)
	replies 220 250 250 250 250 250 354 250 221
	printf '%s unset\n' a@mx.test b@mx.test longer-than-the-others@mx.test |
		diff "$WORK/runs" -
	for one in a@mx.test b@mx.test longer-than-the-others@mx.test; do
		[[ $(grep -c ^Delivered-To: "$WORK/message.$one") == 1 ]]
		grep -qx "Delivered-To: $one" "$WORK/message.$one"
		grep -q "for <$one>;" "$WORK/message.$one"
		[[ $(sed '1,/^\tfor/d' "$WORK/message.$one") == \
		    $'Subject: test\n\nHello' ]]
	done
	! grep -q b@mx.test "$WORK/message.a@mx.test"
}

@test "{recipient}: the size is that of each one's file" {
	program <<-'END'
	[[ $(stat -Lc %s /dev/stdin) == "$MESSAGE_SIZE" ]]
	END
	smtp -o exec="$PROGRAM {recipient}" < <(to a@mx.test \
	    longer-than-the-other@mx.test | sed '/^DATA/q'
	    seq 30000; echo .; echo QUIT)
	replies 220 250 250 250 250 354 250 221
}

# Exit status by the recipient's local part; who was tried is in runs.
by_name() {
	program <<-'END'
	echo "${RECIPIENT%@*}" >>"$WORK/runs"
	echo "about $RECIPIENT"
	exit "${RECIPIENT%@*}"
	END
}

@test "one reply for all: a temporary failure comes first, and is the end" {
	by_name
	smtp -o exec="$PROGRAM {recipient}" < <(to 0@a 67@b 75@c 0@d)
	verdict '451 4.3.0 about 75@c'
	[[ $(xargs <"$WORK/runs") == '0 67 75' ]]
}

@test "one reply for all: a permanent failure is told, but stops nobody" {
	by_name
	smtp -o exec="$PROGRAM {recipient}" < <(to 0@a 67@b 65@c 0@d)
	verdict '550 5.1.1 about 67@b'
	[[ $(xargs <"$WORK/runs") == '0 67 65 0' ]]
}

@test "LMTP: a reply for each recipient" {
	by_name
	smtp -o protocol=lmtp -o exec="$PROGRAM {recipient}" \
	    < <(to 0@a 67@b 75@c 0@d | sed s/EHLO/LHLO/)
	replies 220 250 250 250 250 250 250 354 250 550 451 250 221
	said '250 2.0.0 about 0@d'
	[[ $(xargs <"$WORK/runs") == '0 67 75 0' ]]
}

@test "LMTP: a message that any recipient got counts as accepted, once" {
	by_name
	smtp -o protocol=lmtp -o exec="$PROGRAM {recipient}" \
	    < <(to 67@a 0@b 0@c | sed s/EHLO/LHLO/)
	replies 220 250 250 250 250 250 354 550 250 250 221
	logged 'event=close messages=1 accepted=1 '
}

@test "LMTP: one run for all, its reply for each" {
	program <<-'END'
	echo "$RECIPIENTS" >>"$WORK/runs"
	exit 75
	END
	smtp -o protocol=lmtp -o exec="$PROGRAM" \
	    < <(to a@mx.test b@mx.test | sed s/EHLO/LHLO/)
	replies 220 250 250 250 250 354 451 451 221
	[[ $(<"$WORK/runs") == $'a@mx.test\nb@mx.test' ]]
}

# into_file [ARGUMENT ...]: the replies go to $WORK/out, which programs can see.
into_file() {
	sed 's/$/\r/' | "$SMTPD" -o hostname=mx.test "$@" >"$WORK/out" 2>>"$LOG"
}

@test "LMTP: each recipient is told before the next one's run" {
	program <<-'END'
	[[ $RECIPIENT == a@* ]] || grep -c '^250 2.0.0 for' "$WORK/out" >>"$WORK/told"
	echo "for $RECIPIENT"
	END
	into_file -o protocol=lmtp -o exec="$PROGRAM {recipient}" \
	    < <(to a@mx.test b@mx.test c@mx.test | sed s/EHLO/LHLO/)
	[[ $(xargs <"$WORK/told") == '1 2' ]]
	[[ $(grep -c '^250 2.0.0 for' "$WORK/out") == 3 ]]
}

@test "LMTP: the last reply does not wait for the client" {
	program <<<'echo "for $RECIPIENT"'
	talk -- "$SMTPD" -o hostname=mx.test -o protocol=lmtp \
	    -o exec="$PROGRAM {recipient}" <<-'END'
	< 220
	> LHLO client.test
	< 250
	> MAIL FROM:<a@client.test>
	< 250
	> RCPT TO:<b@mx.test>
	< 250
	> RCPT TO:<c@mx.test>
	< 250
	> DATA
	< 354
	> .
	< 250 for b
	< 250 for c
	> QUIT
	< 221
	eof
	END
}

@test "a reply does not wait for the next message's run" {
	program <<-'END'
	grep -c '^250 2.0.0 taken' "$WORK/out" >>"$WORK/told"
	echo taken
	END
	into_file -o exec="$PROGRAM" < <(to a@mx.test | sed '/^QUIT/d'
	    to b@mx.test | sed 1d)
	[[ $(xargs <"$WORK/told") == '0 1' ]]
}

@test "the log waits for the reply, not the reply for the log" {
	program <<<'echo taken'
	sed 's/$/\r/' <<<"$DIALOGUE" | "$SMTPD" -o hostname=mx.test \
	    -o exec="$PROGRAM" >>"$WORK/out" 2>&1
	[[ $(grep -o '^250 2.0.0 taken\|event=message status=accepted' \
	    "$WORK/out" | head -n 1) == '250 2.0.0 taken' ]] ||
		fail "$(<"$WORK/out")"
}

@test "a message taken when nobody could be told is marked in the log" {
	local reader

	mkfifo "$WORK/fifo"
	cat "$WORK/fifo" >/dev/null &
	reader=$!
	program <<-END
	kill -KILL $reader
	while grep -qs "^State:.[^Z]" /proc/$reader/status; do :; done
	END
	sed 's/$/\r/' <<<"$DIALOGUE" | "$SMTPD" -o exec="$PROGRAM" \
	    >"$WORK/fifo" 2>>"$LOG"
	logged 'event=message status=accepted'
	grep -q 'event=message status=accepted .* told=no$' "$LOG" || fail told
	wait "$reader" || true
}

@test "session-timeout: no run is begun after it" {
	program <<-'END'
	echo "$RECIPIENT" >>"$WORK/runs"
	[[ $RECIPIENT != b@* ]] || read -rt 1.1 <> <(:)
	END
	into_file -o session-timeout=1 -o protocol=lmtp \
	    -o exec="$PROGRAM {recipient}" \
	    < <(to a@mx.test b@mx.test c@mx.test d@mx.test | sed s/EHLO/LHLO/)
	[[ $(xargs <"$WORK/runs") == 'a@mx.test b@mx.test' ]]
	[[ $(grep -c '^451 4.3.2 Session took too long' "$WORK/out") == 2 ]]
}

@test "session-timeout: the rest of one reply for all is 451" {
	program <<-'END'
	echo "$RECIPIENT" >>"$WORK/runs"
	read -rt 1.1 <> <(:) || exit 0
	END
	into_file -o session-timeout=1 -o exec="$PROGRAM {recipient}" \
	    < <(to a@mx.test b@mx.test c@mx.test)
	[[ $(xargs <"$WORK/runs") == a@mx.test ]]
	grep -q '^451 4.3.2 Session took too long' "$WORK/out" ||
		fail "$(<"$WORK/out")"
}

@test "the environment is ours alone" {
	program <<<'/usr/bin/env -u PWD -u SHLVL -u OLDPWD -u _ >"$WORK/env"'
	SECRET=1 LD_LIBRARY_PATH=/none BASH_ENV=/none IFS=x PATH=/usr/bin:/bin \
	    deliver -o exec="$PROGRAM"
	replies 220 250 250 250 354 250 221
	sed -E -e 's/^(SESSION_ID=)[0-9A-Za-z]+$/\1ID/' \
	    -e 's/^(MESSAGE_SIZE=)[0-9]+$/\1N/' "$WORK/env" | sort |
		diff - <(cat <<-'END'
	AUTH_USER=
	BODY=
	HELO=client.test
	MESSAGE_SIZE=N
	PATH=/usr/bin:/bin
	PROTOCOL=ESMTP
	RECIPIENTS=rcpt@mx.test
	REMOTE_ADDR=192.0.2.7
	REMOTE_PORT=4321
	SENDER=sender@client.test
	SENDER_AUTH=
	SESSION_ID=ID
	SMTPUTF8=
	TLS_CIPHER=
	TLS_CLIENT=
	TLS_PROTOCOL=
	END
	)
}

@test "parameters of MAIL are in the environment" {
	program <<<'echo "$BODY $SMTPUTF8"'
	smtp -o exec="$PROGRAM" \
	    <<<"${DIALOGUE/test>/test> BODY=8BITMIME SMTPUTF8}"
	verdict '250 2.0.0 8BITMIME yes'
}

# With DSN parameters for the second of three; runs get them as a list.
DSN='EHLO client.test
MAIL FROM:<sender@client.test> RET=HDRS ENVID=QQ314159
RCPT TO:<a@mx.test>
RCPT TO:<b@mx.test> NOTIFY=NEVER ORCPT=rfc822;x
RCPT TO:<c@mx.test>
DATA
.
QUIT'

@test "dsn: what was asked for is in the environment" {
	program <<-'END'
	printf '<%s>' "$DSN_RET" "$DSN_ENVID" "$DSN_NOTIFY" "$DSN_ORCPT" |
		tr '\n' '|' >>"$WORK/dsn"
	echo >>"$WORK/dsn"
	END
	smtp -o dsn=yes -o exec="$PROGRAM" <<<"$DSN"
	smtp -o dsn=yes -o exec="$PROGRAM {recipient}" <<<"$DSN"
	diff "$WORK/dsn" - <<-'END'
	<HDRS><QQ314159><|NEVER|><|rfc822;x|>
	<HDRS><QQ314159><><>
	<HDRS><QQ314159><NEVER><rfc822;x>
	<HDRS><QQ314159><><>
	END
}

@test "a function in an address is only text (Shellshock)" {
	program <<<'echo "$SENDER"'
	smtp -o exec="$PROGRAM" \
	    <<<"${DIALOGUE/sender@client.test/\"() \{ :;\}; echo pwned\"@x}"
	verdict '250 2.0.0 "() { :;}; echo pwned"@x'
}

@test "the child has three descriptors, no blocked signal, its own session" {
	program <<-'END'
	ls /proc/$$/fd >"$WORK/fds"
	grep -E '^Sig(Blk|Ign):' /proc/$$/status >"$WORK/signals"
	ps -o sid= -p $$ >"$WORK/session"; echo $$ >>"$WORK/session"
	pwd >"$WORK/pwd"
	END
	(
		trap '' PIPE HUP USR1
		exec 7<"$LOG" 9<"$LOG"
		deliver -o exec="$PROGRAM"
	)
	# bash has the script as 255
	[[ $(xargs <"$WORK/fds") =~ ^'0 1 2'(' 255')?$ ]] ||
		fail "$(<"$WORK/fds")"
	! grep -vE ':[[:space:]]*0+$' "$WORK/signals"
	[[ $(tr -d ' ' <"$WORK/session" | uniq | wc -l) == 1 ]]
	[[ $(<"$WORK/pwd") == / ]]
}

@test "a program named relative to where we are is found" {
	mkdir "$WORK/sub"
	program <<<'echo found'
	mv "$PROGRAM" "$WORK/sub/taker"
	cd "$WORK"
	deliver -o exec=sub/taker
	verdict '250 2.0.0 found'
	PATH=$WORK/sub:$PATH deliver -o exec=taker
	verdict '250 2.0.0 found'
}

@test "a program that is missing: 451" {
	deliver -o exec="$WORK/missing"
	replies 220 250 250 250 354 451 221
	logged 'No such file or directory'
	run -78 "$SMTPD" -t -o hostname=mx.test -o exec="$WORK/missing"
	[[ $output == *missing*'No such file'* ]]
	run -78 "$SMTPD" -t -o hostname=mx.test -o exec=missing-program-here
	[[ $output == *missing-program-here* ]]
}

@test "a program that may not be run: 451" {
	: >"$WORK/text"
	deliver -o exec="$WORK/text"
	replies 220 250 250 250 354 451 221
	logged 'Permission denied'
	run -78 "$SMTPD" -t -o hostname=mx.test -o exec="$WORK/text"
	[[ $output == *'Permission denied'* ]]
}

@test "a file without an interpreter is not given to a shell" {
	echo "touch $WORK/pwned" >"$WORK/text"
	chmod +x "$WORK/text"
	deliver -o exec="$WORK/text"
	replies 220 250 250 250 354 451 221
	logged 'Exec format error'
	[[ ! -e $WORK/pwned ]]
}

@test "-t: a program that is there is all right" {
	"$SMTPD" -t -o hostname=mx.test -o exec=/bin/true
	"$SMTPD" -t -o hostname=mx.test -o exec=true
	TMPDIR=$WORK/none run -78 "$SMTPD" -t -o hostname=mx.test -o exec=true
}

@test "no process to be had: 451, and the next message is tried again" {
	failing posix_spawnp:EAGAIN:1
	smtp -o exec=/bin/true < <(to a@mx.test | sed '$d'
	    to b@mx.test | sed 1d)
	replies 220 250 250 250 354 451 250 250 354 250 221
	logged 'Resource temporarily unavailable'
}

@test "no descriptors to be had: 451" {
	failing pipe2:EMFILE:2
	deliver -o exec=/bin/true
	replies 220 250 250 250 354 451 221
	logged 'Too many open files'
}

# many NUMBER: so many recipients of 189 characters, on one line.
many() {
	local i long

	long=$(printf 'x%.0s' {1..60})
	for ((i = 1001; i <= 1000 + $1; i++)); do
		echo "$i@$long.$long.$long.t"
	done | xargs
}

@test "more recipients than a variable takes: 452, and the others get it" {
	local one

	program <<<'wc -l <<<"$RECIPIENTS" >>"$WORK/runs"'
	for one in '' ' {recipients}'; do
		: >"$WORK/runs"
		smtp -o exec="$PROGRAM$one" -o max-recipients=0 \
		    < <(to $(many 750))
		[[ ${lines[-2]} == 250* ]] || fail "${lines[-2]}"
		[[ $(grep -c '^452 4\.5\.3 ' <<<"$output") == 61 ]]
		[[ $(<"$WORK/runs") == 689 ]]
		logged '1690@'
		not_logged '1750@'
	done
}

@test "more of what DSN asks for than a variable takes: 452 as well" {
	local long

	long=$(printf 'x%.0s' {1..450})
	program <<<'wc -l <<<"$DSN_ORCPT" >>"$WORK/runs"'
	smtp -o exec="$PROGRAM" -o max-recipients=0 -o dsn=yes < <(to \
	    $(printf '%d@mx.test ' {1..300}) |
	    sed "s/^RCPT.*/& NOTIFY=NEVER ORCPT=rfc822;$long/")
	[[ ${lines[-2]} == 250* ]] || fail "${lines[-2]}"
	[[ $(grep -c '^452 4\.5\.3 ' <<<"$output") == 18 ]]
	[[ $(<"$WORK/runs") == 282 ]]
}

@test "a run for each recipient, and a spool, have no such limit" {
	program <<<'echo >>"$WORK/runs"'
	smtp -o exec="$PROGRAM {recipient}" -o max-recipients=0 \
	    < <(to $(many 750) | sed '/^DATA/,/^\.$/d')
	not_said 452
	smtp -o spool="$SPOOL" -o max-recipients=0 < <(to $(many 750))
	not_said 452
	messages 1
}

@test "more arguments than the system takes: 451" {
	program <<<'exit 0'
	(
		ulimit -s 512		# a quarter of it is for them
		smtp -o exec="$PROGRAM {recipients}" -o max-recipients=0 \
		    < <(to $(many 600))
		[[ ${lines[-2]} == 451* ]] || fail "${lines[-2]}"
	)
	logged 'Argument list too long'
}

@test "no temporary file: DATA is refused with 451" {
	TMPDIR=$WORK/none smtp -o exec=/bin/true \
	    < <(to a@mx.test | sed '/^DATA/q'; echo QUIT)
	replies 220 250 250 250 451 221
	logged "$WORK/none"
}

@test "where no file can do without a name, it loses it at once" {
	failing unnamed:EOPNOTSUPP:0
	codes 250 <<<'ls "$WORK" | grep -q "^smtpd\.[^f]" && exit 1; grep -q Hello'
	! compgen -G "$WORK/smtpd.??????????"
}

@test "no space for the temporary file: 452, and the program is not run" {
	failing write:ENOSPC:1
	program <<<': >"$WORK/ran"'
	deliver -o exec="$PROGRAM"
	replies 220 250 250 250 354 452 221
	[[ ! -e $WORK/ran ]]
}

@test "{recipient}: what a program writes to its input, the next one has not" {
	program <<-'END'
	cat >"$WORK/$RECIPIENT"
	# The descriptor that it was given, and one that it makes of that.
	echo "$RECIPIENT was here" >&0
	perl -e 'open F, "+<", "/dev/stdin" and print F "x" x 1000'
	[[ $RECIPIENT == a@* ]] || : >/dev/stdin
	END
	smtp -o exec="$PROGRAM {recipient}" < <(to a@mx.test b@mx.test \
	    c@mx.test)
	replies 220 250 250 250 250 250 354 250 221
	for one in a b c; do
		[[ $(sed '1,/^\tfor/d' "$WORK/$one@mx.test") == \
		    $'Subject: test\n\nHello' ]] ||
			fail "$(cat "$WORK/$one@mx.test")"
	done
}

@test "a message that STARTTLS cut off leaves its file's place to others" {
	program <<<'cat >/dev/null'
	certs
	talk -- "$SMTPD" -o hostname=mx.test -o exec="$PROGRAM {recipient}" \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key" <<-'END'
	< 220
	> EHLO client.test
	< 250
	> MAIL FROM:<a@client.test>
	< 250
	> RCPT TO:<b@mx.test>
	< 250
	> BDAT 0
	< 250
	> STARTTLS
	< 220
	tls
	> EHLO client.test
	< 250
	> MAIL FROM:<a@client.test>
	< 250
	> RCPT TO:<b@mx.test>
	< 250
	> RCPT TO:<c@mx.test>
	< 250
	> BDAT 0 LAST
	< 250
	> QUIT
	< 221
	eof
	END
}

@test "no space for the second recipient's copy: 452" {
	failing write:ENOSPC:3
	program <<<'echo "$RECIPIENT" >>"$WORK/ran"'
	smtp -o exec="$PROGRAM {recipient}" < <(to a@mx.test b@mx.test)
	replies 220 250 250 250 250 354 452 221
	[[ $(<"$WORK/ran") == a@mx.test ]]
}

@test "a program that does not read, or stops in the middle, is not an error" {
	codes 250 <<<'exec <&-; exit 0'
	program <<<'head -c 10 >/dev/null; exec <&-; echo done'
	smtp -o exec="$PROGRAM" < <(to rcpt@mx.test | sed '/^DATA/q'
	    seq 300000; echo .; echo QUIT)
	verdict '250 2.0.0 done'
}

@test "a program that closes its outputs is waited for" {
	codes 451 <<<'exec >&- 2>&-; for i in {1..20000}; do :; done; exit 75'
}

@test "what it leaves running does not keep the client waiting" {
	program <<-'END'
	sleep 100 &
	echo $! >"$WORK/pid"
	echo left one
	END
	SECONDS=0
	deliver -o exec="$PROGRAM"
	verdict '250 2.0.0 left one'
	((SECONDS < 20))
	kill "$(<"$WORK/pid")"		# it was not ended either
}

@test "a program that hangs is ended with its process group: 451" {
	program <<-'END'
	sleep 100 &
	echo $! >"$WORK/pid"
	echo not this
	wait
	END
	SECONDS=0
	deliver -o timeout=1 -o exec="$PROGRAM"
	replies 220 250 250 250 354 451 221
	not_said 'not this'
	logged timeout
	((SECONDS < 20))
	gone "$(<"$WORK/pid")"
}

# Nobody, or a zombie: soon, if not yet.
gone() {
	wait_for eval "! grep -qs '^State:.[^Z]' /proc/$1/status"
}

@test "a program that hangs and does not listen is killed: 451" {
	program <<-'END'
	trap '' TERM
	echo $$ >"$WORK/pid"
	while :; do sleep 100; done
	END
	deliver -o timeout=1 -o exec="$PROGRAM"
	replies 220 250 250 250 354 451 221
	gone "$(<"$WORK/pid")"
}

@test "a program that can't be killed is not waited for, and logged: 451" {
	failing kill:EPERM:0
	program <<-'END'
	exec >&- 2>&-
	echo $$ >"$WORK/pid"
	exec sleep 100
	END
	SECONDS=0
	deliver -o timeout=1 -o exec="$PROGRAM"
	replies 220 250 250 250 354 451 221
	logged 'could not be ended'
	((SECONDS < 20))
	kill "$(<"$WORK/pid")"
}

@test "success after the deadline comes too late" {
	program <<-'END'
	trap 'exit 0' TERM
	while :; do sleep 0.1; done
	END
	deliver -o timeout=1 -o exec="$PROGRAM"
	replies 220 250 250 250 354 451 221
}

@test "without pidfds the end is noticed as well" {
	failing pidfd_open:ENOSYS:0
	answers '554 5.3.0 no' <<<'echo no; exit 65'
}

@test "SIGTERM while the program runs: it may finish, and its word counts" {
	program <<-'END'
	# The session is the parent of its runner.
	read -r _ _ _ session _ </proc/$PPID/stat
	kill -TERM $session
	for i in {1..20000}; do :; done
	echo taken
	END
	talk -- "$SMTPD" -o hostname=mx.test -o exec="$PROGRAM" <<-'END'
	< 220
	> EHLO client.test
	< 250
	> MAIL FROM:<a@client.test>
	< 250
	> RCPT TO:<b@mx.test>
	< 250
	> DATA
	< 354
	> Hello
	> .
	< 250 taken
	< 421
	eof
	END
}

@test "SIGTERM: runs not begun are not begun" {
	program <<-'END'
	echo "$RECIPIENT" >>"$WORK/runs"
	read -r _ _ _ session _ </proc/$PPID/stat
	[ "$(cat /proc/$session/comm)" = smtpd ] || session=$PPID
	kill -TERM $session
	END
	into_file -o protocol=lmtp -o exec="$PROGRAM {recipient}" \
	    < <(to a@mx.test b@mx.test c@mx.test | sed s/EHLO/LHLO/)
	[[ $(<"$WORK/runs") == a@mx.test ]]
	[[ $(grep -c '^451 4.3.2 Service is shutting down' "$WORK/out") == 2 ]]
}

@test "SIGTERM while the program runs: after ten seconds, 451 and 421" {
	program <<-'END'
	trap '' TERM
	read -r _ _ _ session _ </proc/$PPID/stat
	kill -TERM $session
	for i in {1..20}; do read -rt 1 <> <(:); done
	END
	SECONDS=0
	talk -- "$SMTPD" -o hostname=mx.test -o exec="$PROGRAM" <<-'END'
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
	END
	((SECONDS >= 9 && SECONDS < 18))
}

@test "children ignored by our parent are not ignored by us" {
	program <<<'exit 67'
	(
		trap '' CHLD
		deliver -o exec="$PROGRAM"
		replies 220 250 250 250 354 550 221
	)
}

@test "several messages in a session, each a run of its own" {
	program <<<'cat >/dev/null; echo "$RECIPIENTS" >>"$WORK/runs"'
	smtp -o exec="$PROGRAM" < <(to a@mx.test | sed '$d'
	    to b@mx.test | sed 1d)
	replies 220 250 250 250 354 250 250 250 354 250 221
	[[ $(xargs <"$WORK/runs") == 'a@mx.test b@mx.test' ]]
}

@test "a message that was cut off is given to nobody" {
	program <<<': >"$WORK/ran"'
	smtp -o exec="$PROGRAM" < <(to rcpt@mx.test | sed '/^\.$/,$d')
	[[ ! -e $WORK/ran ]]
	! compgen -G "$WORK/smtpd.??????????"
}

@test "neither spool nor exec: 451, and -t says so" {
	smtp < <(to rcpt@mx.test | sed '/^DATA/d;/^Subject/,/^\.$/d')
	replies 220 250 250 451 221
	said '451 4.3.5'
	run -78 "$SMTPD" -t -o hostname=mx.test
	[[ $output == *'neither spool nor exec'* ]]
}

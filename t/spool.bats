# SPDX-License-Identifier: ISC
# What is in the spool, that it is whole, and what happens if it can't be.

load lib
load deliver

OK='220 250 250 250 354 250 221'

# With dates and ids made equal.
masked() {
	message | sed -e 's/id [0-9A-Za-z-]*/id ID/' \
	    -e 's/[A-Z][a-z][a-z], [0-9]* [A-Z][a-z][a-z] 20.*/DATE/'
}

is_masked() {
	diff <(masked) - || fail "not the message expected"
}

@test "envelope and trace come before the message" {
	deliver -o spool="$SPOOL"
	replies $OK
	messages 1
	is_masked <<'END'
Return-Path: <sender@client.test>
Delivered-To: rcpt@mx.test
Received: from client.test ([192.0.2.7])
	by mx.test with ESMTP id ID
	for <rcpt@mx.test>; DATE
Subject: test

Hello
END
}

@test "each recipient has a line, and Received then names none" {
	smtp -o spool="$SPOOL" < <(to a@mx.test b@mx.test c@mx.test)
	messages 1
	is_masked <<'END'
Return-Path: <sender@client.test>
Delivered-To: a@mx.test
Delivered-To: b@mx.test
Delivered-To: c@mx.test
Received: from client.test ([192.0.2.7])
	by mx.test with ESMTP id ID;
	DATE
Subject: test

Hello
END
}

@test "the null sender is an empty Return-Path" {
	smtp -o spool="$SPOOL" <<<"${DIALOGUE/sender@client.test/}"
	[[ $(message) == 'Return-Path: <>'$'\n'* ]]
}

@test "the date is that of now, in UTC" {
	local before after date

	before=$(date +%s)
	TZ=Asia/Tokyo deliver -o spool="$SPOOL"
	after=$(date +%s)
	date=$(message | sed -n 's/.*; \(.*\) +0000$/\1 UTC/p')
	[[ $(date -d "$date" '+%a, %-d %b %Y %T UTC') == "$date" ]]
	date=$(date -d "$date" +%s)
	((date >= before && date <= after))
}

@test "private leaves out the client" {
	deliver -o spool="$SPOOL" -o received=private
	is_masked <<'END'
Return-Path: <sender@client.test>
Delivered-To: rcpt@mx.test
Received: by mx.test with ESMTP id ID
	for <rcpt@mx.test>; DATE
Subject: test

Hello
END
}

@test "an IPv6 address is a literal without its zone" {
	REMOTE_ADDR=fe80::1%eth0 deliver -o spool="$SPOOL"
	replies $OK
	[[ $(message) == *'from client.test ([IPv6:fe80::1])'* ]]
}

@test "a long name makes a line of its own, not a long line" {
	local name

	name=$(printf 'x%.0s' {1..40}).$(printf 'y%.0s' {1..20})
	smtp -o spool="$SPOOL" <<<"${DIALOGUE/client.test/$name}"
	messages 1
	[[ $(message) == *"Received: from $name"$'\n\t'"([192.0.2.7])"* ]]
	! message | grep -E '^.{79}'
}

# begins TEXT: what comes after our lines if this is the message, by BDAT.
begins() {
	rm -rf "$SPOOL"
	smtp_raw "${@:2}" -o spool="$SPOOL" < <(printf '%s\r\n' EHLO\ a \
	    'MAIL FROM:<a@b>' 'RCPT TO:<c@d>' "BDAT ${#1} LAST"
	    printf %s "$1"; printf 'QUIT\r\n')
	messages 1
	sed '1,/^\tfor </d' "$SPOOL"/new/*
}

@test "a message that begins with text, not with a field, gets an empty line" {
	local text

	for text in ' blank' $'\ttab' 'text without a field' 'no' 'From: a' \
	    ':' ': no name' 'Fröm: x' 'From' 'From:' 'Fro m: x' '>From a' \
	    "$(printf 'x%.0s' {1..300}):"; do
		[[ $text == From:* ]] ||
			[[ $(begins "$text"$'\r\n') == $'\n'"$text" ]] ||
			fail "$text" || return
	done
	[[ $(begins 'unended') == $'\nunended' ]]
}

@test "one that begins with a field, a From line or nothing does not" {
	local text

	for text in 'Subject: x' 'X:' 'a!"#$%~ : obsolete' 'From a@b Thu' \
	    'From: a' 'From : a' "$(printf 'x%.0s' {1..200}):"; do
		[[ $(begins "$text"$'\r\n') == "$text" ]] ||
			fail "$text" || return
	done
	[[ $(begins $'\r\nbody\r\n' | od -An -c | tr -d ' ') == '\nbody\n' ]]
	[[ -z $(begins '') ]]
}

@test "the empty line is there however the octets come, and in our line end" {
	rm -rf "$SPOOL"
	smtp_raw -o newline=crlf -o spool="$SPOOL" < <(printf '%s\r\n' EHLO\ a \
	    'MAIL FROM:<a@b>' 'RCPT TO:<c@d>'
	    printf 'BDAT 1\r\nnBDAT 1\r\noBDAT 6 LAST\r\n body\nQUIT\r\n' |
		sed 's/body$/xxx\r/')
	messages 1
	[[ $(tail -n 2 "$SPOOL"/new/* | od -An -c | tr -d ' \n') == \
	    '\r\nnoxxx\r\n' ]] || fail "$(od -c "$SPOOL"/new/*)"
}

# Who logged in, for AUTH PLAIN with this user.
login() {
	smtp -o spool="$SPOOL" -o auth-any=yes -o auth-cleartext=yes "${@:2}" \
	    < <(printf '%s\n' 'EHLO a' "AUTH PLAIN $(printf '\0%s\0x' "$1" |
		base64 -w0)"; to rcpt@mx.test | sed 1d)
	messages 1
}

@test "the user is above Received, and nobody is without a login" {
	login joe
	[[ $(message | sed -n 2p) == 'Authenticated-User: joe' ]]
	[[ $(message | grep -c joe) == 1 ]]
	rm -r "$SPOOL"
	deliver -o spool="$SPOOL"
	[[ $(message) != *Authenticated* ]]
}

@test "received-user: the user is in Received as well, as a comment" {
	login 'joe)x' -o received-user=yes -o envelope-lines=no
	[[ $(message) == *$'\n\t(Authenticated sender: joe\\)x)\n'* ]] ||
		fail "$(message)"
	[[ $(message) == Received:* ]]
}

@test "a user that is not ASCII is masked where the message is" {
	login jörg
	[[ $(message | sed -n 2p) == 'Authenticated-User: j??rg' ]]
}

@test "a quoted local part stays as it was sent" {
	smtp -o spool="$SPOOL" < <(to '"a \"b\" > c"@mx.test')
	[[ $(message) == *$'\nDelivered-To: "a \\"b\\" > c"@mx.test\n'* ]]
}

@test "a forged envelope in the message stays below Received" {
	smtp -o spool="$SPOOL" <<<"${DIALOGUE/Subject: test/Return-Path: <root@mx.test>
Delivered-To: root@mx.test}"
	messages 1
	[[ $(message | grep -n '^Received:' | cut -d: -f1) == 3 ]]
	[[ $(message | grep -n '^Return-Path: <root' | cut -d: -f1) -gt 3 ]]
}

DSN='EHLO client.test
MAIL FROM:<sender@client.test> RET=HDRS ENVID=QQ314159
RCPT TO:<a@mx.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@mx.test
RCPT TO:<b@mx.test>
RCPT TO:<c@mx.test> NOTIFY=NEVER
RCPT TO:<d@mx.test> ORCPT=rfc822;d@mx.test
DATA
.
QUIT'

@test "dsn: what was asked for is above Received" {
	smtp -o spool="$SPOOL" -o dsn=yes <<<"$DSN"
	messages 1
	diff <(message | sed /^Received/,\$d) - <<'END'
Return-Path: <sender@client.test>
DSN-Return: HDRS
Original-Envelope-Id: QQ314159
Delivered-To: a@mx.test
DSN-Notify: SUCCESS,DELAY
Original-Recipient: rfc822;x+2By@mx.test
Delivered-To: b@mx.test
Delivered-To: c@mx.test
DSN-Notify: NEVER
Delivered-To: d@mx.test
Original-Recipient: rfc822;d@mx.test
END
}

@test "newline = crlf: all lines end so, ours too" {
	deliver -o spool="$SPOOL" -o newline=crlf
	messages 1
	[[ $(message | grep -c '') == 8 && $(message | grep -c $'\r$') == 8 ]]
}

@test "newline = lf: no line has a CR" {
	deliver -o spool="$SPOOL"
	messages 1
	[[ $(message | grep -c '') == 8 ]]
	! message | grep -q $'\r'
}

@test "a BINARYMIME message keeps its octets, with our lines to match" {
	printf '%s\r\n' 'EHLO client.test' \
	    'MAIL FROM:<a@client.test> BODY=BINARYMIME' \
	    'RCPT TO:<b@mx.test>' 'BDAT 13 LAST' >"$BATS_TEST_TMPDIR/in"
	printf 'A: b\r\n\r\n\r\0\nxx' >>"$BATS_TEST_TMPDIR/in"
	smtp_raw -o spool="$SPOOL" <"$BATS_TEST_TMPDIR/in"
	replies 220 250 250 250 250
	[[ $(cat "$SPOOL"/new/* | grep -ac $'^[RD\t].*\r$') == 5 ]]
	[[ $(tail -c 13 "$SPOOL"/new/*  | od -An -c | tr -d ' \n') == \
	    'A:b\r\n\r\n\r\0\nxx' ]]
}

@test "names are unique and mean nothing to a shell; modes are 0700 and 0600" {
	smtp -o spool="$SPOOL" < <(to a@mx.test | sed '$d'
	    to a@mx.test | sed 1d)
	messages 2
	for file in "$SPOOL"/new/*; do
		[[ ${file##*/} =~ ^[0-9]+\.M[0-9]+P[0-9]+Q[0-9]+\.[^/:]+$ ]]
		[[ $(stat -c %a "$file") == 600 ]]
	done
	[[ $(stat -c %a "$SPOOL"/{,tmp,new,cur} | sort -u) == 700 ]]
}

@test "a Maildir reader finds the message" {
	deliver -o spool="$SPOOL"
	run "$PYTHON" -c 'import mailbox, sys
for m in mailbox.Maildir(sys.argv[1]): print(m["Return-Path"], m["Subject"])' \
	    "$SPOOL"
	[[ $output == '<sender@client.test> test' ]]
}

@test "a large message and long lines come through whole" {
	local sum

	{
		printf 'Subject: large\n\n'
		head -c 1500000 /dev/zero | tr '\0' x
		echo
		seq 200000
	} >"$BATS_TEST_TMPDIR/body"
	sum=$(cksum <"$BATS_TEST_TMPDIR/body")
	smtp -o spool="$SPOOL" < <(to rcpt@mx.test | sed '/^DATA/q'
	    cat "$BATS_TEST_TMPDIR/body"; echo .; echo QUIT)
	replies $OK
	messages 1
	[[ $(message | sed '1,5d' | cksum) == "$sum" ]]
}

@test "lines on top for many recipients, more than a buffer of them" {
	smtp -o spool="$SPOOL" -o max-recipients=0 < <(to \
	    $(printf 'someone-with-a-long-name-%d@mx.test ' {1..3000}))
	messages 1
	[[ $(message | grep -c ^Delivered-To:) == 3000 ]]
	[[ $(message | sed '/^Received/,$d' | sort -u | wc -l) == 3001 ]]
	[[ $(message | tail -n 1) == Hello ]]
}

@test "LMTP: one file, the same answer for each recipient" {
	smtp -o spool="$SPOOL" -o protocol=lmtp \
	    < <(to a@mx.test b@mx.test | sed s/EHLO/LHLO/)
	replies 220 250 250 250 250 354 250 250 221
	messages 1
}

@test "nothing is left of a message that was cut off" {
	smtp -o spool="$SPOOL" < <(to rcpt@mx.test | sed '/^\.$/,$d')
	messages 0
	[[ -d $SPOOL/new ]]
}

@test "nothing is left of a message that was cut off, where names are needed" {
	failing unnamed:EOPNOTSUPP:0
	smtp -o spool="$SPOOL" < <(to rcpt@mx.test | sed '/^\.$/,$d')
	messages 0
	[[ -d $SPOOL/new ]]
}

@test "where a file needs a name it is written under tmp" {
	failing unnamed:EOPNOTSUPP:0,linkat:EIO:0
	deliver -o spool="$SPOOL"
	replies $OK
	messages 1
	[[ $(stat -c %a "$SPOOL"/new/*) == 600 ]]
}

@test "where renameat2 can't refuse to replace, plain rename serves" {
	failing unnamed:EOPNOTSUPP:0,renameat2:EINVAL:0
	deliver -o spool="$SPOOL"
	replies $OK
	messages 1
}

@test "a name that is taken makes us take another, where names are needed" {
	failing unnamed:EOPNOTSUPP:0,create:EEXIST:1
	deliver -o spool="$SPOOL"
	replies $OK
	messages 1
}

@test "a name that is taken makes us take another" {
	failing linkat:EEXIST:1
	deliver -o spool="$SPOOL"
	replies $OK
	messages 1
}

# Two messages: the first fails in the way given, with this code and in the log
# this text; the second is kept.  Then more arguments.
fails() {
	local code=$1 text=$2

	mkdir -p "$SPOOL"/{tmp,new,cur}
	failing "$3"
	smtp -o spool="$SPOOL" "${@:4}" < <(to first@mx.test | sed '$d'
	    to second@mx.test | sed 1d)
	replies 220 250 250 250 354 "$code" 250 250 354 250 221
	logged "$text"
	messages 1
	[[ $(message) == *second@mx.test* ]]
}

@test "fsync of the message fails" {
	fails 451 'Input/output error' fsync:EIO:1
}

@test "fsync of the message fails for lack of space" {
	fails 452 'No space left' fsync:ENOSPC:1
}

@test "fsync of the directory fails" {
	fails 451 'Input/output error' fsync:EIO:2 -o sandbox=no
}

@test "a write fails" {
	fails 451 'Input/output error' write:EIO:1
}

@test "a write fails for lack of space" {
	fails 452 'No space left' write:ENOSPC:1
}

@test "a write fails for lack of quota" {
	fails 452 'quota' write:EDQUOT:1
}

@test "the link fails" {
	fails 451 'Input/output error' linkat:EIO:1
}

@test "the link fails for lack of space" {
	fails 452 'No space left' linkat:ENOSPC:1
}

@test "the rename fails" {
	fails 451 'Input/output error' unnamed:EOPNOTSUPP:0,renameat2:EIO:1
}

@test "fsync of the message fails, where names are needed" {
	fails 451 'Input/output error' unnamed:EOPNOTSUPP:0,fsync:EIO:1
}

@test "fsync of the directory fails, where names are needed" {
	fails 451 'Input/output error' unnamed:EOPNOTSUPP:0,fsync:EIO:2 -o sandbox=no
}

@test "in the sandbox nothing is taken out of new/: 451, and it is there" {
	mkdir -p "$SPOOL"/{tmp,new,cur}
	failing fsync:EIO:2
	[[ $SMTPD != */asan/* && $REAL != */asan/* ]] || return 0
	deliver -o spool="$SPOOL"
	replies 220 250 250 250 354 451 221
	messages 1
}

# refused RULES CODE TEXT: the file can't be made, so DATA is refused.
refused() {
	failing "$1"
	smtp -o spool="$SPOOL" < <(to rcpt@mx.test | sed '/^DATA/q'; echo QUIT)
	replies 220 250 250 250 "$2" 221
	logged "$3"
	messages 0
}

@test "the file can't be made" {
	refused unnamed:EACCES:0 451 'Permission denied'
}

@test "the file can't be made for lack of space" {
	refused unnamed:ENOSPC:0 452 'No space left'
}

@test "the file can't be made, where names are needed" {
	refused unnamed:EOPNOTSUPP:0,create:EMFILE:0 451 'Too many open files'
}

@test "the directories can't be made" {
	refused mkdirat:EROFS:1 451 'Read-only file system'
}

@test "new directories are made durable, or nothing is said to be kept" {
	refused fsync:EIO:0 451 'Input/output error'
}

@test "new directories are synced again after an fsync that failed" {
	failing fsync:EIO:1
	smtp -o sandbox=no -o spool="$SPOOL" < <(to first@mx.test |
	    sed '/^DATA/q'; echo RSET; to second@mx.test | sed 1d)
	replies 220 250 250 250 451 250 250 250 354 250 221
	messages 1
}

@test "new directories whose maker was killed are synced by the next session" {
	failing fsync:KILL:1
	deliver -o sandbox=no -o spool="$SPOOL"
	[[ -d $SPOOL/new && ! -e $SPOOL/cur ]]
	failing fsync:EIO:1
	smtp -o sandbox=no -o spool="$SPOOL" < <(to rcpt@mx.test |
	    sed '/^DATA/q'; echo QUIT)
	replies 220 250 250 250 451 221
}

@test "the directory above must be durable as well" {
	failing fsync:EIO:2
	smtp -o sandbox=no -o spool="$SPOOL" < <(to rcpt@mx.test |
	    sed '/^DATA/q'; echo QUIT)
	replies 220 250 250 250 451 221
	logged 'what=fsync on=.. error="Input/output error"'
}

@test "a message has a name when it is synced, and is moved after that" {
	mkdir -p "$SPOOL"/{tmp,new,cur}
	strace -qq -o "$BATS_TEST_TMPDIR/trace" \
	    -e trace=fsync,linkat,renameat2 \
	    "$SMTPD" -o sandbox=no -o spool="$SPOOL" \
	    < <(sed 's/$/\r/' <<<"$DIALOGUE") >/dev/null 2>>"$LOG"
	messages 1
	[[ $(sed '/"\."/d; s/(.*//' "$BATS_TEST_TMPDIR/trace" | xargs) == \
	    'linkat fsync renameat2 fsync' ]] ||
		fail "$(<"$BATS_TEST_TMPDIR/trace")"
}

@test "a write that comes short is gone on with" {
	failing write:SHORT:0
	deliver -o spool="$SPOOL"
	replies $OK
	messages 1
	[[ $(message | tail -n 1) == Hello ]]
}

@test "a write that is interrupted is tried again" {
	failing write:EINTR:1
	deliver -o spool="$SPOOL"
	replies $OK
	[[ $(message | tail -n 1) == Hello ]]
}

@test "a limit on the size of files is an error, not the end" {
	(
		ulimit -f 8
		smtp -o spool="$SPOOL" < <(to rcpt@mx.test | sed '/^DATA/q'
		    seq 100000; echo .; echo QUIT)
		replies 220 250 250 250 354 452 221
	)
	logged 'File too large'
	messages 0
}

@test "the log has the message's number, its file and all recipients" {
	local file

	smtp -o spool="$SPOOL" < <(to a@mx.test 'two words@mx.test' b@mx.test |
	    sed 's/two words/"two words"/')
	file=$(basename "$SPOOL"/new/*)
	logged 'recipients=3 from=sender@client.test to="a@mx.test,\"two words\"@mx.test,b@mx.test" addr='
	logged "number=1 file=$file"
}

@test "many recipients leave room for the rest of the line" {
	smtp -o spool="$SPOOL" < <(to user{10..99}@mx.test)
	logged "recipients=90 from=sender@client.test to=user10@mx.test,user11@"
	grep -q ',\.\.\. addr=192.0.2.7 number=1 file=' "$LOG"
}

@test "a message that was refused has no file in the log" {
	failing fsync:EIO:1
	deliver -o sandbox=no -o spool="$SPOOL"
	not_logged file=
}

@test "a log that may not grow does not end the session" {
	printf 'QUIT\r\n' | (
		ulimit -f 0
		exec "$SMTPD" -o log=stderr 2>>"$LOG"
	) | grep -q '^221 '
	[[ ! -s $LOG ]]
}

@test "a full file system: 452, and nothing is left" {
	mounted -t tmpfs -o size=64k,mode=700 none -- -o spool="$SPOOL" \
	    < <(to first@mx.test | sed '/^DATA/q'; seq 100000; echo .
	    to second@mx.test | sed 1d)
	# The second finds room again: the first was removed.
	replies 220 250 250 250 354 452 250 250 354 250 221
	logged 'No space left on device'
}

@test "a read-only file system: 451" {
	mkdir -p "$SPOOL"/{tmp,new,cur}
	mounted -o bind,ro "$SPOOL" -- -o spool="$SPOOL" \
	    < <(to rcpt@mx.test | sed '/^DATA/q'; echo QUIT)
	replies 220 250 250 250 451 221
	logged 'Read-only file system'
	messages 0
}

# Up to DATA, for talk.
envelope() {
	printf '%s\n' '> MAIL FROM:<a@client.test>' '< 250' \
	    '> RCPT TO:<b@mx.test>' '< 250' '> DATA'
}

# gone DIRECTORY LINE ...: it goes between two messages; what follows the second
# DATA.
gone() {
	local said=$BATS_TEST_TMPDIR/said to dir=$1

	shift
	serve -o spool="$SPOOL"
	exec {to}> >(exec "$TOOLS/talk" -log "$LOG" >"$said" 2>&1)
	printf '%s\n' '< 220' '> EHLO client.test' '< 250' >&"$to"
	envelope >&"$to"
	printf '%s\n' '< 354' '> one' '> .' '< 250' >&"$to"
	wait_for compgen -G "$SPOOL/new/*" || fail "$(<"$said")"
	rm -r "$dir"
	envelope >&"$to"
	printf '%s\n' "$@" >&"$to"
	cat >&"$to"
	printf '%s\n' '> QUIT' '< 221' eof >&"$to"
	exec {to}>&-
	wait_for grep -q '^< 221' "$said" || fail "$(<"$said")"
}

# A directory made since is another one to the sandbox: the next session's.
@test "new/ goes in mid-session: 451, and the next session makes it again" {
	gone "$SPOOL/new" '< 354' '> lost' '> .' '< 451' </dev/null
	logged 'what=rename on=new error="No such file or directory"'
	deliver -o spool="$SPOOL"
	replies $OK
	messages 1
}

@test "the spool goes in mid-session: 451" {
	gone "$SPOOL" '< 451' </dev/null
	logged "on=$SPOOL"
	messages 0
}

@test "the directory above is missing: 451" {
	smtp -o spool="$SPOOL/none/mail" < <(to rcpt@mx.test | sed '/^DATA/q'
	    echo QUIT)
	replies 220 250 250 250 451 221
	logged 'No such file or directory'
}

# Not a place for mail, for this reason.
unsafe() {
	smtp -o spool="$SPOOL" < <(to rcpt@mx.test | sed '/^DATA/q'; echo QUIT)
	replies 220 250 250 250 451 221
	logged "$1"
	# To root the owner of the spool is the user of the service.
	((EUID != 0)) || [[ $1 != belongs* ]] || return 0
	run -78 "$SMTPD" -t -o hostname=mx.test -o spool="$SPOOL"
	[[ $output == *"$1"* ]]
}

@test "a spool that everybody may write to is not used" {
	mkdir -m 777 "$SPOOL"
	unsafe 'writable by everybody'
	[[ -z $(ls "$SPOOL") ]]
}

@test "a spool of somebody else is not used" {
	if ((EUID == 0)); then
		mkdir "$SPOOL"
		chown 65534 "$SPOOL"
	else
		SPOOL=/usr/share/doc
	fi
	unsafe 'belongs to somebody else'
	[[ ! -e $SPOOL/new && ! -e $SPOOL/tmp ]]
}

@test "a link in the place of new is not followed" {
	mkdir -p "$SPOOL" "$BATS_TEST_TMPDIR/other"
	ln -s "$BATS_TEST_TMPDIR/other" "$SPOOL/new"
	unsafe 'not a directory'
	[[ -z $(ls "$BATS_TEST_TMPDIR/other") ]]
}

@test "a file in the place of the spool is not used" {
	: >"$SPOOL"
	unsafe 'Not a directory'
}

@test "a link to the spool is followed" {
	mkdir -m 700 "$BATS_TEST_TMPDIR/real"
	ln -s real "$SPOOL"
	deliver -o spool="$SPOOL"
	replies $OK
	[[ -n $(ls "$BATS_TEST_TMPDIR/real/new") ]]
}

@test "-t: a spool that is there, or can be made, is all right" {
	"$SMTPD" -t -o hostname=mx.test -o spool="$SPOOL"
	[[ ! -e $SPOOL ]]
	mkdir -m 700 "$SPOOL"
	"$SMTPD" -t -o hostname=mx.test -o spool="$SPOOL"
	[[ -z $(ls "$SPOOL") ]]
	run -78 "$SMTPD" -t -o hostname=mx.test -o spool="$SPOOL/none/mail"
	[[ $output == *'No such file'* ]]
}

# killed RULES: nothing of a message in new/, or all of it.
killed() {
	mkdir -p "$SPOOL"/{tmp,new,cur}
	failing "$1"
	deliver -o spool="$SPOOL"
	[[ $status == 137 ]] || fail "not killed"
	not_said '250 2.0.0 Message'
	local files=("$SPOOL"/new/*)
	[[ ! -e ${files[0]} ]] || [[ $(tail -n 1 "${files[0]}") == Hello ]] ||
		fail "half a message"
	VISIBLE=$(find "$SPOOL/new" -type f | wc -l)
}

@test "kill -9 between any two steps: no half message" {
	killed write:KILL:1
	((VISIBLE == 0))
	killed write:DONE:1
	((VISIBLE == 0))
	killed linkat:KILL:1
	((VISIBLE == 0))
	[[ -z $(find "$SPOOL" -type f) ]]
	killed linkat:DONE:1
	((VISIBLE == 0))
	killed fsync:DONE:1
	((VISIBLE == 0))
	killed renameat2:DONE:1
	((VISIBLE == 1))
}

@test "kill -9 between any two steps, where names are needed: no half message" {
	local without=unnamed:EOPNOTSUPP:0

	killed $without,create:DONE:1
	((VISIBLE == 0))
	killed $without,write:DONE:1
	((VISIBLE == 0))
	killed $without,fsync:DONE:1
	((VISIBLE == 0))
	killed $without,renameat2:DONE:1
	((VISIBLE == 1))
}

@test "a message for which there is no spool is logged as deferred" {
	smtp -o spool=/proc/none <<-'END'
		EHLO client.test
		MAIL FROM:<a@b>
		RCPT TO:<c@d>
		DATA
		QUIT
	END
	replies 220 250 250 250 451 221
	logged 'event=message status=deferred recipients=1 from=a@b to=c@d'
}

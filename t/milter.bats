# SPDX-License-Identifier: ISC
# Mail filters that speak the milter protocol: what they are told, and what
# their answers do.

load auth
load lib
load milter
load deliver

# messages_of NUMBER: a session with so many, whatever becomes of each.
messages_of() {
	local i

	echo 'EHLO client.test'
	for ((i = 0; i < $1; i++)); do
		printf '%s\n' 'MAIL FROM:<a@client.test>' 'RCPT TO:<r1@mx.test>' \
		    DATA "$MESSAGE" . RSET
	done
	echo QUIT
}

STEPS='options connect helo mail rcpt rcpt data'
CONTENT='header header header header eoh body end quit'

@test "what a filter is offered, and told, in order, with its macros" {
	filtering
	mail
	replies 220 250 250 250 250 354 250 221
	told $STEPS $CONTENT
	asked 'options 6 0x31 0x1ff7ff'
	asked 'macros connect j=mx.test {daemon_name}=smtpd'
	asked 'connect [192.0.2.7] 4 4321 192.0.2.7'
	asked 'helo client.test'
	grep -Eqx 'macros mail i=[0-9a-f]{16}-1 \{mail_addr\}=a@client.test' \
	    "$ASKED" || fail "$(<"$ASKED")"
	asked 'mail <a@client.test>'
	asked 'macros rcpt {rcpt_addr}=r1@mx.test'
	asked 'rcpt <r1@mx.test>'
	asked 'rcpt <r2@mx.test>'
	asked 'header From <a@client.test>'
	asked 'header Subject one\n two'
	asked 'header X-A no blank'
	grep -Eqx 'macros end i=[0-9a-f]{16}-1' "$ASKED" || fail "$(<"$ASKED")"
	printf 'text\r\nmore\r\n' | cmp - "$ASKED.body"
	messages 1
	not_logged event=error
}

@test "an IPv6 client, and one without an address" {
	filtering
	REMOTE_ADDR=2001:db8::7 REMOTE_PORT=25 mail
	asked 'connect [2001:db8::7] 6 25 2001:db8::7'
	filtering
	REMOTE_ADDR= REMOTE_PORT= mail
	asked 'connect localhost 4 0 127.0.0.1'
}

@test "MAIL's parameters" {
	filtering
	smtp -o spool="$SPOOL" -o milter="$MILTER" <<-'END'
		EHLO client.test
		MAIL FROM:<> SIZE=1234 BODY=8BITMIME SMTPUTF8
		QUIT
	END
	asked 'mail <> SIZE=1234 BODY=8BITMIME SMTPUTF8'
}

@test "what a filter does not want it is not told" {
	local step bits=(connect 1 helo 2 mail 4 rcpt 8 body 0x10 header 0x20
	    eoh 0x40 data 0x200) i rules=()

	for ((i = 0; i < ${#bits[@]}; i += 2)); do
		rules+=("options 0x31 ${bits[i + 1]}")
	done
	filtering "${rules[@]}"
	for ((i = 0; i < ${#bits[@]}; i += 2)); do
		step=${bits[i]}
		: >"$ASKED"
		mail
		replies 220 250 250 250 250 354 250 221
		not_asked "$step "
		not_logged event=error
	done
}

@test "a filter that wants nothing but the end, as rspamd does" {
	filtering 'options 0x3f 0xff080' 'connect none' 'helo none' \
	    'mail none' 'rcpt none' 'data none' 'header none' 'eoh none' \
	    'body none' 'end c'
	mail
	replies 220 250 250 250 250 354 250 221
	told $STEPS $CONTENT
	not_logged event=error
}

@test "a filter of version 2 is not told of DATA" {
	filtering 'options 0x3f 0 2'
	mail
	replies 220 250 250 250 250 354 250 221
	not_asked data
}

@test "values with their leading blank, if it wants that" {
	filtering 'options 0x31 0x100000' 'end h:X-B:none | h:X-C: one | c'
	mail
	asked 'header From  <a@client.test>'
	asked 'header X-A no blank'
	[[ $(message) == *$'\nX-B:none\nX-C: one\n\ntext'* ]] ||
		fail "$(message)"
}

# Where a message can be judged; the verdict of one a message, one step later
# for each, and then "c".
JUDGED=(mail rcpt data header eoh body end)
judged() {
	local step rules=()

	for step in "${JUDGED[@]}"; do
		rules+=("$step $1" "$step c")
	done
	filtering "${rules[@]}"
	smtp -o spool="$SPOOL" -o milter="$MILTER" -o max-errors=0 \
	    -o max-junk=0 < <(messages_of "${#JUDGED[@]}")
	not_logged event=error
	messages 0
}

# refusal ANSWER REPLY: of each step but connect and HELO.
refusal() {
	judged "$1"
	[[ $(grep -cxF "$2" <<<"$output") == 7 ]] || fail "not seven: $2"
}

@test "refused at each step: r, t, y" {
	refusal r '550 5.7.1 Refused by a mail filter'
	refusal t '451 4.7.1 Try later, says a mail filter'
	refusal 'y:554 5.6.0 No such thing' '554 5.6.0 No such thing'
}

@test "refused at connect or HELO: the answer to each MAIL" {
	local step

	for step in connect helo; do
		filtering "$step y:550 5.7.1 Not from you"
		twice
		[[ $(grep -c '^550 5.7.1 Not from you' <<<"$output") == 2 ]] ||
			fail 'not twice'
		[[ $(grep -c ^connect "$ASKED") == 1 ]] || fail 'asked again'
	done
	messages 0
}

@test "a refused recipient leaves the others alone" {
	filtering 'rcpt r' 'rcpt c'
	mail
	replies 220 250 250 550 250 354 250 221
	[[ $(message) == *'Delivered-To: r2@mx.test'* ]]
	logged 'to=r1@mx.test'
}

@test "texts of replies: several lines, percent signs, the wrong class, none" {
	local -A texts=(
		['550-5.7.1 one\r\n550 5.7.1 two']=$'550-5.7.1 one\n550 5.7.1 two'
		['550 5.7.1 100%% spam']='550 5.7.1 100% spam'
		['451 5.7.1 later']='451 4.7.1 later'
		['571 no status']='571 5.7.1 no status'
		['450']='450 4.7.1 '
	)
	local text rules

	rules=("${!texts[@]}")
	filtering "${rules[@]/#/end y:}"
	smtp -o spool="$SPOOL" -o milter="$MILTER" \
	    < <(messages_of "${#texts[@]}")
	for text in "${texts[@]}"; do
		said "$text"
	done
}

@test "accepted at a step: nothing more is asked about it" {
	local step all="header header header header eoh body"

	filtering 'mail a' 'mail c' 'rcpt a' 'rcpt c' 'data a' 'data c' \
	    'header a' 'header c' 'eoh a' 'eoh c' 'body a'
	smtp -o spool="$SPOOL" -o milter="$MILTER" < <(messages_of 6)
	messages 6
	told options connect helo mail abort mail rcpt abort \
	    mail rcpt data abort mail rcpt data header abort \
	    mail rcpt data ${all% body} abort mail rcpt data $all abort quit
}

@test "a client that is accepted: no more of its messages is asked about" {
	local step

	for step in connect helo; do
		filtering "$step a"
		twice
		wait_for grep -q ^quit "$ASKED"
		not_asked 'mail <'
		[[ $(grep -c ^connect "$ASKED") == 1 ]] || fail 'asked again'
	done
	messages 4
}

@test "discarded at each step: 250, thrown away, and logged as that" {
	judged d
	[[ $(grep -c '^250 2.0.0 Message accepted' <<<"$output") == 7 ]]
	[[ $(grep -c 'event=message status=discarded' "$LOG") == 7 ]]
	not_logged status=accepted
}

@test "4 is 421, and the end of the session" {
	filtering 'rcpt 4'
	mail
	said '421 4.7.0 '
	[[ ${lines[-1]} == '421 4.7.0 '* ]] || fail 'it goes on'
	messages 0
}

@test "the rest of the body can be skipped" {
	local body

	body=$(printf '%0.1s' {1..9999}{1..30})
	MESSAGE=$'Subject: x\n\n'$(fold -w 70 <<<"$body")
	filtering 'options 0x31 0x400' 'body s'
	mail
	[[ $(grep -c '^body' "$ASKED") == 1 ]] || fail "$(grep ^body "$ASKED")"
	messages 1
	filtering 'body s'
	mail
	said '451 4.3.5 '
}

@test "the body comes whole, with CRLF, in pieces of at most 65535" {
	local set n

	MESSAGE=$'Subject: x\n\n'$(seq 1 60000)
	for set in lf crlf; do
		filtering
		mail -o newline=$set
		replies 220 250 250 250 250 354 250 221
		seq 1 60000 | sed 's/$/\r/' | cmp - "$ASKED.body"
		while read -r _ n; do
			((n <= 65535)) || fail "$n octets in a piece"
		done < <(grep ^body "$ASKED")
		(($(grep -c ^body "$ASKED") < 12)) || fail 'in small pieces'
	done
}

# edited ANSWERS [ARGUMENT ...]: the message after these; see kept.
edited() {
	rm -rf "$SPOOL"
	filtering "end $1"
	mail "${@:2}"
	replies 220 250 250 250 250 354 250 221
	KEPT=$(message | sed 's/^\(Received: \).*/\1/; /^\t/d')
}

# kept PATTERN: all that is left, without what Received has.
kept() {
	# shellcheck disable=SC2053 # a pattern
	[[ $KEPT == $1 ]] || fail "$KEPT"
}

TOP='Return-Path: <a@client.test>
Delivered-To: r1@mx.test
Delivered-To: r2@mx.test'
REST=$'\ntext\nmore'
FROM='From: <a@client.test>'
TO='To: <r1@mx.test>'
SUBJECT=$'Subject: one\n two'

@test "fields inserted: 0 is above our Received, 1 below, too many is the end" {
	edited 'i:0:X-B:0 | c'
	kept "$TOP
X-B: 0
Received: 
$FROM*"
	edited 'i:1:X-B:1 | i:2:X-C:2 | c'
	kept "$TOP
Received: 
X-B: 1
X-C: 2
$FROM
$TO
$SUBJECT
X-A:no blank
$REST"
	edited 'i:0:X-B:0 | i:0:X-C:1 | i:2:X-D:2 | c'
	kept "$TOP
X-C: 1
X-B: 0
X-D: 2
Received: 
$FROM*"
	edited 'i:99:X-B:99 | c'
	kept $'*\nX-A:no blank\nX-B: 99\n\ntext*'
}

# prepending LINE: a policy server that puts it on top of each message.
prepending() {
	printf '%s\n' '#!/bin/bash' 'while read -r line; do' \
	    '[[ -n $line ]] ||' "printf 'action=PREPEND %s\\n\\n' '$1'" done \
	    >"$BATS_TEST_TMPDIR/policy"
	chmod +x "$BATS_TEST_TMPDIR/policy"
	PREPEND=(-o policy="exec:$BATS_TEST_TMPDIR/policy")
}

@test "lines of policy: below fields inserted, above Received, told to filters" {
	prepending 'X-Policy: p'
	edited 'i:0:X-B:0 | i:0:X-C:1 | h:X-D:2 | c' "${PREPEND[@]}"
	# One for each recipient that was asked about.
	kept "$TOP
X-C: 1
X-B: 0
X-Policy: p
X-Policy: p
Received: 
$FROM
$TO
$SUBJECT
X-A:no blank
X-D: 2
$REST"
	[[ $(grep -m 3 '^header' "$ASKED") == 'header X-Policy p
header X-Policy p
header From <a@client.test>' ]] || fail "$(<"$ASKED")"
	edited 'm:2:X-Policy:changed | m:1:X-Policy: | c' "${PREPEND[@]}"
	kept "$TOP
X-Policy: changed
Received: 
$FROM*"
}

@test "fields added, changed, deleted" {
	edited 'h:X-B:b | c'
	kept $'*\nX-A:no blank\nX-B: b\n\ntext*'
	edited 'm:1:subject:new | c'
	kept $'*\nTo: <r1@mx.test>\nsubject: new\nX-A:no blank\n*'
	edited 'm:0:To:new | c'
	kept $'*\nTo: new\nSubject: one\n*'
	edited 'm:1:To: | m:1:X-A: | m:7:Nothing: | c'
	kept "$TOP
Received: 
$FROM
$SUBJECT
$REST"
	edited 'm:1:X-New:added | c'
	kept $'*\nX-A:no blank\nX-New: added\n\n*'
}

@test "numbers are those of what the filter was told, whatever it deleted" {
	local i

	MESSAGE=$(printf 'A: %d\n' 1 2 3 4)$'\nB: x\n\ntext'
	for i in 'm:1:A: | m:3:a: | m:4:A:new | c' \
	    'm:4:A:new | m:3:A: | m:1:A: | c'; do
		edited "$i"
		kept $'*\nReceived: \nA: 2\nA: new\nB: x\n*'
	done
}

@test "our own Received is not a filter's to change" {
	MESSAGE=$'Received: theirs\nSubject: x\n\ntext'
	edited 'm:1:Received: | c'
	kept "$TOP
Received: 
Subject: x
*"
}

@test "what a value holds: folded, with CRLF, a line that would be a field" {
	edited 'h:A:one\n two\r\n\tthree | h:B:x\nFrom: y\n\nz\n | c'
	[[ $(message) == *$'\nA: one\n two\n\tthree\nB: x\n\tFrom: y\n\t\n\tz\n\ntext'* ]] ||
		fail "$(message)"
	edited 'h:A:\x01\x7f\r8 bit \xc3\xbc | c'
	[[ $(message) == *$'\nA: ???8 bit \xc3\xbc\n\n'* ]] || fail "$(message)"
}

@test "edits of a message kept with CRLF have CRLF" {
	edited 'i:0:X-B:1\n 2 | h:X-C:3 | c' -o newline=crlf
	[[ $(message | grep -c $'\r$') == $(message | wc -l) ]] ||
		fail "$(message)"
	[[ $(message) == *$'X-B: 1\r\n 2\r\nReceived: '* ]]
	[[ $(message) == *$'X-C: 3\r\n\r\ntext\r'* ]]
}

@test "a BINARYMIME message is passed on and kept as sent" {
	filtering 'end h:X-B:1 | c'
	smtp_raw -o spool="$SPOOL" -o milter="$MILTER" < <(
		printf '%s\r\n' 'EHLO client.test' \
		    'MAIL FROM:<a@client.test> BODY=BINARYMIME' \
		    'RCPT TO:<r1@mx.test>' 'BDAT 21 LAST'
		printf 'A: b\r\n\r\n\1a\nb\rc\0d\xff\r\n\r\n'
		printf 'QUIT\r\n'
	)
	replies 220 250 250 250 250 221
	printf '\1a\nb\rc\0d\xff\r\n\r\n' | cmp - "$ASKED.body"
	tail -c 29 "$SPOOL"/new/* |
	    cmp - <(printf 'A: b\r\nX-B: 1\r\n\r\n\1a\nb\rc\0d\xff\r\n\r\n')
}

@test "a bare line end in the header of one: 554, since who knows what it is" {
	filtering
	smtp_raw -o spool="$SPOOL" -o milter="$MILTER" < <(
		printf '%s\r\n' 'EHLO client.test' \
		    'MAIL FROM:<a@client.test> BODY=BINARYMIME' \
		    'RCPT TO:<r1@mx.test>' 'BDAT 13 LAST'
		printf 'A: b\nB: c\r\n\r\n'
		printf 'QUIT\r\n'
	)
	said '554 5.6.0 Bare CR, LF or NUL in the header'
	messages 0
}

@test "several filters: each sees what those before it have changed" {
	local first second

	filtering 'end i:0:X-One:1 | m:1:To: | h:X-Two:2 | c'
	first=$MILTER
	filtering 'end m:1:X-One:changed | i:0:X-Three:3 | c'
	second=$MILTER
	mail -o milter= -o milter="$first" -o milter="$second"
	replies 220 250 250 250 250 354 250 221
	[[ $(sed -n 's/^header //p' "$ASKED") == 'X-One 1
From <a@client.test>
Subject one\n two
X-A no blank
X-Two 2' ]] || fail "$(<"$ASKED")"
	[[ $(message) == *$'\nX-Three: 3\nX-One: changed\nReceived: '* ]]
	not_logged event=error
}

@test "the first that refuses ends the step" {
	local first

	filtering 'rcpt r'
	first=$MILTER
	filtering
	mail -o milter= -o milter="$first" -o milter="$MILTER"
	not_asked 'rcpt <r1@mx.test>'
	asked 'mail <a@client.test>'
}

@test "a message without an edit is the file it was written to" {
	filtering
	mail
	[[ $(message) == *"$MESSAGE" ]] || fail "$(message)"
}

@test "an edit that can't be written is 452 or 451, and nothing is kept" {
	local code rule

	while read -r code rule; do
		failing "$rule"
		filtering 'end i:0:X-B:0 | c'
		mail
		replies 220 250 250 250 250 354 "$code" 221 || return
		messages 0
		logged 'status=deferred'
	done <<-'END'
		452 unnamed:ENOSPC:2
		451 unnamed:EIO:2
		452 write:ENOSPC:1
		452 write:ENOSPC:2
		452 copy_file_range:ENOSPC:1
	END
	# Where the kernel can't copy, we do.
	failing copy_file_range:ENOSYS:0
	edited 'i:0:X-B:0 | c'
	kept "$TOP
X-B: 0
Received: 
$FROM*"
}

@test "quarantine is a line on top, with the reason, or 554" {
	filtering 'end q:looks\nodd | c'
	mail
	[[ $(message) == *$'\nQuarantine: looks\n\todd\nReceived: '* ]] ||
		fail "$(message)"
	logged 'status=quarantine'
	filtering 'end q:looks odd | c'
	mail -o milter-quarantine=refuse
	said '554 5.7.1 Put in quarantine by a mail filter'
	messages 1
}

@test "a program gets the message as changed, for each recipient" {
	local i

	printf '#!/bin/sh\ncat >"%s/$RECIPIENT"\necho "$MESSAGE_SIZE" >>"%s/sizes"\n' \
	    "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR" >"$BATS_TEST_TMPDIR/take"
	chmod +x "$BATS_TEST_TMPDIR/take"
	for i in smtp lmtp; do
		filtering 'end i:0:X-B:0 | m:1:To: | c'
		rm -f "$BATS_TEST_TMPDIR"/{sizes,r?@mx.test}
		smtp -o exec="$BATS_TEST_TMPDIR/take {recipient}" \
		    -o milter="$MILTER" -o protocol=$i <<-END
			$([[ $i == smtp ]] && echo EHLO || echo LHLO) x.test
			MAIL FROM:<a@client.test>
			RCPT TO:<r1@mx.test>
			RCPT TO:<r2@mx.test>
			DATA
			$MESSAGE
			.
			QUIT
		END
		for n in 1 2; do
			[[ $(<"$BATS_TEST_TMPDIR/r$n@mx.test") == \
			    "Return-Path: <a@client.test>
Delivered-To: r$n@mx.test
X-B: 0
Received: "*"for <r$n@mx.test>"*"
$FROM
$SUBJECT
X-A:no blank
$REST" ]] || fail "$(<"$BATS_TEST_TMPDIR/r$n@mx.test")"
			[[ $(sed -n ${n}p "$BATS_TEST_TMPDIR/sizes") == \
			    $(wc -c <"$BATS_TEST_TMPDIR/r$n@mx.test") ]]
		done
		[[ $(grep -c '^end' "$ASKED") == 1 ]] || fail 'asked again'
	done
}

@test "LMTP: a refusal at the end is each recipient's" {
	filtering 'end r'
	smtp -o spool="$SPOOL" -o milter="$MILTER" -o protocol=lmtp <<-END
		LHLO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		RCPT TO:<r2@mx.test>
		DATA
		$MESSAGE
		.
		QUIT
	END
	replies 220 250 250 250 250 354 550 550 221
}

@test "RSET is ABORT, and the connection is kept for the next message" {
	filtering
	twice
	replies 220 250 250 250 354 250 250 250 250 354 250 250 221
	[[ $(grep -c '^-- ' "$ASKED") == 1 ]] || fail 'another connection'
	[[ $(grep -c ^connect "$ASKED") == 1 ]] || fail 'greeted again'
	not_asked abort
	smtp -o spool="$SPOOL" -o milter="$MILTER" <<-'END'
		EHLO client.test
		MAIL FROM:<a@client.test>
		RSET
		MAIL FROM:<b@client.test>
		QUIT
	END
	told $(steps | sed 's/options.*options/options/') || true
	asked abort
}

@test "another EHLO: the filter gets to know the client anew" {
	filtering
	smtp -o spool="$SPOOL" -o milter="$MILTER" <<-'END'
		EHLO client.test
		MAIL FROM:<a@client.test>
		EHLO other.test
		MAIL FROM:<a@client.test>
		QUIT
	END
	[[ $(grep -c '^-- ' "$ASKED") == 2 ]] || fail 'not anew'
	asked 'helo other.test'
}

# after_starttls [ARGUMENT ...]: a MAIL in clear, and one inside TLS.
after_starttls() {
	serve -o spool="$SPOOL" -o milter="$MILTER" \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key" "$@"
	talk -cert "$CERTS/client.pem" -key "$CERTS/client.key" <<-'END'
		< 220
		> EHLO client.test
		< 250
		> MAIL FROM:<a@client.test>
		< 250
		> RSET
		< 250
		> STARTTLS
		< 220
		tls
		> EHLO client.test
		< 250
		> MAIL FROM:<a@client.test>
		< 250
		> QUIT
		< 221
		eof
	END
	wait_for grep -q '^quit' "$ASKED"
	(($(grep -c '^connect' "$ASKED") == 2))
	# Only the second connection has them, and it has them once.
	awk '/^-- /{ n++ } n == 2' "$ASKED" >"$ASKED.tls"
	(($(grep -c tls_version "$ASKED") == 1))
}

TLS_MACROS='{tls_version}=TLSv1.3 {cipher}=TLS_AES_128_GCM_SHA256 '
TLS_MACROS+='{cipher_bits}=128'
CERT_MACROS='{cert_subject}=CN=client.test {cert_issuer}=Test CA'

@test "after STARTTLS: anew, with the macros of TLS" {
	certs
	filtering
	after_starttls
	ASKED=$ASKED.tls
	asked "macros helo $TLS_MACROS"
}

@test "a client's certificate is told, if it is verified" {
	certs
	filtering
	after_starttls -o tls-client-ca="$CERTS/ca.pem"
	ASKED=$ASKED.tls
	asked "macros helo $TLS_MACROS $CERT_MACROS"
	filtering
	after_starttls -o tls-client-ca="$CERTS/other.pem"
	ASKED=$ASKED.tls
	not_asked cert_subject
}

@test "who logs in is told at each MAIL from then on" {
	filtering
	smtp -o spool="$SPOOL" -o milter="$MILTER" -o auth-any=yes \
	    -o auth-cleartext=yes <<-END
		EHLO client.test
		MAIL FROM:<a@client.test>
		RSET
		AUTH PLAIN $(plain me secret)
		MAIL FROM:<b@client.test>
		RSET
		MAIL FROM:<c@client.test>
		QUIT
	END
	told $(echo options connect helo mail abort mail abort mail abort quit)
	[[ $(sed -n 's/^macros mail i=[^ ]* //p' "$ASKED") == \
	    '{mail_addr}=a@client.test
{mail_addr}=b@client.test {auth_authen}=me {auth_type}=PLAIN
{mail_addr}=c@client.test {auth_authen}=me {auth_type}=PLAIN' ]] ||
		fail "$(<"$ASKED")"
	not_asked secret
}

@test "LMTP: a reply for each recipient that was not refused" {
	filtering 'rcpt c' 'rcpt y:550 5.1.1 not r2' 'rcpt c' \
	    'end y:451 4.7.1 later'
	smtp -o spool="$SPOOL" -o milter="$MILTER" -o protocol=lmtp <<-END
		LHLO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<r1@mx.test>
		RCPT TO:<r2@mx.test>
		RCPT TO:<r3@mx.test>
		DATA
		$MESSAGE
		.
		MAIL FROM:<a@client.test>
		QUIT
	END
	replies 220 250 250 250 550 250 354 451 451 250 221
	said '550 5.1.1 not r2'
	(($(grep -c '^451 4.7.1 later' <<<"$output") == 2))
	(($(grep -c '^end' "$ASKED") == 1))
	messages 0
}

@test "a client that says no MAIL costs no connection" {
	filtering
	smtp -o spool="$SPOOL" -o milter="$MILTER" <<<$'EHLO x.test\nQUIT'
	replies 220 250 221
	[[ ! -s $ASKED ]] || fail "$(<"$ASKED")"
}

# Failures.

# hostile STEP ANSWER ... [-- ARGUMENT ...]: a message for each of them.  All are
# deferred, or with milter-fail = accept kept, unchanged; nothing else happens.
hostile() {
	local step=$1 answers=() n file

	shift
	for (( ; $# > 0; )); do
		[[ $1 != -- ]] || break
		answers+=("$step $1")
		shift
	done
	n=${#answers[@]}
	(($# == 0)) || shift
	rm -rf "$SPOOL"
	filtering "${answers[@]}"
	: >"$LOG"
	smtp -o spool="$SPOOL" -o milter="$MILTER" -o max-errors=0 \
	    -o max-junk=0 -o max-messages=0 "$@" < <(messages_of "$n")
	[[ $(grep -c '^451 4.3.5 Mail filter trouble' <<<"$output") == "$n" ]] ||
		fail "$step: not $n messages deferred"
	[[ $(grep -c 'event=error what=milter' "$LOG") == "$n" ]] ||
		fail "$step: not $n lines in the log"
	messages 0
	filtering "${answers[@]}"
	smtp -o spool="$SPOOL" -o milter="$MILTER" -o max-junk=0 \
	    -o milter-fail=accept -o max-messages=0 "$@" < <(messages_of "$n")
	messages "$n"
	for file in "$SPOOL"/new/*; do
		[[ $(<"$file") == *$'\n'"$MESSAGE" ]] ||
			fail "$step: $(<"$file")"
	done
}

BAD=(
	'raw=\0\0\0\0'			# empty
	'raw=\xff\xff\xff\xffc'		# too long
	'raw=\0\1\0\1c'			# too long by one
	'raw=\0\0 | close'		# cut in the length
	'raw=\0\0\0\2c | close'		# cut in the data
	'raw=\0\0\0\1c\0\0\0\1c'	# one too many
	'c=x'				# with data
	'X=' 'f' 'O=' 'b=x' '+=x\0' 'e=<x>\0'	# not known, not offered
	'y=550 5.7.1 x' 'y=' 'y:x' 'y:250 ok' 'y:600 x'	# a reply code
	'close'
)
EDITS=(h:A:b i:0:A:b m:1:A:b q:x)

@test "hostile: each bad answer at connect and HELO" {
	hostile connect "${BAD[@]}" "${EDITS[@]}" s d
	hostile helo "${BAD[@]}" "${EDITS[@]}" s d
}

@test "hostile: each bad answer at MAIL, RCPT, DATA" {
	hostile mail "${BAD[@]}" "${EDITS[@]}" s
	hostile rcpt "${BAD[@]}" "${EDITS[@]}" s
	hostile data "${BAD[@]}" "${EDITS[@]}" s
}

@test "hostile: each bad answer to the header and the body" {
	hostile header "${BAD[@]}" "${EDITS[@]}" s
	hostile eoh "${BAD[@]}" "${EDITS[@]}" s
	hostile body "${BAD[@]}" "${EDITS[@]}" s
}

@test "hostile: each bad answer at the end, with and without edits before" {
	hostile end "${BAD[@]}" s
	hostile end "${BAD[@]/#/i:0:X-B:0 | m:1:To: | h:X-C:c | q:x | }"
}

@test "hostile: malformed edits" {
	hostile end 'h=' 'h=A' 'h=A\0' 'h=A\0b' 'h=A\0b\0c' 'h=\0b\0' \
	    'h=A B\0c\0' 'h=A:\0c\0' 'h=A\nB\0c\0' 'h=\xc3\xbc\0c\0' \
	    'i=\0\0' 'i=\0\0\0\0A' 'i=\0\0\0\0A\0b' 'm=\0\0\0\1' \
	    'm=\0\0\0\1A\0b\0c\0' 'q=' 'q=x' 'q=x\0y\0' \
	    'h:A:b | raw=\0\0\0\1cc'
}

@test "hostile: the negotiation" {
	hostile options close 'O=' 'O=\0\0\0\6\0\0\0\0' '0 0x800' \
	    '0 0x80000000' '0 0 7' '0 0 1' '0 0 0' 'raw=\0\1\0\1O' \
	    'O=\0\0\0\6\0\0\0\0\0\0\0\0 | c' 'raw=c' c r -- -o timeout=3
}

@test "hostile: late at each step, and at the end after edits" {
	local step

	filtering 'options wait' 'options 0x31' 'connect wait' 'connect c' \
	    'body wait' 'body c' 'end h:X-B:b | wait'
	smtp -o spool="$SPOOL" -o milter="$MILTER" -o max-errors=0 \
	    -o max-junk=0 -o timeout=1 < <(messages_of 4)
	[[ $(grep -c '^451 4.3.5 Mail filter trouble' <<<"$output") == 4 ]]
	[[ $(grep -c 'milter.*Connection timed out' "$LOG") == 4 ]]
	messages 0
	hostile end 'h:X-B:b | wait' -- -o timeout=1
}

@test "progress puts the time off, but not past the session's end" {
	filtering 'end p | p | c'
	mail
	replies 220 250 250 250 250 354 250 221
	messages 1
}

@test "hostile: too many edits, and too much of them" {
	local many

	many=$(printf 'h:X:y | %.0s' {1..1000})
	filtering "end ${many}c"
	mail
	replies 220 250 250 250 250 354 250 221
	hostile end "${many}h:X:y | c"
	logged 'too many edits'
	many=$(printf "h:X:$(printf '%065000d' 0) | %.0s" {1..65})
	hostile end "${many}c"
	logged 'edits of too much'
}

@test "a failure is over with its message: the next one is another connection" {
	filtering 'end close' 'end c'
	twice
	replies 220 250 250 250 354 451 250 250 250 354 250 250 221
	messages 1
	[[ $(grep -c '^-- ' "$ASKED") == 2 ]]
}

@test "a connection that the filter has closed meanwhile is replaced" {
	filtering 'end c | close' 'end c'
	twice
	replies 220 250 250 250 354 250 250 250 250 354 250 250 221
	messages 2
	not_logged event=error
}

@test "a filter that is not there: 451, or with accept as if it were not set" {
	MILTER=unix:$BATS_TEST_TMPDIR/none
	mail -o max-errors=0
	said '451 4.3.5 Mail filter trouble'
	messages 0
	mail -o milter-fail=accept
	replies 220 250 250 250 250 354 250 221
	messages 1
}

@test "one that fails does not spoil what the other has changed" {
	local first

	filtering 'end h:X-B:kept | c'
	first=$MILTER
	filtering 'end h:X-C:lost | m:1:X-B: | close'
	mail -o milter= -o milter="$first" -o milter="$MILTER" \
	    -o milter-fail=accept
	replies 220 250 250 250 250 354 250 221
	[[ $(message) == *$'\nX-B: kept\n\ntext'* ]] || fail "$(message)"
}

# fields N [TEXT]: a header of so many.
fields() {
	MESSAGE=$(yes "X-Line: ${2-}" | head -n "$1")$'\n\ntext'
}

@test "a header of more than 1 MiB, or a field of more than a packet, is 552" {
	local MESSAGE line

	printf -v line %01080d 0
	filtering
	fields 980 "$line"
	mail
	said '552 5.3.4 Header too large for the mail filters'
	filtering
	MESSAGE=$(echo 'X-Long:'; yes ' 0123456789012345678901234567890123456' |
	    head -n 1800)$'\n\ntext'
	mail
	said '552 5.3.4 Header field too large for the mail filters'
	messages 0
	# As large as may be.
	filtering
	fields 960 "$line"
	mail
	replies 220 250 250 250 250 354 250 221
	[[ $(grep -c ^header "$ASKED") == 960 ]]
}

@test "a header of more than 1000 fields, each a question to a filter, is 552" {
	local MESSAGE

	filtering
	fields 1001
	mail
	said '552 5.3.4 Header too large for the mail filters'
	fields 1000
	mail
	replies 220 250 250 250 250 354 250 221
}

@test "a line that is not a field ends the header, and gets a blank line before it" {
	MESSAGE=$'Subject: x\nno field here\nAuthentication-Results: forged\n\ny'
	filtering
	mail
	[[ $(grep -c ^header "$ASKED") == 1 ]]
	[[ $(<"$ASKED.body") == 'no field here'* ]]
	[[ $(message) == *$'\nSubject: x\n\nno field here\nAuth'* ]] ||
		fail "$(message)"
}

@test "messages without a header, a body, or anything" {
	for MESSAGE in $'\nbody' 'Subject: x' ''; do
		rm -rf "$SPOOL"
		filtering 'end h:X-B:b | c'
		mail
		replies 220 250 250 250 250 354 250 221
		[[ $(message) == *$'\nX-B: b'* ]] || fail "$(message)"
		not_logged event=error
	done
}

@test "by TCP" {
	printf '%s\n' 'end h:X-B:b | c' >"$BATS_TEST_TMPDIR/rules"
	ASKED=$BATS_TEST_TMPDIR/asked
	serve_with "$PYTHON" "$ROOT/t/milterserver.py" inet:0 \
	    "$BATS_TEST_TMPDIR/rules" "$ASKED"
	MILTER=inet:127.0.0.1:$PORT mail
	replies 220 250 250 250 250 354 250 221
	[[ $(message) == *$'\nX-B: b\n'* ]]
}

@test "-t asks each whether it can be reached and negotiates" {
	local good

	mkdir "$SPOOL"
	filtering
	good=$MILTER
	run "$SMTPD" -t -o hostname=mx.test -o spool="$SPOOL" -o milter="$good"
	[[ $status == 0 ]] || fail "$output"
	filtering 'options 0 0 1'
	run "$SMTPD" -t -o hostname=mx.test -o spool="$SPOOL" -o milter="$good" \
	    -o milter="$MILTER" -o milter=unix:/nonexistent
	[[ $status == 78 ]]
	[[ $output == *"milter: $MILTER: a version that was not offered"* ]]
	[[ $output == *'milter: unix:/nonexistent: No such file'* ]]
	[[ $output != *"$good"* ]]
}

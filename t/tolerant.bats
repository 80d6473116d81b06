# SPDX-License-Identifier: ISC
# What syntax = tolerant and stray-newline = accept, the defaults, let in; that
# it can't be taken for something else where it is written; and what stays out.

load lib
load table
load deliver

repeat() {
	printf "%0$2d" 0 | sed "s/0/$1/g"
}

# as WHAT [OPTION ...]: stdin's lines "CODE ARGUMENT" as commands, each with
# RSET behind it.
as() {
	local before=$1 line

	shift
	{
		echo '250|EHLO client.test'
		while IFS= read -r line; do
			echo "${line::3}|$before${line:4}"
			echo '250|RSET'
		done
		echo '221|QUIT'
	} >"$BATS_TEST_TMPDIR/table"
	table "$@" <"$BATS_TEST_TMPDIR/table"
}

# taken FROM TO: what MAIL and RCPT say, and what of it is kept.
taken() {
	rm -rf "$SPOOL"
	table -o spool="$SPOOL" <<-END
		250|EHLO client.test
		250|MAIL FROM:$1
		250|RCPT TO:$2
		354|DATA
		250|.
		221|QUIT
	END
	[[ $(message) == "Return-Path: <$3>"$'\n'"Delivered-To: $4"$'\n'* ]] ||
		fail "$1 $2: $(message)"
}

# transcript: lines "> " to send and "< " codes to be answered, as talk's.
transcript() {
	"$TOOLS/talk" -log "$LOG" -- "$SMTPD" -o hostname=mx.test \
	    -o spool="$SPOOL" "$@" >"$BATS_TEST_TMPDIR/talk" 2>&1 || {
		cat "$BATS_TEST_TMPDIR/talk"
		fail transcript
	}
}

# Who sends what.

@test "Windows Mail: AUTH PLAIN and two blanks" {
	table -o spool="$SPOOL" -o auth-any=yes -o auth-cleartext=yes <<-'END'
		250|EHLO [192.168.0.2]
		235|AUTH PLAIN  AGJvYgBzZWNyZXQ=
		250|MAIL FROM: <a@b.example>
		250|RCPT TO: <u@mx.test>
		221|QUIT
	END
}

@test "Outlook: MAIL FROM: <> and RCPT TO: <u@mx.test>" {
	taken ' <>' ' <u@mx.test>' '' u@mx.test
	taken ' <a@b.example> SIZE=100' ' <u@mx.test>' a@b.example u@mx.test
	taken '\t<a@b.example>' '  <u@mx.test>\t' a@b.example u@mx.test
}

@test "Windows PCs: underscores, Cyrillic, dots, zones and ports in EHLO" {
	table <<-'END'
		250|EHLO DESKTOP_A
		250|EHLO \xd0\x9f\xd0\x9a
		250|EHLO client.example.
		250|EHLO fe80::1c2d:3e4f%12
		250|EHLO client.example:25
		250|EHLO name-.domain
		221|QUIT
	END
}

@test "HP iLO, docomo: dots in the local part" {
	taken '<local.@host.example>' '<.a..b.@mx.test>' local.@host.example \
	    .a..b.@mx.test
}

@test "LSI MegaRAID, telnet: no brackets" {
	taken a@b.example u@mx.test a@b.example u@mx.test
	taken ' a@b.example SIZE=100' ' u@mx.test' a@b.example u@mx.test
	taken ' "a b"@b.example' postmaster '"a b"@b.example' postmaster
}

@test "Microsoft 365, Stalwart: DSN and AUTH=<> though not offered" {
	table -o spool="$SPOOL" <<-'END'
		250|EHLO client.test
		250|MAIL FROM:<a@b.example> SIZE=10 AUTH=<> RET=HDRS ENVID=a+2bb
		250|RCPT TO:<u@mx.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;u@mx.test
		354|DATA
		250|.
		221|QUIT
	END
	! message | grep -i dsn || fail
}

@test "IP cameras: EHLO, HELO, AUTH LOGIN" {
	table -o spool="$SPOOL" -o auth-any=yes -o auth-cleartext=yes <<-'END'
		250|EHLO camera
		250|HELO camera
		334|AUTH LOGIN
		334|Ym9i
		235|c2VjcmV0
		250|MAIL FROM:<camera>
		250|RCPT TO:<u@mx.test>
		354|DATA
		250|.
		221|QUIT
	END
	[[ $(message) == 'Return-Path: <camera@mx.test>'* ]]
	logged 'event=auth status=ok mechanism=LOGIN user=bob'
}

@test "cameras, printers: STARTTLS after HELO, and before any greeting" {
	certs
	local hello

	for hello in '> EHLO camera|< 250|> HELO camera|< 250|' \
	    '> HELO camera|< 250|' ''; do
		rm -rf "$SPOOL"
		transcript -o tls-cert="$CERTS/ec.pem" \
		    -o tls-key="$CERTS/ec.key" < <(tr '|' '\n' <<-END
			< 220|$hello> STARTTLS|< 220|tls|> MAIL FROM:<a@b>
			< 503|> HELO camera|< 250|> STARTTLS|< 503
			> MAIL FROM:<a@b> BODY=8BITMIME|< 250|> RCPT TO:<b@mx.test>
			< 250|> DATA|< 354|> .|< 250|> QUIT|< 221
		END
		) || return
		messages 1
	done
}

@test "STARTTLS before any greeting, and no TLS: it's still no greeting" {
	transcript -o tls-cert="$BATS_TEST_TMPDIR/none" <<-'END'
		< 220
		> STARTTLS
		< 454
		> MAIL FROM:<a@b>
		< 503
		> QUIT
		< 221
	END
}

@test "Python's sendmail(msg.as_bytes()), curl -T: LF in the body" {
	printf '%s\r\n' 'EHLO client.test' 'MAIL FROM:<a@b>' \
	    'RCPT TO:<u@mx.test>' DATA >"$BATS_TEST_TMPDIR/in"
	printf 'Subject: x\n\none\n..two\n.\nthree\r\n.\r\nQUIT\r\n' \
	    >>"$BATS_TEST_TMPDIR/in"
	smtp_raw -o spool="$SPOOL" <"$BATS_TEST_TMPDIR/in"
	replies 220 250 250 250 354 250 221
	[[ $(message) == *$'\nSubject: x\n\none\n..two\n.\nthree' ]] ||
		fail "$(message)"
}

@test "X.400 gateways: small letters in xtext" {
	table -o spool="$SPOOL" -o dsn=yes <<-'END'
		250|EHLO client.test
		250|MAIL FROM:<a@b> ENVID=a+2bb+3d
		501|RCPT TO:<u@mx.test> ORCPT=rfc822;u+0a@mx.test
		501|RCPT TO:<u@mx.test> ORCPT=rfc822;u+00@mx.test
		501|RCPT TO:<u@mx.test> ORCPT=rfc822;u=v@mx.test
		501|RCPT TO:<u@mx.test> ORCPT=rfc822;u+4@mx.test
		250|RCPT TO:<u@mx.test> ORCPT=rfc822;u+40mx.test ORCPT=rfc822;u+7ev
		354|DATA
		250|.
		221|QUIT
	END
	message | grep -qx 'Original-Envelope-Id: a+2bb+3d'
	message | grep -qx 'Original-Recipient: rfc822;u+7ev'
}

# The grammar.

@test "any name in HELO, EHLO and LHLO that has a length" {
	local verb protocol

	for verb in HELO EHLO LHLO; do
		protocol=smtp
		[[ $verb != LHLO ]] || protocol=lmtp
		table -o protocol=$protocol <<-END
			250|$verb my_host
			250|$verb localhost.
			250|$verb .
			250|$verb .a
			250|$verb -
			250|$verb 192.168.1.5]
			250|$verb [
			250|$verb [2001:db8::1]
			250|$verb [IPv6:fe80::1%eth0]
			250|$verb [300.0.0.1]
			250|$verb foo bar
			250|$verb PhpStorm 9.0.3
			250|$verb DESKTOP-A(1)
			250|$verb host-
			250|$verb -host
			250|$verb a..b
			250|$verb a@b
			250|$verb \\xc3\\xbcber.example
			250|$verb \\xfcber.example
			250|$verb http://client.example
			250|$verb <client.example>
			250|$verb "client.example"
			250|$verb *
			250|$verb \$(id)
			250|$verb $(repeat a 64)
			250|$verb $(repeat a 255)
			501 5.5.4|$verb $(repeat a 256)
			501 5.5.4|$verb $(repeat a 300)
			250|$verb   client.example
			250|$verb\tclient.example\t
			250|$verb \t client.example \t
			501 5.5.4|$verb
			501 5.5.4|$verb 
			501 5.5.4|$verb \t
			501 5.5.2|$verb a\\0
			501 5.5.2|$verb a\\010
			221|QUIT
		END
	done
}

@test "blanks and tabs, wherever nothing is made of them" {
	as 'MAIL' <<-'END'
		250   FROM:<a@b.example>
		250 \tFROM:<a@b.example>
		250  FROM:  <a@b.example>
		250  FROM: \t <a@b.example>  SIZE=10
		250  FROM:<a@b.example>\tSIZE=10\t BODY=8BITMIME \t
		250  FROM:< a@b.example>
		250  FROM:<a@b.example\t>
		250  FROM:< \ta@b.example >
		250  FROM:< >
		250  FROM: a@b.example
		250  FROM :<a@b.example>
		250  from:\ta@b.example\tsize=10
	END
	table -o spool="$SPOOL" <<-'END'
		250|EHLO  client\tor test
		501 5.1.7|MAIL FROM:<"a\tb"@c>
		250|MAIL  FROM:<a@b>
		250|RCPT\tTO: \t < u@mx.test > \t
		250|RSET \t
		250|NOOP\t
		250|MAIL FROM:<a@b>
		250|RCPT TO:<u@mx.test>
		250|BDAT\t5\t\nabc
		250|BDAT  5  LAST \t\ndef
		221|QUIT\t
	END
	messages 1
}

@test "RSET, QUIT and DATA with a word more; STARTTLS must be alone" {
	certs
	table -o spool="$SPOOL" -o tls-cert="$CERTS/ec.pem" \
	    -o tls-key="$CERTS/ec.key" <<-'END'
		250|EHLO client.test
		250|RSET now
		501 5.5.4|STARTTLS now
		250|MAIL FROM:<a@b>
		250|RCPT TO:<u@mx.test>
		354|DATA now
		250|.
		221|QUIT now
	END
}

@test "local parts: dots anywhere, and all that can't be taken for an end" {
	as 'MAIL FROM:' <<-'END'
		250 <a.@b.example>
		250 <.a@b.example>
		250 <a..b@b.example>
		250 <...@b.example>
		250 <a(b)@b.example>
		250 <a\\\\b@b.example>
		250 <mailto:a@b.example>
		250 <a,b@b.example>
		250 <a;b@b.example>
		250 <a[1]@b.example>
		250 <@one.test,@two.test:a@b.example>
		250 <one.test:a@b.example>
		501 <@b.example>
		501 <@>
		501 <a@>
		501 <a b@c>
		501 <a@b c>
		501 <a@b@c>
		501 <<a@b>>
		501 <a"b"@c>
		501 <"a"b@c>
		501 <"a@c>
		501 <@one.test:>
		501 <@one.test,:a@b>
	END
}

@test "domains: underscores, hyphens, a dot at the end" {
	as 'MAIL FROM:' <<-END
		250 <u@my_host.example>
		250 <u@_>
		250 <a@-b.example>
		250 <a@b-.example>
		250 <a@b->
		250 <a@b.example.>
		250 <a@[2001:db8::1]>
		250 <a@[fe80::1%eth0]>
		250 <a@[IPv6:fe80::1%eth0]>
		250 <a@[localhost]>
		250 <a@$(repeat a 63)>
		501 <a@$(repeat a 64)>
		501 <$(repeat a 256)@b>
		250 <$(repeat a 255)@b>
		501 <a@b..example>
		501 <a@.b>
		501 <a@[]>
		501 <a@[1.2.3.4>
		501 <a@[1.2.3.4]x>
		501 <a@[1 2]>
		501 <a@b!>
		501 <a@b/c>
		501 <a@b(c)>
	END
}

@test "brackets left out: up to the next blank; a parameter is not an address" {
	as 'MAIL FROM:' <<-'END'
		250 a@b
		250 a@b SIZE=1
		250 a=b@c
		250 scanner
		501
		501 \t
		501 SIZE=1
		501  SIZE=1 BODY=8BITMIME
		501 a=b
		501 <a@b
		501 a@b>
		501 <a@b>x
		501 <a@b>SIZE=1
		501 <a@b>,<c@d>
		501 a@b,c@d
		501 <
		501 >
		501 @
	END
	table <<-'END'
		250|EHLO client.test
		501 5.5.4|MAIL
		501 5.5.4|MAIL FROM
		501 5.5.4|MAIL <a@b>
		501 5.5.4|MAIL a@b
		501 5.5.4|MAIL TO:<a@b>
		501 5.5.4|MAIL FROM<a@b>
		501 5.5.4|MAIL FROM=<a@b>
		221|QUIT
	END
}

@test "no domain: ours, but postmaster stays as it is" {
	taken '<scanner>' '<root>' scanner@mx.test root@mx.test
	taken ' scanner' ' u' scanner@mx.test u@mx.test
	taken '<"a b">' '<@relay.test:u>' '"a b"@mx.test' u@mx.test
	taken '<MAILER-DAEMON>' '<Postmaster>' MAILER-DAEMON@mx.test Postmaster
	taken '<postmaster>' '<postmasters>' postmaster postmasters@mx.test
	taken '<a=b>' '<hostmaster>' a=b@mx.test hostmaster@mx.test
}

@test "what is completed is looked for in recipients, whole" {
	echo u@mx.test >"$BATS_TEST_TMPDIR/list"
	table -o spool="$SPOOL" -o recipients="$BATS_TEST_TMPDIR/list" <<-'END'
		250|EHLO client.test
		250|MAIL FROM:<>
		250|RCPT TO:<u>
		250|RCPT TO:u
		250|RCPT TO:<postmaster>
		550|RCPT TO:<v>
		550|RCPT TO:<u.@mx.test>
		550|RCPT TO:<u@mx.test.>
		221|QUIT
	END
}

@test "a recipient can't pass for several, as sendmail reads its arguments" {
	table <<-'END'
		250|EHLO client.test
		250|MAIL FROM:<a,b@b.example>
		501 5.1.3|RCPT TO:<u,v@mx.test>
		501 5.1.3|RCPT TO:<u+x,v%w.example,u@mx.test>
		501 5.1.3|RCPT TO:u,v@mx.test
		501 5.1.3|RCPT TO:<u;v@mx.test>
		501 5.1.3|RCPT TO:<u(x)@mx.test>
		501 5.1.3|RCPT TO:<u)@mx.test>
		501 5.1.3|RCPT TO:<u[v]@mx.test>
		501 5.1.3|RCPT TO:<mailto:u@mx.test>
		501 5.1.3|RCPT TO:<u\\\\@mx.test>
		501 5.1.3|RCPT TO:<u,v>
		451|RCPT TO:<"u,v"@mx.test>
		451|RCPT TO:<.u..v.@mx.test>
		451|RCPT TO:<@a.test,@b.test:u@mx.test>
		221|QUIT
	END
}

@test "the longest of all: local part and our name" {
	local name

	name=$(repeat h 63).$(repeat h 63).$(repeat h 63).$(repeat h 63)
	smtp -o spool="$SPOOL" -o hostname="$name" <<-END
		EHLO client.test
		MAIL FROM:<$(repeat a 255)>
		RCPT TO:<$(repeat b 255)>
		RCPT TO:<$(repeat b 256)>
		DATA
		.
	END
	replies 220 250 250 250 501 354 250
	message | grep -qx "Return-Path: <$(repeat a 255)@$name>"
	message | grep -qx "Delivered-To: $(repeat b 255)@$name"
}

@test "parameters: SIZE and BODY after HELO, the last of two" {
	table -o spool="$SPOOL" -o max-size=1000 -o mt-priority=yes <<-'END'
		250|HELO client.test
		250|MAIL FROM:<a@b> SIZE=100 BODY=8BITMIME
		250|RSET
		552|MAIL FROM:<a@b> SIZE=100 SIZE=1001
		250|MAIL FROM:<a@b> SIZE=1001 SIZE=100
		250|RSET
		501|MAIL FROM:<a@b> SIZE=1001 SIZE=
		501|MAIL FROM:<a@b> BODY=BINARYMIME
		555|MAIL FROM:<a@b> SMTPUTF8
		555|MAIL FROM:<a@b> MT-PRIORITY=1
		502|BDAT 5\r\nabc
		250|EHLO client.test
		250|MAIL FROM:<a@b> BODY=8BITMIME BODY=7BIT
		250|RSET
		501|MAIL FROM:<a@b> SIZE=10;
		501|MAIL FROM:<a@b> SIZE=1234.5
		501|MAIL FROM:<a@b> SIZE=+1
		501|MAIL FROM:<a@b> SIZE=1=1
		501|MAIL FROM:<a@b> SIZE
		501|MAIL FROM:<a@b> SIZE =1
		501|MAIL FROM:<a@b> SIZE= 1
		501|MAIL FROM:<a@b> BODY=9BIT
		501|MAIL FROM:<a@b> =1
		501|MAIL FROM:<a@b> -x=1
		221|QUIT
	END
}

@test "parameters of others, dropped: RET, ENVID, NOTIFY, ORCPT, AUTH=" {
	table -o spool="$SPOOL" <<-'END'
		250|EHLO client.test
		250|MAIL FROM:<a@b> AUTH=
		250|RSET
		250|MAIL FROM:<a@b> AUTH=a
		250|RSET
		250|MAIL FROM:<a@b> AUTH=<a=b@c>
		250|RSET
		250|MAIL FROM:<a@b> RET=WHAT ENVID=a==
		250|RCPT TO:<u@mx.test> NOTIFY=NEVER
		250|RCPT TO:<u@mx.test> NOTIFY=NEVER NOTIFY= ORCPT=what+
		501|RCPT TO:<u@mx.test> NOTIFY
		501|RCPT TO:<u@mx.test> ORCPT=\xff
		555|RCPT TO:<u@mx.test> RET=FULL
		555|RCPT TO:<u@mx.test> SIZE=1
		250|RSET
		501|MAIL FROM:<a@b> AUTH
		555|MAIL FROM:<a@b> NOTIFY=NEVER
		555|MAIL FROM:<a@b> MT-PRIORITY=1
		555|MAIL FROM:<a@b> X
		555|MAIL FROM:<a@b> FOO=bar
		555|MAIL FROM:<a@b> HOLDFOR=10
		555|MAIL FROM:<a@b> BY=10;R
		555|MAIL FROM:<a@b> REQUIRETLS
		221|QUIT
	END
}

@test "AUTH=, where AUTH is offered: a mailbox is handed on, others are not" {
	printf '#!/bin/sh\nenv >%s\n' "$BATS_TEST_TMPDIR/env" \
	    >"$BATS_TEST_TMPDIR/program"
	chmod +x "$BATS_TEST_TMPDIR/program"
	smtp -o exec="$BATS_TEST_TMPDIR/program" -o auth-any=yes -o auth-cleartext=yes <<-'END'
		EHLO client.test
		AUTH PLAIN AGJvYgBzZWNyZXQ=
		MAIL FROM:<a@b> AUTH=c@d.test AUTH=nobody
		RCPT TO:<u@mx.test>
		DATA
		.
	END
	replies 220 250 235 250 250 354 250
	! grep -q nobody "$BATS_TEST_TMPDIR/env" || fail
	! grep -q c@d.test "$BATS_TEST_TMPDIR/env" || fail
}

@test "what is disabled is still not accepted" {
	table -o 'disable=SIZE 8BITMIME STARTTLS AUTH' -o auth-any=yes <<-'END'
		250|EHLO client.test
		555|MAIL FROM:<a@b> SIZE=1
		555|MAIL FROM:<a@b> BODY=8BITMIME
		502|STARTTLS
		502|AUTH PLAIN
		250|HELO client.test
		555|MAIL FROM:<a@b> SIZE=1
		502|STARTTLS
		502|AUTH PLAIN
		221|QUIT
	END
}

@test "AUTH: blanks before mechanism and response and after base64" {
	table -o auth-any=yes -o auth-cleartext=yes <<-'END'
		250|EHLO client.test
		235|AUTH \t PLAIN\tAGJvYgBzZWNyZXQ= \t
		250|EHLO client.test
		503|AUTH LOGIN
		221|QUIT
	END
	table -o auth-any=yes -o auth-cleartext=yes <<-'END'
		250|HELO client.test
		334|AUTH LOGIN \t
		334|Ym9i \t
		235|c2VjcmV0 
		221|QUIT
	END
}

@test "AUTH for somebody else stays refused, and AUTH before a greeting" {
	table -o auth-any=yes -o auth-cleartext=yes <<-'END'
		503|AUTH PLAIN AGJvYgBzZWNyZXQ=
		250|EHLO client.test
		535|AUTH PLAIN YWxpY2UAYm9iAHNlY3JldA==
		221|QUIT
	END
}

@test "LF alone, and CR CR LF, end a command" {
	printf '%s\n' 'EHLO client.test' 'MAIL FROM:<a@b>' \
	    'RCPT TO:<u@mx.test>' DATA >"$BATS_TEST_TMPDIR/in"
	printf 'x\r\n.\r\nNOOP\r\r\nQUIT\n' >>"$BATS_TEST_TMPDIR/in"
	smtp_raw -o spool="$SPOOL" <"$BATS_TEST_TMPDIR/in"
	replies 220 250 250 250 354 250 250 221
	messages 1
	smtp_raw < <(printf 'NOOP\r\r\r\nNOOP\rNOOP\nNOOP\r\nQUIT\n')
	replies 220 501 501 250 221
}

@test "STARTTLS with LF only, and nothing behind it in either case" {
	certs
	local end

	for end in '\n' '\r\r\n'; do
		smtp_raw -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key" \
		    < <(printf "EHLO client.test${end}STARTTLS${end}NOOP\r\n")
		replies 220 250 554 || return
	done
}

@test "control octets, NUL, lengths and UTF-8 stay as strict as ever" {
	table <<-END
		250|EHLO client.test
		501 5.5.2|EHLO client\\0
		501 5.5.2|NOOP \\033[2J
		501 5.5.2|NOOP \\010
		501 5.5.2|MAIL FROM:<a\\0@b>
		500|NOOP $(repeat x 3000)
		553 5.6.7|MAIL FROM:<\\xc3\\xbc@b.example>
		553 5.6.7|MAIL FROM:<a@\\xc3\\xbc.example>
		501 5.1.7|MAIL FROM:<\\xfc@b.example> SMTPUTF8
		501 5.1.7|MAIL FROM:<\\xfc@b.example>
		500|XYZZY
		221|QUIT
	END
}

# The message.

# sent OPTION ...: the body on standard input, by DATA.
sent() {
	rm -rf "$SPOOL"
	{
		printf '%s\r\n' 'EHLO client.test' 'MAIL FROM:<a@b>' \
		    'RCPT TO:<u@mx.test>' DATA
		cat
		printf '%s\r\n' '' . QUIT
	} >"$BATS_TEST_TMPDIR/in"
	smtp_raw -o spool="$SPOOL" "$@" <"$BATS_TEST_TMPDIR/in"
}

# kept TEXT: what is below our own header and the empty line that a message
# without a header of its own gets.
kept() {
	message | sed "1,/^\\t.*+0000/d" >"$BATS_TEST_TMPDIR/body"
	cmp <(tr -d '\r' <"$BATS_TEST_TMPDIR/body" | head -n 1) <(echo) &&
		cmp <(sed 1d "$BATS_TEST_TMPDIR/body") <(printf "$1") ||
		fail "$(od -c "$BATS_TEST_TMPDIR/body" | head -n 20)"
}

@test "an LF is a line end, a CR a blank, and a NUL is refused" {
	sent < <(printf 'a\nb\rc\r\r\nd\n\n.\n..e\r\n.f\r\n..g\n')
	replies 220 250 250 250 354 250 221
	kept 'a\nb c \nd\n\n.\n..e\nf\n.g\n\n'
	sent -o newline=crlf < <(printf 'a\nb\rc\r\r\nd\n\n.\n..e\r\n.f\r\n.\rg')
	kept 'a\r\nb c \r\nd\r\n\r\n.\r\n..e\r\nf\r\n g\r\n'
	sent < <(printf 'a\0b\r\n')
	replies 220 250 250 250 354 550 221
	said '550 5.6.0 Message has a NUL'
}

@test "a lone dot between LFs, at all ends, is text" {
	sent < <(printf 'a\n.\n.\r\nb\r\n.\nc\n.\r')
	replies 220 250 250 250 354 250 221
	kept 'a\n.\n.\nb\n\nc\n. \n'
}

# chunks PARAMETER: stdin's commands and octets after a MAIL with it.
chunks() {
	{
		printf '%s\r\n' 'EHLO client.test' "MAIL FROM:<a@b>$1" \
		    'RCPT TO:<u@mx.test>'
		cat
		printf 'QUIT\r\n'
	} >"$BATS_TEST_TMPDIR/in"
	smtp_raw -o spool="$SPOOL" <"$BATS_TEST_TMPDIR/in"
}

@test "in chunks of BDAT, cut anywhere: the same" {
	chunks '' < <(printf '%b' 'BDAT 4\r\na\nb\r' 'BDAT 3\r\n\nc\r' \
	    'BDAT 4\r\nd\n.\r' 'BDAT 0 LAST\r\n')
	replies 220 250 250 250 250 250 250 250 221
	kept 'a\nb\nc d\n. '
}

@test "BINARYMIME is kept as it came" {
	chunks ' BODY=BINARYMIME' < <(printf 'BDAT 6 LAST\r\na\nb\rc\0')
	replies 220 250 250 250 250 221
	[[ $(message | tail -c 6 | od -An -tx1) == ' 61 0a 62 0d 63 00' ]]
}

@test "stray newlines count as line ends where sizes are concerned" {
	# 2 + 3, and the CRLF before the end
	sent -o max-size=8 < <(printf '\nabc')
	replies 220 250 250 250 354 250 221
	sent -o max-size=6 < <(printf '\nabc')
	replies 220 250 250 250 354 552 221
}

@test "hops are counted in a header that has LFs only" {
	sent -o max-hops=1 < <(printf 'Received: 1\nReceived: 2\n\nx')
	replies 220 250 250 250 354 554 221
	sent -o max-hops=1 < <(printf 'Received: 1\n\nReceived: 2\n\nx')
	replies 220 250 250 250 354 250 221
}

@test "one setting does not change the other" {
	sent -o syntax=strict < <(printf 'a\nb')
	replies 220 250 250 250 354 250 221
	sent -o stray-newline=refuse < <(printf 'a\nb')
	replies 220 250 250 250 354 550 221
	said '550 5.6.0 Message has a bare CR or LF'
	printf 'EHLO my_pc\nMAIL FROM: a\nQUIT\n' >"$BATS_TEST_TMPDIR/in"
	smtp_raw -o stray-newline=refuse <"$BATS_TEST_TMPDIR/in"
	replies 220 250 250 221
}

# Where it is written.

# hostile [OPTION ...]: a name and addresses that would be something else in a
# header, a log line, an environment or a policy request.
NAME='x;(y) ["z"] =q,<w>%n\\ by mx.test with ESMTP'
WRITTEN='x??y??[?z?]??q??w??n???by?mx.test?with?ESMTP'
SENDER='a(b;c)\d,e:f=g|h@b_c.example'
RECIPIENT='-o$`x`|..{id}&*.@mx.test'

hostile() {
	smtp "$@" <<-END
		EHLO $NAME
		MAIL FROM:<$SENDER>
		RCPT TO:<$RECIPIENT>
		DATA
		Subject: x

		.
		QUIT
	END
	replies 220 250 250 250 354 250 221
}

@test "a hostile name and hostile addresses in the spool and the log" {
	hostile -o spool="$SPOOL"
	[[ $(message) == "Return-Path: <$SENDER>"$'\n'"Delivered-To: $RECIPIENT
Received: from $WRITTEN ("* ]] || fail "$(message)"
	! message | grep 'for <' || fail
	(($(message | grep -c '^Received:') == 1))
	logged "helo=\"$WRITTEN\""
	(($(grep -c 'event=message' "$LOG") == 1))
}

@test "a hostile name and hostile addresses in environment and arguments" {
	cat >"$BATS_TEST_TMPDIR/program" <<-END
		#!/bin/sh
		{ printf '%s\n' "\$@"; env; } >'$BATS_TEST_TMPDIR/told'
	END
	chmod +x "$BATS_TEST_TMPDIR/program"
	hostile -o exec="$BATS_TEST_TMPDIR/program {sender} {recipient}"
	mapfile -t told <"$BATS_TEST_TMPDIR/told"
	[[ ${told[0]} == "$SENDER" && ${told[1]} == "$RECIPIENT" ]] ||
		fail "${told[*]}"
	grep -qxF "HELO=$WRITTEN" "$BATS_TEST_TMPDIR/told"
	grep -qxF "SENDER=$SENDER" "$BATS_TEST_TMPDIR/told"
	grep -qxF "RECIPIENT=$RECIPIENT" "$BATS_TEST_TMPDIR/told"
}

# Refusals in the log, once a kind and session.

# one_line TEXT ...: these are in just one line of the log.
one_line() {
	local text lines

	lines=$(cat "$LOG")
	for text; do
		lines=$(grep -aF -- "$text" <<<"$lines") || true
	done
	[[ -n $lines && $lines != *$'\n'* ]] || fail "one line of $*: $lines"
}

@test "the log has each refusal, with its fault and what was sent" {
	SYNTAX=("${STRICT[@]}")
	smtp -o spool="$SPOOL" -o auth-any=yes -o max-errors=0 < <(printf '%b\n' \
	    'EHLO my_pc' 'EHLO my_pc' 'MAIL FROM:<a@b>' 'EHLO client.test' \
	    'NOOP \0010x' 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2' \
	    'MAIL FROM:<a_b>' 'MAIL FROM:a' 'MAIL FROM:<a@b> X\033=1' \
	    'MAIL FROM:<a@b> FOO=1' 'MAIL FROM:<a@b>' 'RCPT TO:<a@b_c>' \
	    'RCPT TO:<a@b_c>' 'RCPT TO:<@>' 'RSET' 'AUTH PLAIN AGEAc2VjcmV0' \
	    'NOOP \0010secret' QUIT)
	said '503 5.5.1 Your hello was refused'
	one_line event=refused what=helo code=501 input='"EHLO my_pc"' \
	    'why="Name is malformed: underscore in a domain"'
	one_line event=refused what=line 'why="Control character in command"'
	one_line event=refused what=line code=500 'input="PROXY TCP4 192.0.2.1'
	one_line event=message status=refused 'input="MAIL FROM:<a_b>"' \
	    'why="Address is malformed: no domain"'
	one_line event=message 'input="MAIL FROM:a"' \
	    'why="Syntax: MAIL FROM:'
	one_line event=message 'why="Parameter not recognized"' FOO=1
	one_line event=recipient code=501 'input="RCPT TO:<a@b_c>"'
	one_line event=refused what=auth code=538 \
	    'why="Authentication needs encryption"'
	not_logged AGEAc2
	not_logged secret
}

@test "the log has a TLS hello, and a PROXY header of version 2" {
	smtp_raw < <(printf '\026\003\001\002')
	replies 220 501
	said 'This port does not begin with TLS'
	one_line event=refused what=line 'why="This port does not begin with TLS"'
	: >"$LOG"
	smtp_raw < <(printf '\r\n\r\n\0\r\nQUIT\n\041\021\0\014')
	one_line event=refused 'why="This port takes no PROXY header"'
}

@test "no AUTH: the log says why, the client is told that it is so" {
	smtp <<-'END'
		EHLO client.test
		AUTH PLAIN AGEAYg==
		LHLO client.test
		QUIT
	END
	replies 220 250 502 500 221
	said '502 5.5.1 AUTH is not offered here'
	said '500 5.5.1 This is SMTP: EHLO'
	one_line event=refused what=auth 'reason="auth is off, as no source is set"'
}

@test "a timeout in a message with bare LFs: the reason says so" {
	transcript -o timeout=1 <<-'END'
		< 220
		> EHLO client.test
		< 250
		> MAIL FROM:<a@b>
		< 250
		> RCPT TO:<u@mx.test>
		< 250
		> DATA
		< 354
		>> one\ntwo\n.\n
		< 421
	END
	logged 'reason="timeout in a message with bare LFs'
}

# SPDX-License-Identifier: ISC
# Paths, names and parameters: RFC 5321 sections 4.1.1 to 4.1.3, and no more.

load lib
SYNTAX=("${STRICT[@]}")
load table

# as WHAT: stdin's lines "CODE ARGUMENT" as commands, each with RSET behind it.
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

repeat() {
	printf "%0$2d" 0 | sed "s/0/$1/g"
}

@test "reverse-paths that are right" {
	as 'MAIL FROM:' <<-'END'
		250 <>
		250 <a@b>
		250 <a@b.c>
		250 <a.b.c@d.e.f>
		250 <!#$&*+-/=?^_`{|}~@b>
		250 <%@b>
		250 <a'b@c>
		250 <user+detail@example.org>
		250 <SRS0=HHH=TT=orig.test=user@forward.test>
		250 <prvs=1234=user@example.org>
		250 <0@0>
		250 <a@1.2.3.4>
		250 <a@b-c.d--e>
		250 <a@x.co.uk>
		250 <A@EXAMPLE.ORG>
		250 <"a b"@c>
	END
}

@test "quoted local parts" {
	as 'MAIL FROM:' <<-'END'
		250 <""@b>
		250 <"a"@b>
		250 <"a@b"@c>
		250 <"a b"@c>
		250 <"<>"@c>
		250 <"a\\\\"@c>
		250 <"a\\"b"@c>
		250 <"\\a\\ "@c>
		250 <"a,;:()"@c>
		501 <"a@c>
		501 <"a"b@c>
		501 <a"b"@c>
		501 <"a".b@c>
		501 <"a\\"@c>
		501 <"a\\
		501 <"
		501 <"a
		501 <"a"
		501 <"a""b"@c>
	END
}

@test "reverse-paths that are wrong" {
	as 'MAIL FROM:' <<-'END'
		501 a@b
		501 <a@b
		501 a@b>
		501 <<a@b>>
		501 <a@b>>
		501 <a>
		501 <a@>
		501 <@b>
		501 <@>
		501 @
		501 <.a@b>
		501 <a.@b>
		501 <a..b@c>
		501 <a@b@c>
		501 <a b@c>
		501 <a@b c>
		501 < a@b>
		501 <a@b >
		501 <a@.b>
		501 <a@b.>
		501 <a@b..c>
		501 <a@-b>
		501 <a@b->
		501 <a@b-.c>
		501 <a@b_c>
		501 <a@b/c>
		501 <a(x)@b>
		501 <a,b@c>
		501 <a:b@c>
		501 <a;b@c>
		501 <a\\b@c>
		501 <a\\
		501 <a[b@c>
		501 <a@b!>
		501 hello
		501 0
		501 <
		501 >
		501 <a@b>x
		501 <a@b>SIZE=1
		501 <a@b>,<c@d>
	END
}

@test "no blanks behind FROM: and TO:, and the words are needed" {
	table -o spool="$SPOOL" <<-'END'
		250|EHLO client.test
		501 5.|MAIL
		501 5.|MAIL FROM
		501 5.|MAIL FROM:
		501 5.|MAIL FROM: <a@b>
		501 5.|MAIL FROM :<a@b>
		501 5.|MAIL <a@b>
		501 5.|MAIL TO:<a@b>
		501 5.|MAIL FROM<a@b>
		501 5.|MAIL FROM=<a@b>
		501 5.|MAIL hello
		501 5.|MAIL 0
		501 5.|MAIL FROM:\t<a@b>
		250|MAIL FROM:<a@b>
		501 5.|RCPT
		501 5.|RCPT TO
		501 5.|RCPT TO:
		501 5.|RCPT TO: <a@b>
		501 5.|RCPT FROM:<a@b>
		501 5.|RCPT TO<a@b>
		501 5.|RCPT a@b
		501 5.|RCPT TO:a@b
		554|DATA
		221|QUIT
	END
}

@test "recipients: as senders, but not the empty path" {
	{
		echo '250|EHLO client.test'
		echo '250|MAIL FROM:<>'
		sed 's/^\(...\) /\1|RCPT TO:/' <<-'END'
			250 <a@b>
			250 <"a b"@c>
			250 <a@[192.0.2.1]>
			250 <postmaster>
			250 <Postmaster>
			250 <POSTMASTER>
			250 <postmaster@b>
			501 <>
			501 <postmasters>
			501 <postmaste>
			501 <hostmaster>
			501 <"postmaster">
			501 <a@b
			501 <a..b@c>
		END
		echo '221|QUIT'
	} >"$BATS_TEST_TMPDIR/table"
	table -o spool="$SPOOL" <"$BATS_TEST_TMPDIR/table"
}

@test "<postmaster> without a domain is not a sender" {
	as 'MAIL FROM:' <<<'501 <postmaster>'
}

@test "source routes are accepted and dropped" {
	table -o spool="$SPOOL" <<-'END'
		250|EHLO client.test
		250|MAIL FROM:<@one.test,@two.test:a@b.test>
		250|RCPT TO:<@relay.test:c@mx.test>
		354|DATA
		250|.
		501|MAIL FROM:<@one.test>
		501|MAIL FROM:<@one.test:>
		501|MAIL FROM:<@one.test,:a@b>
		501|MAIL FROM:<@one.test,two.test:a@b>
		501|MAIL FROM:<@one.test@two.test:a@b>
		501|MAIL FROM:<one.test:a@b>
		501|MAIL FROM:<@:a@b>
		501|MAIL FROM:<@one..test:a@b>
		221|QUIT
	END
	[[ $(message) == 'Return-Path: <a@b.test>'* ]]
	[[ $(message) != *one.test* && $(message) != *relay.test* ]]
}

@test "address literals for IPv4" {
	as 'MAIL FROM:' <<-'END'
		250 <a@[192.0.2.1]>
		250 <a@[0.0.0.0]>
		250 <a@[255.255.255.255]>
		501 <a@[256.0.0.1]>
		501 <a@[1.2.3]>
		501 <a@[1.2.3.4.5]>
		501 <a@[1.2.3.]>
		501 <a@[.1.2.3]>
		501 <a@[1..2.3]>
		501 <a@[1.2.3.1000]>
		501 <a@[1.2.3.4>
		501 <a@1.2.3.4]>
		501 <a@[]>
		501 <a@[1.2.3.4]x>
		501 <a@[ 1.2.3.4]>
		501 <a@[localhost]>
	END
}

@test "address literals for IPv6" {
	as 'MAIL FROM:' <<-'END'
		250 <a@[IPv6:2001:db8::1]>
		250 <a@[ipv6:2001:DB8:0:0:1:2:3:4]>
		250 <a@[IPv6:::]>
		250 <a@[IPv6:::1]>
		250 <a@[IPv6:1::]>
		250 <a@[IPv6:::ffff:192.0.2.1]>
		250 <a@[IPv6:1:2:3:4:5:6:192.0.2.1]>
		250 <a@[IPv6:1:2:3::4:5:6]>
		501 <a@[2001:db8::1]>
		501 <a@[IPv6:]>
		501 <a@[IPv6::]>
		501 <a@[IPv6::1]>
		501 <a@[IPv6:1:]>
		501 <a@[IPv6:1:2:3:4:5:6:7]>
		501 <a@[IPv6:1:2:3:4:5:6:7:8:9]>
		501 <a@[IPv6:1:2:3:4:5:6:7:8:]>
		501 <a@[IPv6:1::2::3]>
		501 <a@[IPv6:1:::2]>
		501 <a@[IPv6::::]>
		501 <a@[IPv6:12345::]>
		501 <a@[IPv6:g::]>
		501 <a@[IPv6:1:2:3:4:5:6:7:1.2.3.4]>
		501 <a@[IPv6:1.2.3.4:1::]>
		501 <a@[IPv6:::1.2.3.4:5]>
		501 <a@[IPv6:::1.2.3.256]>
		501 <a@[IPv6:::1.2.3]>
		501 <a@[IPv6:fe80::1%eth0]>
		501 <a@[IPv4:192.0.2.1]>
		501 <a@[x-tag:anything]>
	END
}

@test "lengths of a local part, a label and a domain: at the limit and past it" {
	local l63 d

	l63=$(repeat a 63)
	d=$l63.$l63.$l63
	as 'MAIL FROM:' <<-END
		250 <$(repeat a 64)@b>
		250 <$(repeat a 254)@b>
		250 <$(repeat a 255)@b>
		501 <$(repeat a 256)@b>
		501 <$(repeat a 257)@b>
		250 <a@$(repeat a 62)>
		250 <a@$l63>
		501 <a@$(repeat a 64)>
		250 <a@$d.$(repeat a 62)>
		250 <a@$d.$l63>
		501 <a@$d.$(repeat a 62).b>
		501 <a@$d.$l63.b>
		250 <$(repeat b 255)@$d.$l63>
		501 <"$(repeat b 254)"@b>
		250 <"$(repeat b 253)"@b>
	END
}

@test "HELO and EHLO names: a domain or a literal" {
	local verb

	for verb in HELO EHLO; do
		table <<-END
			250|$verb localhost
			250|$verb client.example.org
			250|$verb 1and1.test
			250|$verb 192.0.2.1
			250|$verb [192.0.2.1]
			250|$verb [IPv6:2001:db8::1]
			501|$verb
			501|$verb a b
			501|$verb a_b
			501|$verb -a
			501|$verb a-
			501|$verb .a
			501|$verb a.
			501|$verb a..b
			501|$verb <a>
			501|$verb [300.0.0.1]
			501|$verb [
			501|$verb a@b
			501|$verb \\xc3\\xa9.test
			501|$verb \$(id)
			501|$verb $(repeat a 64)
			221|QUIT
		END
	done
}

@test "HELO names at every length around the limit" {
	local n l63 name

	l63=$(repeat a 63)
	{
		for n in 1 2 252 253 254 255; do
			name=$l63.$l63.$l63.$l63
			echo "250|HELO ${name::n}"
		done
		for n in 256 257 258 300; do
			name=$l63.$l63.$l63.$l63.$l63
			echo "501|HELO ${name::n}"
		done
		echo '221|QUIT'
	} | sed 's/\.$/b/' >"$BATS_TEST_TMPDIR/table"
	table <"$BATS_TEST_TMPDIR/table"
}

@test "parameters of MAIL" {
	as 'MAIL FROM:<a@b>' <<-'END'
		250
		250  SIZE=0
		250  SIZE=1000
		250  size=1000
		250  BODY=7BIT
		250  BODY=8BITMIME
		250  body=8bitmime
		250  SIZE=1 BODY=7BIT
		250  BODY=7BIT SIZE=1
		501  SIZE
		501  SIZE=
		501  SIZE=x
		501  SIZE=-1
		501  SIZE=1x
		501  SIZE=99999999999999999999999
		501  BODY
		501  BODY=
		501  BODY=9BIT
		501  SIZE=1 SIZE=2
		501  BODY=7BIT BODY=8BITMIME
		555  X
		555  X=1
		555  FOO=bar
		555  RET=FULL
		555  ENVID=x
		555  HOLDFOR=10
		555  BY=10;R
		555  REQUIRETLS
		555  SIZE=1 FOO=bar
	END
}

@test "parameters are separated from the path by a blank, and from each other" {
	table <<-'END'
		250|EHLO client.test
		501 5.5.2|MAIL FROM:<a@b>\tSIZE=1
		501 5.5.4|MAIL FROM:<a@b> =1
		501 5.5.4|MAIL FROM:<a@b> -x=1
		501 5.5.4|MAIL FROM:<a@b> SIZE =1
		501 5.5.4|MAIL FROM:<a@b> SIZE= 1
		501 5.5.4|MAIL FROM:<a@b> SIZE=1=1
		221|QUIT
	END
}

@test "parameters of RCPT: none unless DSN is on" {
	table -o spool="$SPOOL" <<-'END'
		250|EHLO client.test
		250|MAIL FROM:<a@b>
		555 5.5.4|RCPT TO:<a@mx.test> NOTIFY=NEVER
		555 5.5.4|RCPT TO:<a@mx.test> ORCPT=rfc822;a@b
		555 5.5.4|RCPT TO:<a@mx.test> SIZE=1
		555 5.5.4|RCPT TO:<a@mx.test> X
		554|DATA
		221|QUIT
	END
}

@test "octets past ASCII in a path, without SMTPUTF8: 553 5.6.7" {
	table -o spool="$SPOOL" <<-'END'
		250|EHLO client.test
		553 5.6.7|MAIL FROM:<\xc3\xa4@b>
		553 5.6.7|MAIL FROM:<a@\xc3\xa4.test>
		553 5.6.7|MAIL FROM:<"\xc3\xa4"@b>
		250|MAIL FROM:<a@b>
		553 5.6.7|RCPT TO:<\xc3\xa4@mx.test>
		221|QUIT
	END
}

@test "with SMTPUTF8: valid UTF-8, and only that" {
	table -o spool="$SPOOL" <<-'END'
		250|EHLO client.test
		250|MAIL FROM:<\xc3\xa4@b> SMTPUTF8
		250|RCPT TO:<\xe4\xb8\xad@\xe4\xb8\xad.test>
		250|RCPT TO:<\xf0\x9f\x93\xa7@mx.test>
		501|RCPT TO:<\xc3@mx.test>
		501|RCPT TO:<\xa4@mx.test>
		501|RCPT TO:<\xc0\xaf@mx.test>
		501|RCPT TO:<\xe0\x80\xaf@mx.test>
		501|RCPT TO:<\xed\xa0\x80@mx.test>
		501|RCPT TO:<\xf4\x90\x80\x80@mx.test>
		501|RCPT TO:<\xf8\x88\x80\x80\x80@mx.test>
		501|RCPT TO:<\xff@mx.test>
		250|RSET
		501|MAIL FROM:<a@b> SMTPUTF8=yes
		221|QUIT
	END
}

@test "shell and other languages in an address are just characters" {
	cat >"$BATS_TEST_TMPDIR/table" <<-'END'
		250|EHLO client.test
		250|MAIL FROM:<"$(touch pwned)"@b>
		250|RCPT TO:<`touch$IFS@mx.test>
		250|RCPT TO:<"; touch pwned #"@mx.test>
		250|RCPT TO:<"() { :;}; touch pwned"@mx.test>
		250|RCPT TO:<${run{touch}}@mx.test>
		250|RCPT TO:<-oQ/tmp@mx.test>
		250|RCPT TO:<|touch@mx.test>
		501|RCPT TO:<;touch@mx.test>
		501|RCPT TO:<a@;touch>
		501|RCPT TO:<;touch@>
		501|RCPT TO:<$(touch)@mx.test>
		354|DATA
		250|.
		221|QUIT
	END
	cd "$BATS_TEST_TMPDIR"
	table -o spool="$SPOOL" <"$BATS_TEST_TMPDIR/table"
	messages 1
	[[ ! -e pwned ]]
	[[ $(message) == 'Return-Path: <"$(touch pwned)"@b>'* ]]
}

@test "a control octet in a command: 501 at once, the rest of the line unread" {
	table <<-'END'
		501 5.5.2|EHLO client.test\0
		501 5.5.2|EHLO \001client.test
		501 5.5.2|EHLO client\177.test
		250|EHLO client.test
		501 5.5.2|MAIL FROM:<"a\0b"@c>
		501 5.5.2|MAIL FROM:<"a\nRCPT TO:<x"@c>
		501 5.5.2|MAIL FROM:<"a\rb"@c>
		501 5.5.2|NOOP \033[2J
		501 5.5.2|\0
		501 5.5.2|\nQUIT
		250|RSET
		221|QUIT
	END
}

@test "a bare LF ends no command: both halves are one line, answered once" {
	smtp_raw < <(printf 'EHLO client.test\r\nNOOP\nQUIT\r\nNOOP\r\nQUIT\r\n')
	replies 220 250 501 250 221
	smtp_raw < <(printf 'EHLO client.test\nQUIT\n')
	replies 220 501
}

@test "a bare CR ends no command" {
	smtp_raw < <(printf 'NOOP\rQUIT\r\nNOOP\r\r\nQUIT\r\n')
	replies 220 501 501 221
}

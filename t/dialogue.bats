# SPDX-License-Identifier: ISC
# The order of commands and the replies to them.

load lib
load table

@test "a whole dialogue gets the replies of RFC 5321" {
	smtp -o spool="$SPOOL" <<-'END'
		EHLO client.test
		MAIL FROM:<a@client.test>
		RCPT TO:<b@mx.test>
		DATA
		Subject: hello

		text
		.
		QUIT
	END
	replies 220 250 250 250 354 250 221
	[[ $status == 0 ]]
	messages 1
	[[ $(message) == *$'\nSubject: hello\n\ntext' ]]
}

@test "the banner names the host and says ESMTP, QUIT is answered with it" {
	smtp <<<QUIT
	[[ ${lines[0]} == '220 mx.test ESMTP'* ]]
	[[ ${lines[1]} == '221 2.0.0 '* ]]
	replies 220 221
}

@test "no greeting, no mail: 503 before HELO" {
	table <<-'END'
		503 5.5.1|MAIL FROM:<a@b>
		503 5.5.1|RCPT TO:<a@b>
		503 5.5.1|DATA
		250 2.0.0|NOOP
		250 2.0.0|RSET
		214 2.0.0|HELP
		252 2.|VRFY a
		221|QUIT
	END
}

@test "HELO is answered in one line and EHLO with the list" {
	smtp <<-'END'
		HELO client.test
		EHLO client.test
		QUIT
	END
	replies 220 250 250 221
	[[ ${lines[1]} == '250 mx.test'* ]]
	[[ ${lines[2]} == '250-mx.test'* ]]
	said 250-PIPELINING
	said 'SIZE 52428800'
	said 8BITMIME
	said ENHANCEDSTATUSCODES
}

@test "EHLO promises neither TLS nor AUTH nor DSN when they are not set up" {
	smtp <<-'END'
		EHLO client.test
		STARTTLS
		AUTH PLAIN AGEAYg==
		AUTH LOGIN
		QUIT
	END
	not_said STARTTLS
	not_said 250-AUTH
	not_said '250 AUTH'
	not_said DSN
	replies 220 250 502 502 502 221
	said '502 5.5.1'
}

@test "what is disabled is not promised and not accepted" {
	SYNTAX=("${STRICT[@]}")
	smtp -o 'disable=size 8bitmime chunking' <<-'END'
		EHLO client.test
		MAIL FROM:<a@b> SIZE=100
		MAIL FROM:<a@b> BODY=8BITMIME
		BDAT 6 LAST
		QUIT
		QUIT
	END
	not_said SIZE
	not_said 8BITMIME
	not_said CHUNKING
	not_said BINARYMIME
	not_said SMTPUTF8
	replies 220 250 555 555 502 221
}

@test "a disabled ENHANCEDSTATUSCODES leaves no enhanced codes" {
	smtp -o disable=ENHANCEDSTATUSCODES <<-'END'
		EHLO client.test
		NOOP
		MAIL FROM:<a@b
		QUIT
	END
	not_said ENHANCEDSTATUSCODES
	! grep -E '^[245][0-9][0-9][ -][245]\.[0-9]' <<<"$output" || fail codes
}

@test "parameters need EHLO" {
	SYNTAX=("${STRICT[@]}")
	table <<-'END'
		250|HELO client.test
		555 5.5.4|MAIL FROM:<a@b> SIZE=100
		250|EHLO client.test
		250|MAIL FROM:<a@b> SIZE=100
		221|QUIT
	END
}

@test "HELO and EHLO need a name" {
	table <<-'END'
		501 5.5.4|HELO
		501 5.5.4|EHLO
		501 5.5.4|HELO 
		503|MAIL FROM:<a@b>
		250|EHLO client.test
		221|QUIT
	END
}

@test "the order of a transaction is enforced" {
	table -o spool="$SPOOL" <<-'END'
		250|EHLO client.test
		503 5.5.1|RCPT TO:<b@mx.test>
		503 5.5.1|DATA
		250 2.1.0|MAIL FROM:<a@b>
		503 5.5.1|MAIL FROM:<c@d>
		554 5.5.1|DATA
		250 2.1.5|RCPT TO:<b@mx.test>
		503 5.5.1|MAIL FROM:<c@d>
		354|DATA
		text
		250 2.0.0|.
		503 5.5.1|RCPT TO:<b@mx.test>
		503 5.5.1|DATA
		221 2.0.0|QUIT
	END
	messages 1
	[[ $(message) == 'Return-Path: <a@b>'* ]]
}

@test "a refused nested MAIL keeps the first sender and its recipients" {
	smtp -o spool="$SPOOL" <<-'END'
		EHLO client.test
		MAIL FROM:<first@client.test>
		RCPT TO:<one@mx.test>
		MAIL FROM:<second@client.test>
		RCPT TO:<two@mx.test>
		DATA
		.
		QUIT
	END
	replies 220 250 250 250 503 250 354 250 221
	[[ $(message) == 'Return-Path: <first@client.test>'*one@*two@* ]]
	[[ $(message) != *second* ]]
}

@test "RSET, HELO and EHLO each forget sender and recipients" {
	local verb

	for verb in RSET 'HELO client.test' 'EHLO client.test'; do
		rm -rf "$SPOOL"
		table -o spool="$SPOOL" <<-END
			250|EHLO client.test
			250|MAIL FROM:<old@client.test>
			250|RCPT TO:<old@mx.test>
			250|$verb
			503|RCPT TO:<new@mx.test>
			503|DATA
			250|MAIL FROM:<new@client.test>
			250|RCPT TO:<new@mx.test>
			354|DATA
			text
			250|.
			221|QUIT
		END
		messages 1
		[[ $(message) != *old* ]] || fail "$verb"
	done
}

@test "a HELO that is refused leaves the transaction alone" {
	SYNTAX=("${STRICT[@]}")
	table -o spool="$SPOOL" <<-'END'
		250|EHLO client.test
		250|MAIL FROM:<a@b>
		501|EHLO
		501|HELO a b
		250|RCPT TO:<b@mx.test>
		354|DATA
		250|.
		221|QUIT
	END
	messages 1
}

@test "the end of a message forgets it: the next one needs MAIL and RCPT" {
	table -o spool="$SPOOL" <<-'END'
		250|EHLO client.test
		250|MAIL FROM:<a@b>
		250|RCPT TO:<one@mx.test>
		354|DATA
		250|.
		250|MAIL FROM:<a@b>
		554 5.5.1|DATA
		250|RCPT TO:<two@mx.test>
		354|DATA
		250|.
		221|QUIT
	END
	messages 2
	! grep -l 'one@' "$SPOOL"/new/* | xargs -r grep -q 'two@' || fail mixed
}

@test "a recipient that is refused is not delivered to" {
	printf 'yes@mx.test\n' >"$BATS_TEST_TMPDIR/list"
	table -o spool="$SPOOL" -o recipients="$BATS_TEST_TMPDIR/list" <<-'END'
		250|EHLO client.test
		250|MAIL FROM:<a@b>
		550 5.1.1|RCPT TO:<no@mx.test>
		554 5.5.1|DATA
		250|RCPT TO:<yes@mx.test>
		550 5.1.1|RCPT TO:<no@mx.test>
		354|DATA
		250|.
		221|QUIT
	END
	[[ $(message) == *yes@* && $(message) != *no@* ]]
}

@test "without spool and exec a recipient gets 451" {
	table <<-'END'
		250|EHLO client.test
		250|MAIL FROM:<a@b>
		451 4.3.5|RCPT TO:<b@mx.test>
		554 5.5.1|DATA
		221|QUIT
	END
	[[ $status == 0 ]]
}

@test "verbs, FROM and TO in any case" {
	table -o spool="$SPOOL" <<-'END'
		250|ehlo client.test
		250|mail from:<a@b>
		250|Rcpt tO:<b@mx.test>
		354|dAtA
		250|.
		250|noop
		250|rset
		221|quit
	END
}

@test "NOOP with an argument is right; QUIT, RSET and DATA with one are not" {
	SYNTAX=("${STRICT[@]}")
	table -o spool="$SPOOL" <<-'END'
		250|EHLO client.test
		250 2.0.0|NOOP
		250 2.0.0|NOOP anything at all
		501 5.5.4|RSET now
		250|MAIL FROM:<a@b>
		250|RCPT TO:<b@mx.test>
		501 5.5.4|DATA now
		501 5.5.4|QUIT now
		354|DATA
		250|.
		221|QUIT
	END
	messages 1
}

@test "blanks behind a verb without an argument do not matter" {
	table -o spool="$SPOOL" <<-'END'
		250|EHLO client.test
		250|NOOP 
		250|RSET 
		250|MAIL FROM:<a@b> 
		250|RCPT TO:<b@mx.test> 
		354|DATA 
		250|.
		221|QUIT 
	END
}

@test "VRFY answers 252 without a promise, 501 without an argument" {
	table <<-'END'
		250|EHLO client.test
		252 2.|VRFY postmaster
		252 2.|VRFY <a@b>
		501 5.5.4|VRFY
		221|QUIT
	END
}

@test "EXPN and the obsolete verbs are 502" {
	table <<-'END'
		250|EHLO client.test
		502 5.5.1|EXPN staff
		502 5.5.1|SEND FROM:<a@b>
		502 5.5.1|SOML FROM:<a@b>
		502 5.5.1|SAML FROM:<a@b>
		502 5.5.1|TURN
		221|QUIT
	END
}

@test "unknown verbs, DEBUG and WIZ among them, are 500" {
	table <<-'END'
		250|EHLO client.test
		500 5.5.|DEBUG
		500 5.5.|WIZ
		500 5.5.|KILL
		500 5.5.|XCLIENT ADDR=192.0.2.1
		500 5.5.|XFORWARD ADDR=192.0.2.1
		500 5.5.|ETRN example.org
		500 5.5.|LHLO client.test
		500 5.5.|MAILFROM:<a@b>
		500 5.5.|MAI FROM:<a@b>
		500 5.5.|QUITE
		500 5.5.|\xff\xfe
		500 5.5.|EHLO\xc3\xa9
		500 5.5.|
		500 5.5.| NOOP
		500 5.5.|0
		221|QUIT
	END
}

@test "HELP is 214, with or without a topic" {
	table <<-'END'
		214 2.0.0|HELP
		214 2.0.0|HELP MAIL
		250|EHLO client.test
		214 2.0.0|HELP
		221|QUIT
	END
	[[ $output == *$'\n214-2.0.0 Commands: '* ]]
}

# What HELP lists, in a session with these arguments, after these commands.
helped() {
	local settings=() line

	while [[ ${1-} == -o ]]; do
		settings+=(-o "$2")
		shift 2
	done
	smtp "${settings[@]}" < <(printf '%s\n' "$@" HELP QUIT)
	line=$(grep '^214-' <<<"$output")
	HELPED=${line#*Commands: }
}

@test "HELP lists what would be accepted, and nothing else" {
	local plain='RSET NOOP QUIT VRFY HELP'

	helped
	[[ $HELPED == "HELO EHLO $plain" ]] || fail "$HELPED"
	helped 'EHLO client.test'
	[[ $HELPED == "HELO EHLO MAIL RCPT DATA BDAT $plain" ]] ||
		fail "$HELPED"
	helped 'HELO client.test'
	[[ $HELPED == "HELO EHLO MAIL RCPT DATA $plain" ]] || fail "$HELPED"
	helped -o disable=CHUNKING 'EHLO client.test'
	[[ $HELPED == "HELO EHLO MAIL RCPT DATA $plain" ]] || fail "$HELPED"
	helped -o protocol=lmtp 'LHLO client.test'
	[[ $HELPED == "LHLO MAIL RCPT DATA BDAT $plain" ]] || fail "$HELPED"
	helped -o auth-any=yes 'EHLO client.test'
	[[ $HELPED == "HELO EHLO MAIL RCPT DATA BDAT $plain" ]] ||
		fail "$HELPED"
	helped -o auth-any=yes -o auth-cleartext=yes 'EHLO client.test'
	[[ $HELPED == "HELO EHLO MAIL RCPT DATA BDAT $plain AUTH" ]] ||
		fail "$HELPED"
	helped -o auth-any=yes -o auth-cleartext=yes 'EHLO client.test' \
	    'MAIL FROM:<>'
	[[ $HELPED == "HELO EHLO MAIL RCPT DATA BDAT $plain" ]] ||
		fail "$HELPED"
}

@test "HELP lists STARTTLS until there is TLS" {
	certs
	helped -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key" \
	    'EHLO client.test'
	[[ $HELPED == *' STARTTLS' ]] || fail "$HELPED"
	output=$(talk -- "$SMTPD" -o hostname=mx.test \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key" <<-'END'
		< 220
		> EHLO client.test
		< 250
		> STARTTLS
		< 220
		tls
		> EHLO client.test
		< 250
		> HELP
		< 214
		> QUIT
		< 221
	END
	)
	[[ $output == *Commands:* && $output != *Commands:*STARTTLS* ]] || fail
}

@test "LMTP: a refused BDAT LAST is answered for each recipient" {
	local last count

	: >"$BATS_TEST_TMPDIR/file"
	for last in '6 LAST:451 451' '6:451' '0 LAST:451 451'; do
		count=${last%%[ :]*}
		smtp_raw -o protocol=lmtp -o spool="$BATS_TEST_TMPDIR/file" \
		    -o max-errors=1 < <(
			printf '%s\r\n' 'LHLO a' 'MAIL FROM:<>' \
			    'RCPT TO:<b@mx.test>' 'RCPT TO:<c@mx.test>' \
			    "BDAT ${last%%:*}"
			((count == 0)) || printf 'abcd\r\n'
			printf '%s\r\n' 'MAIL FROM:<>' QUIT)
		# shellcheck disable=SC2086
		replies 220 250 250 250 250 ${last#*:} 250 221 || return
	done
}

@test "LMTP: a refused BDAT LAST of more recipients than there is room for" {
	: >"$BATS_TEST_TMPDIR/file"
	smtp_raw -o protocol=lmtp -o spool="$BATS_TEST_TMPDIR/file" \
	    -o max-recipients=0 < <(
		printf '%s\r\n' 'LHLO a' 'MAIL FROM:<>'
		printf 'RCPT TO:<%s@mx.test>\r\n' {1..500}
		printf '%s\r\n' 'BDAT 6 LAST' abcd 'MAIL FROM:<>' QUIT)
	[[ $(grep -c '^451' <<<"$output") == 500 ]] || fail
	[[ ${lines[-1]} == 221\ * && ${lines[-2]} == 250\ * ]] || fail
}

@test "nothing that the client says comes back" {
	smtp -o max-errors=0 <<-'END'
		EHLO secret-word.test
		MAIL FROM:<secret-word@b> BODY=secret-word
		MAIL FROM:<secret-word@b
		MAIL FROM:<secret-word@b>
		RCPT TO:<secret-word@b>
		VRFY secret-word
		HELP secret-word
		NOOP secret-word
		SECRET-WORD
		secret-word
		RSET secret-word
		QUIT secret-word
		QUIT
	END
	! grep -qi secret-word <<<"$output" || fail echoed
}

@test "commands after QUIT are not read" {
	smtp -o spool="$SPOOL" <<-'END'
		EHLO client.test
		QUIT
		NOOP
		MAIL FROM:<a@b>
	END
	replies 220 250 221
	[[ $status == 0 ]]
}

@test "replies to a pipelined group come in order, in as few writes" {
	serve -o spool="$SPOOL"
	talk <<-'END'
		< 220
		> EHLO client.test
		< 250
		>> MAIL FROM:<a@b>\r\nRCPT TO:<x@mx.test>\r\nRCPT TO:<@>\r\nRCPT TO:<y@mx.test>\r\nDATA\r\n
		< 250
		< 250
		< 501
		< 250
		< 354
		>> pipelined\r\n.\r\nMAIL FROM:<c@d>\r\nRSET\r\nQUIT\r\n
		< 250
		< 250
		< 250
		< 221
		eof
	END
	messages 1
}

@test "a message may follow DATA in the same write, before 354" {
	smtp_raw -o spool="$SPOOL" < <(printf '%s\r\n' 'EHLO client.test' \
	    'MAIL FROM:<a@b>' 'RCPT TO:<b@mx.test>' DATA early . QUIT)
	replies 220 250 250 250 354 250 221
	[[ $(message) == *early* ]]
}

@test "a message sent although DATA was refused is not a message" {
	smtp -o spool="$SPOOL" -o max-errors=0 <<-'END'
		EHLO client.test
		MAIL FROM:<a@b>
		DATA
		Subject: no recipient
		.
		QUIT
	END
	replies 220 250 250 554 500 500 221
	messages 0
}

@test "commands that come before the banner is read are answered in order" {
	serve
	talk <<-'END'
		>> EHLO client.test\r\nNOOP\r\n
		< 220
		< 250
		< 250
		> QUIT
		< 221
		eof
	END
}

@test "a command in pieces is one command" {
	serve -o spool="$SPOOL"
	talk <<-'END'
		< 220
		>> EH
		>> LO client.te
		>> st\r
		>> \n
		< 250
		>> MAIL FR
		>> OM:<a@b
		>> >\r\n
		< 250
		>> RCPT TO:<0
		>> @mx.test>\r\nDATA\r
		< 250
		>> \n
		< 354
		>> 0
		>> \r
		>> \n.
		>> \r
		>> \n
		< 250
		> QUIT
		< 221
		eof
	END
	messages 1
	[[ $(message) == *$'\n0' ]]
	[[ $(message) == *'<0@mx.test>'* || $(message) == *0@mx.test* ]]
}

@test "a browser is told 421 and to go away" {
	local verb

	for verb in GET POST PUT HEAD CONNECT OPTIONS; do
		smtp -o spool="$SPOOL" <<-END
			$verb / HTTP/1.1
			Host: mx.test

			EHLO evil.test
			MAIL FROM:<a@b>
		END
		replies 220 421
		said '421 4.7.0'
	done
	messages 0
}

@test "a browser is told so inside a session as well" {
	smtp -o spool="$SPOOL" <<-'END'
		EHLO client.test
		POST / HTTP/1.0
		MAIL FROM:<a@b>
	END
	replies 220 250 421
}

@test "the end of input without QUIT is not an error and delivers nothing" {
	smtp -o spool="$SPOOL" <<-'END'
		EHLO client.test
		MAIL FROM:<a@b>
		RCPT TO:<b@mx.test>
		DATA
		half a message
	END
	[[ $status == 0 ]]
	messages 0
	smtp </dev/null
	replies 220
	[[ $status == 0 ]]
}

@test "a line without its end, at the end of input, is not a command" {
	smtp_raw < <(printf 'EHLO client.test\r\nQUIT')
	replies 220 250
}

@test "the protocol's name follows HELO or EHLO in Received" {
	local verb word

	for verb in HELO:SMTP EHLO:ESMTP; do
		word=${verb#*:}
		rm -rf "$SPOOL"
		smtp -o spool="$SPOOL" <<-END
			${verb%:*} client.test
			MAIL FROM:<a@b>
			RCPT TO:<b@mx.test>
			DATA
			.
			QUIT
		END
		grep -qw "with $word" "$SPOOL"/new/* || fail "$verb"
	done
}

@test "LMTP takes LHLO only, and answers each recipient" {
	smtp -o protocol=lmtp -o spool="$SPOOL" <<-'END'
		HELO client.test
		EHLO client.test
		MAIL FROM:<a@b>
		LHLO client.test
		MAIL FROM:<a@b>
		RCPT TO:<one@mx.test>
		RCPT TO:<one
		RCPT TO:<two@mx.test>
		DATA
		text
		.
		NOOP
		QUIT
	END
	replies 220 500 500 503 250 250 250 501 250 354 250 250 250 221
}

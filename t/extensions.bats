# SPDX-License-Identifier: ISC
# The keywords of EHLO: each announced if it works, and only then.
load lib

# ehlo [ARGUMENT ...]: the keywords, one a line, in KEYWORDS.
ehlo() {
	smtp "$@" <<-'END'
	EHLO client.test
	QUIT
	END
	replies 220 250 221
	KEYWORDS=$(sed -n -e '2,$s/^250[ -]//p' <<<"$output" | tail -n +2)
}

announced() {
	grep -qx -e "$1" <<<"$KEYWORDS" || fail "not announced: $1"
}

not_announced() {
	! grep -q -e "^$1\b" <<<"$KEYWORDS" || fail "announced: $1"
}

@test "by default" {
	ehlo
	diff <(sort <<<"$KEYWORDS") - <<-'END'
	8BITMIME
	BINARYMIME
	CHUNKING
	ENHANCEDSTATUSCODES
	HELP
	LIMITS RCPTMAX=100 MAILMAX=100
	PIPELINING
	SIZE 52428800
	SMTPUTF8
	END
}

@test "everything" {
	certs
	ehlo -o dsn=yes -o mt-priority=yes -o auth-any=yes \
	    -o auth-cleartext=yes -o tls-cert="$CERTS/ec.pem" \
	    -o tls-key="$CERTS/ec.key"
	announced DSN
	announced MT-PRIORITY
	announced STARTTLS
	announced 'AUTH PLAIN LOGIN'
	[[ $(wc -l <<<"$KEYWORDS") == 13 ]]
}

# bats test_tags=bulk
@test "each can be disabled, alone, in any case" {
	local keyword

	certs
	for keyword in PIPELINING size 8BITMIME EnhancedStatusCodes STARTTLS \
	    AUTH CHUNKING BINARYMIME SMTPUTF8 DSN LIMITS MT-PRIORITY HELP; do
		ehlo -o dsn=yes -o mt-priority=yes -o auth-any=yes \
		    -o auth-cleartext=yes -o tls-cert="$CERTS/ec.pem" \
		    -o tls-key="$CERTS/ec.key" -o disable="$keyword"
		not_announced "${keyword^^}"
		case $keyword in
		8BITMIME)
			not_announced SMTPUTF8
			not_announced BINARYMIME
			[[ $(wc -l <<<"$KEYWORDS") == 10 ]] ;;
		CHUNKING)
			not_announced BINARYMIME
			[[ $(wc -l <<<"$KEYWORDS") == 11 ]] ;;
		*)
			[[ $(wc -l <<<"$KEYWORDS") == 12 ]] ;;
		esac
	done
}

@test "all disabled: a bare EHLO" {
	smtp -o disable='PIPELINING SIZE 8BITMIME ENHANCEDSTATUSCODES CHUNKING
	    BINARYMIME SMTPUTF8 LIMITS HELP' <<-'END'
	QUIT
	END
	replies 421
	smtp -o disable='PIPELINING SIZE 8BITMIME ENHANCEDSTATUSCODES CHUNKING BINARYMIME SMTPUTF8 LIMITS HELP' \
	    <<-'END'
	EHLO client.test
	MAIL FROM:<> SIZE=1
	MAIL FROM:<> BODY=8BITMIME
	MAIL FROM:<> SMTPUTF8
	QUIT
	END
	replies 220 250 555 555 555 221
	said $'\n250 mx.test\n'
	not_said ' 5.5.4'
}

@test "what is disabled is not accepted either" {
	SYNTAX=("${STRICT[@]}")
	local -A commands=([SIZE]='MAIL FROM:<> SIZE=1'
	    [8BITMIME]='MAIL FROM:<> BODY=8BITMIME'
	    [BINARYMIME]='MAIL FROM:<> BODY=BINARYMIME'
	    [CHUNKING]='MAIL FROM:<> BODY=BINARYMIME'
	    [SMTPUTF8]='MAIL FROM:<> SMTPUTF8' [DSN]='MAIL FROM:<> RET=FULL'
	    [MT-PRIORITY]='MAIL FROM:<> MT-PRIORITY=1'
	    [AUTH]='MAIL FROM:<> AUTH=<>')
	local keyword code

	for keyword in "${!commands[@]}"; do
		code=555
		# The parameter is 8BITMIME's, and only its value is not known.
		[[ $keyword != BINARYMIME && $keyword != CHUNKING ]] || code=501
		smtp -o dsn=yes -o mt-priority=yes -o auth-any=yes \
		    -o auth-cleartext=yes -o disable="$keyword" <<-END
		EHLO client.test
		${commands[$keyword]}
		QUIT
		END
		replies 220 250 $code 221 || fail "$keyword"
		smtp -o dsn=yes -o mt-priority=yes -o auth-any=yes \
		    -o auth-cleartext=yes <<-END
		EHLO client.test
		${commands[$keyword]}
		QUIT
		END
		replies 220 250 250 221 || fail "$keyword"
	done
}

@test "nothing is accepted after HELO" {
	SYNTAX=("${STRICT[@]}")
	smtp -o dsn=yes -o mt-priority=yes -o max-errors=0 <<-'END'
	HELO client.test
	MAIL FROM:<> SIZE=1
	MAIL FROM:<> BODY=7BIT
	MAIL FROM:<> SMTPUTF8
	MAIL FROM:<> RET=FULL
	MAIL FROM:<> MT-PRIORITY=1
	QUIT
	END
	replies 220 250 555 555 555 555 555 221
}

@test "LIMITS has what the settings say" {
	ehlo -o max-recipients=7 -o max-messages=3
	announced 'LIMITS RCPTMAX=7 MAILMAX=3'
	ehlo -o max-recipients=0 -o max-messages=3
	announced 'LIMITS MAILMAX=3'
	ehlo -o max-recipients=999999 -o max-messages=0
	announced 'LIMITS RCPTMAX=999999'
	ehlo -o max-recipients=1000000 -o max-messages=0
	not_announced LIMITS
	ehlo -o max-recipients=0 -o max-messages=0
	not_announced LIMITS
}

@test "and the limits are where it says they are" {
	smtp -o spool="$SPOOL" -o max-recipients=2 -o max-messages=1 <<-'END'
	EHLO client.test
	MAIL FROM:<>
	RCPT TO:<a@mx.test>
	RCPT TO:<b@mx.test>
	RCPT TO:<c@mx.test>
	DATA
	.
	MAIL FROM:<>
	END
	replies 220 250 250 250 250 452 354 250 421
	messages 1
}

@test "SIZE" {
	SYNTAX=("${STRICT[@]}")
	ehlo -o max-size=1000
	announced 'SIZE 1000'
	ehlo -o max-size=0
	announced 'SIZE 0'
	smtp -o max-size=1000 -o max-errors=0 <<-'END'
	EHLO client.test
	MAIL FROM:<> SIZE=1001
	MAIL FROM:<> SIZE=18446744073709551615
	MAIL FROM:<> SIZE=
	MAIL FROM:<> SIZE
	MAIL FROM:<> SIZE=-1
	MAIL FROM:<> SIZE=1k
	MAIL FROM:<> SIZE=99999999999999999999
	MAIL FROM:<> SIZE=999999999999999999999
	MAIL FROM:<> SIZE=1 SIZE=1
	MAIL FROM:<> SIZE=1000
	RCPT TO:<a@b.test> SIZE=1
	QUIT
	END
	replies 220 250 552 552 501 501 501 501 552 501 501 250 555 221
}

@test "BODY" {
	SYNTAX=("${STRICT[@]}")
	smtp -o max-errors=0 <<-'END'
	EHLO client.test
	MAIL FROM:<> BODY
	MAIL FROM:<> BODY=
	MAIL FROM:<> BODY=9BIT
	MAIL FROM:<> BODY=7BIT BODY=7BIT
	MAIL FROM:<> body=7bit
	RSET
	MAIL FROM:<> BODY=8bitmime
	RSET
	MAIL FROM:<> BODY=BinaryMime
	QUIT
	END
	replies 220 250 501 501 501 501 250 250 250 250 250 221
}

@test "what we do not do: DELIVERBY, FUTURERELEASE, REQUIRETLS and others" {
	certs
	talk -- "$SMTPD" -o dsn=yes -o mt-priority=yes -o max-errors=0 \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key" <<-'END'
	< 220
	> EHLO client.test
	< 250
	> STARTTLS
	< 220
	tls
	> EHLO client.test
	< 250
	> MAIL FROM:<> BY=120;R
	< 555 5\.5\.4
	> MAIL FROM:<> HOLDFOR=60
	< 555
	> MAIL FROM:<> HOLDUNTIL=2030-01-01T00:00:00Z
	< 555
	> MAIL FROM:<> REQUIRETLS
	< 555
	> MAIL FROM:<> MTRK=x
	< 555
	> MAIL FROM:<> XVERP
	< 555
	> MAIL FROM:<> SUBMITTER=a@b
	< 555
	> MAIL FROM:<>
	< 250
	> RCPT TO:<a@b.test> RRVS=2014-04-03T23:01:00Z
	< 555
	> ETRN mx.test
	< 500
	> QUIT
	< 221
	eof
	END
	ehlo
	local keyword

	for keyword in DELIVERBY FUTURERELEASE REQUIRETLS ETRN VRFY EXPN; do
		not_announced $keyword
	done
}

@test "parameters: malformed" {
	SYNTAX=("${STRICT[@]}")
	smtp -o max-errors=0 <<-'END'
	EHLO client.test
	MAIL FROM:<>  SIZE=1
	MAIL FROM:<> SIZE=1  BODY=7BIT
	MAIL FROM:<>SIZE=1
	MAIL FROM:<> =1
	MAIL FROM:<> -A=1
	MAIL FROM:<> A_B=1
	MAIL FROM:<> SIZE=1=1
	MAIL FROM:<>	SIZE=1
	MAIL FROM:<> SIZE=1 
	QUIT
	END
	replies 220 250 501 501 501 501 501 501 501 501 250 221
}

# SPDX-License-Identifier: ISC
# auth.bats - AUTH: its framing, PLAIN and LOGIN, what is offered, what is logged.

load lib
load auth

setup() {
	auth_setup
}

@test "PLAIN with an initial response" {
	any <<-END
	EHLO c
	AUTH PLAIN $(plain user pass)
	QUIT
	END
	replies 220 250 235 221
}

@test "PLAIN with the response on a line of its own" {
	any <<-END
	EHLO c
	AUTH PLAIN
	$(plain user pass)
	QUIT
	END
	replies 220 250 334 235 221
	[[ ${lines[*]} == *$'334 '* ]]
}

@test "LOGIN asks for user and password" {
	any <<-END
	EHLO c
	AUTH LOGIN
	$(b64 user)
	$(b64 pass)
	QUIT
	END
	replies 220 250 334 334 235 221
	said '334 VXNlcm5hbWU6'
	said '334 UGFzc3dvcmQ6'
	logged 'user=user'
}

@test "LOGIN's initial response is the user" {
	any <<-END
	EHLO c
	AUTH LOGIN $(b64 user)
	$(b64 pass)
	QUIT
	END
	replies 220 250 334 235 221
	said '334 UGFzc3dvcmQ6'
	not_said '334 VXNlcm5hbWU6'
	logged 'user=user'
}

@test "mechanisms in any case" {
	local word

	for word in 'AUTH PLAIN' 'auth plain' 'Auth pLaIn'; do
		any <<-END
		EHLO c
		$word $(plain user pass)
		QUIT
		END
		replies 220 250 235 221
	done
	any <<-END
	EHLO c
	auth login
	$(b64 user)
	$(b64 pass)
	QUIT
	END
	replies 220 250 334 334 235 221
}

@test "= is an initial response without octets" {
	any <<-'END'
	EHLO c
	AUTH PLAIN =
	NOOP
	END
	replies 220 250 501 250
}

@test "* cancels, and another exchange may follow" {
	any <<-END
	EHLO c
	AUTH PLAIN
	*
	AUTH LOGIN
	*
	AUTH LOGIN
	$(b64 user)
	*
	AUTH PLAIN $(plain user pass)
	QUIT
	END
	replies 220 250 334 501 334 501 334 334 501 235 221
}

@test "a cancelled LOGIN leaves no user for the next exchange" {
	any <<-END
	EHLO c
	AUTH LOGIN
	$(b64 first)
	*
	AUTH LOGIN
	$(b64 second)
	$(b64 pass)
	QUIT
	END
	replies 220 250 334 334 501 334 334 235 221
	logged 'user=second'
	not_logged 'user=first'
}

@test "a failure leaves nothing for the next mechanism" {
	with_file <<-END
	EHLO c
	AUTH PLAIN $(plain alice wrong)
	AUTH LOGIN $(b64 alice)
	*
	AUTH PLAIN $(plain alice secret)
	QUIT
	END
	replies 220 250 535 334 501 235 221
}

# bats test_tags=bulk
@test "bad base64 is 501: every length mod 4 and every bad character" {
	local text c

	for text in A AA AAA AAAAA AAAAAA AAAAAAA = A=== AA= AA== AAA= AAAA= \
	    AAAA== AAAA=AAA AA==AAAA AAAAA=== AB== AAB= '====' '=AAA'; do
		any -o max-errors=0 <<-END
		EHLO c
		AUTH PLAIN
		$text
		NOOP
		END
		replies 220 250 334 501 250 ||
		    fail "response $text" || return
	done
	for c in '!' '-' '_' ' ' '.' ',' ':' '"' '\' '~' '%' $'\xc3\xa4'; do
		any -o max-errors=0 <<-END
		EHLO c
		AUTH PLAIN
		AG${c}EAYQ==
		NOOP
		END
		replies 220 250 334 501 250 || fail "character $c" || return
	done
}

@test "an empty response line is a response of no octets" {
	any <<-'END'
	EHLO c
	AUTH LOGIN

	NOOP
	END
	replies 220 250 334 501 250
}

# long TOTAL: AUTH PLAIN with one response, a line of TOTAL octets with CRLF.
long() {
	local octets=$((($1 - 13) / 4 * 3))

	printf 'EHLO c\nAUTH PLAIN %s\nNOOP\n' "$({
		printf '\0u\0'
		head -c $((octets - 3)) /dev/zero | tr '\0' x
	} | base64 -w 0)"
}

@test "an AUTH line of 12288 octets is read, a longer one is 500" {
	any < <(long 12285)
	replies 220 250 535 250
	any < <(long 12289)
	replies 220 250 500 250
	any < <(printf 'EHLO c\nAUTH LOGIN\n%s\nNOOP\n' \
	    "$(head -c 12287 /dev/zero | tr '\0' A)")
	replies 220 250 334 500 250
	any < <(printf 'EHLO c\nAUTH LOGIN\n%s\nNOOP\n' \
	    "$(head -c 9211 /dev/zero | base64 -w 0)")
	replies 220 250 334 501 250
}

@test "AUTH in a transaction, or twice, or before EHLO, is 503" {
	any <<-END
	AUTH PLAIN $(plain user pass)
	EHLO c
	MAIL FROM:<>
	AUTH PLAIN $(plain user pass)
	RSET
	AUTH PLAIN $(plain user pass)
	AUTH PLAIN $(plain user pass)
	QUIT
	END
	replies 220 503 250 250 503 250 235 503 221
}

@test "an unknown mechanism is 504, a missing one 501" {
	any <<-'END'
	EHLO c
	AUTH CRAM-MD5
	AUTH XOAUTH2 abcd
	AUTH SCRAM-SHA-256
	AUTH EXTERNAL =
	AUTH ANYTHING-LONGER-THAN-20-OCTETS
	AUTH
	QUIT
	END
	replies 220 250 504 504 504 504 504 501 221
}

@test "wrong credentials are 535 5.7.8" {
	with_file <<-END
	EHLO c
	AUTH PLAIN $(plain alice wrong)
	AUTH LOGIN $(b64 bob)
	$(b64 Secret)
	QUIT
	END
	replies 220 250 535 334 535 221
	said '535 5.7.8'
}

@test "PLAIN: exactly two NULs, a user, a password" {
	local response

	for response in '' 'a' '\0' 'a\0b' '\0\0b' 'a\0\0b' '\0a\0b\0' \
	    '\0a\0b\0c' '\0\0' '\0\0\0'; do
		any <<-END
		EHLO c
		AUTH PLAIN
		$(b64 "$response")
		NOOP
		END
		replies 220 250 334 501 250 ||
			fail "response $response" || return
	done
	with_file <<-END
	EHLO c
	AUTH PLAIN $(b64 '\0a\0')
	QUIT
	END
	replies 220 250 535 221
}

@test "PLAIN: to act for somebody else is 535" {
	any <<-END
	EHLO c
	AUTH PLAIN $(b64 'boss\0user\0pass')
	AUTH PLAIN $(b64 'user\0user\0pass')
	QUIT
	END
	replies 220 250 535 235 221
}

# bats test_tags=bulk
@test "control characters and invalid UTF-8 are not credentials" {
	local text

	for text in 'a\001' 'a\177' 'a\r\n' '\300\200' '\355\240\200' \
	    '\364\220\200\200' '\342\202' '\302\205' '\377'; do
		any <<-END
		EHLO c
		AUTH PLAIN $(b64 "\\0$text\\0pass")
		QUIT
		END
		replies 220 250 535 221 || fail "user $text" || return
	done
	any <<-END
	EHLO c
	AUTH PLAIN $(b64 '\0j\303\274rg\0\360\237\224\221')
	QUIT
	END
	replies 220 250 235 221
}

@test "a password of one octet, one of 512, none of 513" {
	any <<-END
	EHLO c
	AUTH PLAIN $(plain user "$(printf '%0513d' 0)")
	AUTH PLAIN $(plain user "$(printf '%0512d' 0)")
	QUIT
	END
	replies 220 250 535 235 221
	any <<-END
	EHLO c
	AUTH PLAIN $(plain user x)
	QUIT
	END
	replies 220 250 235 221
}

@test "a user of 255 octets, none of 256" {
	any <<-END
	EHLO c
	AUTH PLAIN $(plain "$(printf '%0256d' 0)" x)
	AUTH PLAIN $(plain "$(printf '%0255d' 0)" x)
	QUIT
	END
	replies 220 250 535 235 221
}

@test "without auth-cleartext nothing is offered or taken in clear" {
	users >"$USERS"
	certs
	smtp -o spool="$SPOOL" -o auth-file="$USERS" \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key" <<-END
	EHLO c
	AUTH PLAIN $(plain alice secret)
	AUTH LOGIN
	QUIT
	END
	replies 220 250 538 538 221
	not_said AUTH
}

@test "auth=require: MAIL is 530 until AUTH" {
	any -o auth=require <<-END
	EHLO c
	MAIL FROM:<a@b>
	AUTH PLAIN $(plain user pass)
	MAIL FROM:<a@b>
	QUIT
	END
	replies 220 250 530 235 250 221
	said '530 5.7.0'
}

@test "auth=off: a source is not used" {
	with_file -o auth=off <<-END
	EHLO c
	AUTH PLAIN $(plain alice secret)
	QUIT
	END
	[[ ${output%221*} =~ 50[0-9]' ' ]]
	not_said 235
	not_said 'AUTH PLAIN'
}

@test "Received and the program's environment tell of it" {
	any <<-END
	EHLO c
	AUTH PLAIN $(plain user pass)
	MAIL FROM:<a@b>
	RCPT TO:<c@d>
	DATA
	Subject: x

	.
	QUIT
	END
	replies 220 250 235 250 250 354 250 221
	[[ $(message) == *'with ESMTPA'* ]]
	printf '#!/bin/sh\nexec env >"$0.env"\n' >"$BATS_TEST_TMPDIR/taker"
	chmod 755 "$BATS_TEST_TMPDIR/taker"
	smtp -o auth-any=yes -o auth-cleartext=yes \
	    -o exec="$BATS_TEST_TMPDIR/taker" <<-END
	EHLO c
	AUTH PLAIN $(plain user pass)
	MAIL FROM:<a@b>
	RCPT TO:<c@d>
	DATA
	Subject: x

	.
	QUIT
	END
	replies 220 250 235 250 250 354 250 221
	grep -x AUTH_USER=user "$BATS_TEST_TMPDIR/taker.env"
	grep -x PROTOCOL=ESMTPA "$BATS_TEST_TMPDIR/taker.env"
}

@test "auth-any takes an empty password, and one in Latin-1" {
	any <<-END
	EHLO c
	AUTH PLAIN $(printf '\0user\0' | base64)
	QUIT
	END
	replies 220 250 235 221
	any <<-END
	EHLO c
	AUTH LOGIN $(printf user | base64)

	QUIT
	END
	replies 220 250 334 235 221
	any <<-END
	EHLO c
	AUTH PLAIN $(printf '\0user\0p\344' | base64)
	QUIT
	END
	replies 220 250 235 221
	with_file <<-END
	EHLO c
	AUTH PLAIN $(printf '\0alice\0' | base64)
	QUIT
	END
	replies 220 250 535 221
}

@test "auth-any says so in the log each time" {
	any <<-END
	EHLO c
	AUTH PLAIN $(plain user pass)
	QUIT
	END
	grep 'event=auth status=ok mechanism=PLAIN user=user' "$LOG" |
	    grep any=yes
}

@test "each failure is one line with user and address" {
	REMOTE_ADDR=192.0.2.7 REMOTE_PORT=4711 with_file <<-END
	EHLO c
	AUTH PLAIN $(plain alice wrong)
	AUTH PLAIN $(plain nobody wrong)
	QUIT
	END
	[[ $(grep -c 'event=auth status=failed' "$LOG") == 2 ]]
	logged 'mechanism=PLAIN user=alice addr=192.0.2.7 port=4711 reason='
	logged 'mechanism=PLAIN user=nobody addr=192.0.2.7 port=4711 reason='
}

@test "max-auth-failures: then 421" {
	with_file -o max-auth-failures=2 <<-END
	EHLO c
	AUTH PLAIN $(plain alice wrong)
	AUTH PLAIN $(plain alice wronger)
	AUTH PLAIN $(plain alice secret)
	QUIT
	END
	[[ $output == *$'\n535 '*$'\n'421* ]] || fail '421'
	not_said 235
}

@test "one wrong password by two mechanisms is one failure" {
	checker 'echo "$password" >>"$0.asked"; exit 1'
	with_program "$CHECKER" -o max-auth-failures=2 <<-END
	EHLO c
	AUTH PLAIN $(plain user wrong)
	AUTH LOGIN $(b64 user)
	$(b64 wrong)
	AUTH PLAIN $(plain user other)
	AUTH PLAIN $(plain user third)
	QUIT
	END
	replies 220 250 535 334 535 535 421
	[[ $(<"$CHECKER.asked") == $'wrong\nother' ]]
	logged 'status=repeated mechanism=LOGIN user=user'
	[[ $(grep -c status=failed "$LOG") == 2 ]]
}

@test "the same password a third time is a failure again" {
	with_file -o max-auth-failures=2 <<-END
	EHLO c
	AUTH PLAIN $(plain alice wrong)
	AUTH PLAIN $(plain alice wrong)
	AUTH PLAIN $(plain alice wrong)
	AUTH PLAIN $(plain alice secret)
	END
	replies 220 250 535 535 535 421
	[[ $(grep -c status=failed "$LOG") == 2 ]]
	[[ $(grep -c status=repeated "$LOG") == 1 ]]
}

@test "the same password for another user is not a repetition" {
	with_file -o max-auth-failures=2 <<-END
	EHLO c
	AUTH PLAIN $(plain alice wrong)
	AUTH PLAIN $(plain bob wrong)
	AUTH PLAIN $(plain bob secret)
	END
	replies 220 250 535 535 421
	not_logged status=repeated
}

@test "a source that is broken takes its time too" {
	local start=${EPOCHREALTIME/./} took

	with_file -o auth-file=/nonexistent/users <<-END
	EHLO c
	AUTH PLAIN $(plain alice secret)
	QUIT
	END
	took=$((${EPOCHREALTIME/./} - start))
	replies 220 250 454 221
	((took > 450000)) || fail "took $took microseconds"
}

@test "the failures in a row take longer and longer" {
	local start=${EPOCHREALTIME/./} took

	with_file -o max-auth-failures=0 <<-END
	EHLO c
	AUTH PLAIN $(plain alice wrong)
	AUTH PLAIN $(plain alice wrong)
	QUIT
	END
	took=$((${EPOCHREALTIME/./} - start))
	replies 220 250 535 535 221
	((took > 1400000)) || fail "took $took microseconds"
}

@test "no secret is in the log, at any level" {
	local secret='Tr0ub4dor&3'

	any -o log-level=debug -o max-errors=0 <<-END
	EHLO c
	AUTH PLAIN $(b64 "other\\0user\\0$secret")
	AUTH PLAIN
	$(b64 "other\\0user\\0$secret")
	AUTH LOGIN $(b64 user)
	*
	AUTH LOGIN
	$(b64 user)
	$(b64 "$secret")
	QUIT
	END
	replies 220 250 535 334 535 334 501 334 334 235 221
	with_file -o log-level=debug <<-END
	EHLO c
	AUTH LOGIN $(b64 alice)
	$(b64 "$secret")
	AUTH SCRAM-SHA-256 $(b64 'n,,n=bob,r=ClientsNonce')
	$(b64 'c=biws,r=ClientsNonce,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=')
	AUTH CRAM-MD5 $(b64 "$secret")
	$(b64 "$secret")
	QUIT
	END
	logged EHLO
	not_logged "$secret"
	not_logged "$(b64 "$secret" | cut -c 1-12)"
	not_logged "$(b64 "other\\0user\\0$secret" | cut -c 17-28)"
	not_logged "$(b64 "user\\0$secret" | cut -c 9-20)"
	not_logged ClientsNonce
	not_logged "$(b64 'c=biws,r=ClientsNonce' | cut -c 1-16)"
}

@test "a user's name in the log is cleaned and quoted" {
	any <<-END
	EHLO c
	AUTH PLAIN $(b64 'x\0a addr=9.9.9.9 "\0p')
	AUTH PLAIN $(b64 '\0a\033[2J\nb\0p')
	QUIT
	END
	replies 220 250 535 535 221
	[[ $(grep -c 'event=auth' "$LOG") == 2 ]]
	run -1 grep -q $'[\x01-\x08\x0b-\x1f\x7f]' "$LOG"
	not_logged ' user=a addr=9.9.9.9'
}

@test "a source that is broken is 454 4.7.0, and logged" {
	smtp -o spool="$SPOOL" -o auth-file=/nonexistent/users \
	    -o auth-cleartext=yes <<-END
	EHLO c
	AUTH PLAIN $(plain alice secret)
	AUTH LOGIN $(b64 alice)
	$(b64 secret)
	QUIT
	END
	replies 220 250 454 334 454 221
	said '454 4.7.0'
	logged /nonexistent/users
	grep 'event=auth status=error' "$LOG"
}

@test "-t names what is wrong with the sources" {
	users >"$USERS"
	printf '%s\n' 'plain:secret' 'nothing' 'ok:*' 'e:' >>"$USERS"
	run "$SMTPD" -t -o spool="$SPOOL" -o auth-file="$USERS" \
	    -o auth-cleartext=yes
	((status != 0))
	[[ $output == *"$USERS: line 5: no hash"* ]]
	[[ $output == *"$USERS: line 6: not user:hash"* ]]
	[[ $output == *"$USERS: line 8: no hash"* ]]
	[[ $output != *"line 7"* && $output != *secret* ]]
	run "$SMTPD" -t -o spool="$SPOOL" -o auth-file=/nonexistent \
	    -o auth-cleartext=yes
	((status != 0))
	[[ $output == *'/nonexistent: No such file'* ]]
	run "$SMTPD" -t -o spool="$SPOOL" -o auth-program='/nonexistent x' \
	    -o auth-cleartext=yes
	((status != 0))
	[[ $output == *'/nonexistent: No such file'* ]]
	users >"$USERS"
	chmod 600 "$USERS"
	run "$SMTPD" -t -o spool="$SPOOL" -o auth-file="$USERS" \
	    -o auth-cleartext=yes
	((status == 0)) || fail "$output"
}

@test "-t names a hash that is cut off, of each kind" {
	local hash

	for hash in '$6$' '$6$salt$' '$6$salt$TFQsgG1z' '$5$salt$TFQsgG1z' \
	    '$1$salt$TFQsgG1z' '$2b$05$TFQsgG1z' '$y$j9T$salt$TFQsgG1z' \
	    '{CRYPT}$6$salt$TFQsgG1z'; do
		printf '%s\n' "user:$hash" >"$USERS"
		chmod 600 "$USERS"
		run "$SMTPD" -t -o spool="$SPOOL" -o auth-file="$USERS" \
		    -o auth-cleartext=yes
		((status == 78)) || fail "$hash" || return
		said "$USERS: line 1: the hash is cut off" || return
	done
	for hash in "$(openssl passwd -6 x)" "$(openssl passwd -5 x)" \
	    "$(openssl passwd -1 x)"; do
		printf '%s\n' "user:$hash" >"$USERS"
		"$SMTPD" -t -o spool="$SPOOL" -o auth-file="$USERS" \
		    -o auth-cleartext=yes || fail "$hash" || return
	done
}

# bats test_tags=bulk
@test "after AUTH no password is left in memory, plain or base64" {
	users >"$USERS"
	client -o auth-file="$USERS" -o auth-cleartext=yes \
	    -o syntax=strict <<-'END'
	from base64 import b64encode
	from client import Client
	secret = b'Correct_Horse_Battery'
	plain = b64encode(b'\0bob\0' + secret)
	login = b64encode(secret)
	c = Client()

	def memory():
	    for m in open('/proc/%d/maps' % c.smtpd.pid):
	        m = m.split()
	        start, end = [int(x, 16) for x in m[0].split('-')]
	        # Not a sanitizer's shadow, which is endless.
	        if m[1][:2] != 'rw' or end - start > 1 << 28:
	            continue
	        with open('/proc/%d/mem' % c.smtpd.pid, 'rb', 0) as f:
	            f.seek(start)
	            yield f.read(end - start)

	c.hear(b'220')
	c.ask(b'EHLO client.of.this.test', b'250')
	c.ask(b'AUTH PLAIN ' + plain, b'535')
	c.ask(b'AUTH LOGIN', b'334')
	c.ask(b64encode(b'bob'), b'334')
	c.ask(login, b'535')
	c.ask(b'AUTH NONSENSE ' + plain, b'504')
	c.ask(login, b'500')
	c.ask(b'AUTH PLAIN ' + plain + b'!', b'501')
	c.ask(b'MAIL FROM:<>', b'250')
	c.ask(b'AUTH PLAIN ' + plain, b'503')
	c.ask(b'AUTH PLAIN ' + plain + b'\n', b'501')
	seen = b''.join(memory())
	assert b'client.of.this.test' in seen, 'saw no memory'
	for what in secret, plain[8:24], login[:16], b'qcBA2+2XEJ/Glhj':
	    assert what not in seen, what
	END
}

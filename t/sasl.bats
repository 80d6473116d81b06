# SPDX-License-Identifier: ISC
# sasl.bats - AUTH with other people's clients, hashes, checkers and filters.
# bats file_tags=listener

load lib

setup() {
	test_setup
	USERS=$BATS_TEST_TMPDIR/users
	PASSWORD='pa s,s="wörd"'
}

# b64 FORMAT: octets as printf has them, in base64.
b64() {
	# shellcheck disable=SC2059 # it is a format
	printf "$1" | base64 -w 0
}

# scram USER PASSWORD: an entry with a verifier.
scram() {
	echo "$1:$(gsasl --mkpasswd --mechanism=SCRAM-SHA-256 \
	    --iteration-count=4096 --password="$2")"
}

ALL='SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN'

# submission TLS [ARGUMENT ...]: a server of the port of that kind, with users.
submission() {
	certs
	[[ -e $USERS ]] || scram jörg "$PASSWORD" >"$USERS"
	serve -o spool="$SPOOL" -o auth=require -o auth-file="$USERS" \
	    -o tls="$1" -o tls-cert="$CERTS/ec.pem" \
	    -o tls-key="$CERTS/ec.key" "${@:2}"
	cat >"$BATS_TEST_TMPDIR/message" <<-'END'
	From: a@mx.test
	Subject: hello

	.hello
	END
}

# authenticated MECHANISM: one session did so, and one message came.
authenticated() {
	logged "status=ok mechanism=$1 user=\"jörg\""
	messages 1
	[[ $(message) == *'with ESMTPSA'* ]]
}

# in_clear USER PASSWORD CODE: PLAIN on a pipe, with the file.
in_clear() {
	smtp -o spool="$SPOOL" -o auth-file="$USERS" -o auth-cleartext=yes \
	    <<-END
	EHLO c
	AUTH PLAIN $({ printf '\0%s\0%s' "$1" "$2"; } | base64 -w 0)
	QUIT
	END
	replies 220 250 "$3" 221
}

# msmtp_with MECHANISM [OPTION ...]
msmtp_with() {
	msmtp --host=127.0.0.1 --port="$PORT" --tls=on \
	    --tls-trust-file= --tls-certcheck=off \
	    --auth="$1" --user=jörg --passwordeval="echo '$PASSWORD'" \
	    --from=a@mx.test --file=/dev/null "${@:2}" b@mx.test \
	    <"$BATS_TEST_TMPDIR/message"
}

@test "msmtp: SCRAM-SHA-256, PLAIN, LOGIN" {
	submission offer
	msmtp_with scram-sha-256 --tls-starttls=on
	authenticated SCRAM-SHA-256
	msmtp_with plain --tls-starttls=on
	msmtp_with login --tls-starttls=on
	messages 3
	logged 'mechanism=PLAIN user="jörg"'
	logged 'mechanism=LOGIN user="jörg"'
}

@test "msmtp: SCRAM-SHA-256 inside implicit TLS" {
	submission implicit
	msmtp_with scram-sha-256 --tls-starttls=off
	authenticated SCRAM-SHA-256
}

@test "msmtp: a wrong password" {
	submission offer -o "auth-mechanisms=$ALL"
	PASSWORD=other
	run msmtp_with scram-sha-256 --tls-starttls=on
	((status == 77))
	logged 'event=auth status=failed mechanism=SCRAM-SHA-256 user="jörg"'
	messages 0
}

# gsasl_with MECHANISM [OPTION ...]
gsasl_with() {
	# It gives up by itself if it could bind, but should not.
	[[ $1 == *-PLUS ]] || set -- "$@" --no-cb
	gsasl --smtp --connect="127.0.0.1:$PORT" --hostname=mx.test \
	    --x509-ca-file= --mechanism="$1" \
	    --authentication-id=jörg --password="$PASSWORD" \
	    "${@:2}" </dev/null
}

@test "gsasl: SCRAM-SHA-256-PLUS, bound to the TLS channel" {
	submission offer -o "auth-mechanisms=$ALL"
	run gsasl_with SCRAM-SHA-256-PLUS
	[[ $output == *'235 2.7.0'* ]]
	logged 'status=ok mechanism=SCRAM-SHA-256-PLUS user="jörg"'
	logged 'protocol=TLSv1.3'
}

@test "gsasl: SCRAM-SHA-256 under TLS 1.2, where its binding is another" {
	submission offer
	run gsasl_with SCRAM-SHA-256 --priority=NORMAL:-VERS-TLS1.3
	[[ $output == *'235 2.7.0'* ]]
	[[ $output == *'250-AUTH SCRAM-SHA-256 PLAIN LOGIN'* ]]
	logged 'protocol=TLSv1.2'
}

@test "gsasl: every mechanism that it shares with us" {
	local mechanism

	submission offer -o "auth-mechanisms=$ALL"
	for mechanism in $ALL; do
		run gsasl_with $mechanism
		[[ $output == *'235 2.7.0'* ]] ||
			fail "$mechanism" || return
		logged "status=ok mechanism=$mechanism user="
	done
}

@test "gsasl: a wrong password" {
	local mechanism

	submission offer -o "auth-mechanisms=$ALL"
	PASSWORD=other
	for mechanism in SCRAM-SHA-256-PLUS SCRAM-SHA-256; do
		run gsasl_with $mechanism
		((status != 0))
		logged "status=failed mechanism=$mechanism user="
	done
	not_logged status=ok
}

@test "swaks: PLAIN and LOGIN" {
	local mechanism

	scram joe secret >"$USERS"
	submission offer
	for mechanism in PLAIN LOGIN; do
		swaks --server 127.0.0.1 --port "$PORT" --tls --auth \
		    $mechanism --auth-user joe --auth-password secret \
		    --from a@mx.test --to b@mx.test >/dev/null
		logged "status=ok mechanism=$mechanism user=joe"
	done
	messages 2
	run swaks --server 127.0.0.1 --port "$PORT" --tls --auth PLAIN \
	    --auth-user joe --auth-password wrong --from a@mx.test \
	    --to b@mx.test
	((status == 28))
	messages 2
}

@test "curl: PLAIN, and STARTTLS or smtps" {
	submission offer
	curl -sS --crlf --ssl-reqd --cacert "$CERTS/ca.pem" \
	    --resolve "mx.test:$PORT:127.0.0.1" --user "jörg:$PASSWORD" \
	    --mail-from a@mx.test --mail-rcpt b@mx.test \
	    --upload-file "$BATS_TEST_TMPDIR/message" "smtp://mx.test:$PORT"
	authenticated PLAIN
	submission implicit
	curl -sS --crlf --cacert "$CERTS/ca.pem" \
	    --resolve "mx.test:$PORT:127.0.0.1" --user "jörg:$PASSWORD" \
	    --login-options AUTH=LOGIN \
	    --mail-from a@mx.test --mail-rcpt b@mx.test \
	    --upload-file "$BATS_TEST_TMPDIR/message" "smtps://mx.test:$PORT"
	messages 2
	logged 'status=ok mechanism=LOGIN'
}

@test "smtplib: login, and EXTERNAL by hand with a certificate" {
	certs
	scram joe secret >"$USERS"
	echo 'client.test:*' >>"$USERS"
	serve -o spool="$SPOOL" -o auth=require -o auth-file="$USERS" \
	    -o auth-mechanisms='EXTERNAL PLAIN' -o tls=require -o tls-cert="$CERTS/rsa.pem" \
	    -o tls-key="$CERTS/rsa.key" -o tls-client-ca="$CERTS/ca.pem"
	"$PYTHON" - "$PORT" "$CERTS" <<-'END'
	import smtplib, ssl, sys
	port, certs = int(sys.argv[1]), sys.argv[2]
	tls = ssl.create_default_context(cafile=certs + '/ca.pem')
	tls.check_hostname = False
	s = smtplib.SMTP('127.0.0.1', port)
	s.starttls(context=tls)
	assert 'EXTERNAL' not in s.esmtp_features.get('auth', '')
	s.login('joe', 'secret')
	s.sendmail('a@mx.test', 'b@mx.test', 'Subject: x\r\n\r\nx\r\n')
	s.quit()
	tls.load_cert_chain(certs + '/client.pem', certs + '/client.key')
	s = smtplib.SMTP('127.0.0.1', port)
	s.starttls(context=tls)
	s.ehlo()
	assert 'EXTERNAL' in s.esmtp_features['auth'], s.esmtp_features
	assert s.docmd('AUTH', 'EXTERNAL =')[0] == 235
	s.sendmail('a@mx.test', 'b@mx.test', 'Subject: x\r\n\r\nx\r\n')
	s.quit()
	s = smtplib.SMTP('127.0.0.1', port)
	s.starttls(context=tls)
	try:
	    s.login('joe', 'wrong')
	    sys.exit('logged in')
	except smtplib.SMTPAuthenticationError as e:
	    assert e.smtp_code == 535, e
	END
	messages 2
	logged 'status=ok mechanism=EXTERNAL user=client.test'
}

# bats test_tags=bulk
@test "all kinds of crypt(3) that mkpasswd makes" {
	local kind

	for kind in yescrypt gost-yescrypt scrypt sha512crypt sha256crypt \
	    bcrypt bcrypt-a md5crypt; do
		echo "$kind:$(mkpasswd -m $kind "$PASSWORD")"
	done >"$USERS"
	for kind in $(cut -d : -f 1 "$USERS"); do
		in_clear "$kind" "$PASSWORD" 235 ||
			fail "$kind" || return
	done
	in_clear yescrypt wrong 535
	in_clear bcrypt wrong 535
	chmod 600 "$USERS"
	run "$SMTPD" -t -o spool="$SPOOL" -o auth-file="$USERS" \
	    -o auth-cleartext=yes
	((status == 0))
}

@test "a verifier that gsasl makes, with its own number of iterations" {
	echo "joe:$(gsasl --mkpasswd --mechanism=SCRAM-SHA-256 \
	    --password=secret)" >"$USERS"
	in_clear joe secret 235
	in_clear joe Secret 535
}

@test "checkpw, a checkpassword program of Debian's" {
	local me=$BATS_TEST_TMPDIR/home user ptrace=

	# It drops the groups of root, which nobody else may do.
	((EUID == 0)) || ptrace="/usr/bin/strace -qq -o /dev/null \
	    -e trace=setgroups -e inject=setgroups:retval=0"

	# It looks for a file in a directory of the user's home directory.
	user=$(id -un)
	mkdir -p "$me/.password.d"
	printf 'secret' >"$me/.password"
	chmod 600 "$me/.password"
	smtp -o spool="$SPOOL" -o auth-cleartext=yes \
	    -o auth-program="/usr/bin/env MAILDIR=$me $ptrace /usr/bin/checkpw $(
	    )/bin/true" <<-END
	EHLO c
	AUTH PLAIN $(b64 "\\000$user\\000wrong")
	AUTH PLAIN $(b64 "\\000$user\\000secret")
	QUIT
	END
	replies 220 250 535 235 221
	logged "status=ok mechanism=PLAIN user=$user"
}

# wiped LINE ...: after EHLO, none of these keeps the password anywhere.
wiped() {
	local plain

	plain=$(b64 '\0bob\0Correct_Horse_Battery')
	{
		printf 'EHLO client.test\r\n'
		for line; do
			line=${line//PLAINTEXT/Correct_Horse_Battery}
			printf '%b\r\n' "${line//BASE64/$plain}"
		done
		printf 'QUIT\r\n'
	} >"$BATS_TEST_TMPDIR/in"
	run "$TOOLS/wipe" Correct_Horse_Battery "$plain" \
	    <"$BATS_TEST_TMPDIR/in"
	((status == 0)) || fail "$*"
}

# bats test_tags=bulk
@test "no password stays in the engine or its input, accepted or refused" {
	local refused

	wiped 'AUTH PLAIN BASE64'
	wiped 'AUTH PLAIN' BASE64
	wiped 'AUTH LOGIN Ym9i' "$(b64 Correct_Horse_Battery)" PLAINTEXT
	wiped 'auth plain BASE64' 'NOOP'
	# What is refused before the hook is asked.
	for refused in 'AUTH NONSENSE BASE64' 'AUTH PLAIN BASE64!' \
	    'AUTH PLAIN PLAINTEXT' 'AUTH  PLAIN BASE64' 'AUTH BASE64' \
	    'AUTH PLAIN BASE64\nNOOP' 'AUTH PLAIN BASE64\0' \
	    'AUTH\tPLAIN BASE64' 'AUTHPLAIN BASE64' 'XAUTH PLAINTEXT' \
	    "AUTH PLAIN $(printf '%013000d' 0)BASE64" \
	    "AUTH PLAIN BASE64$(printf '%013000d' 0)BASE64"; do
		wiped "$refused" || return
	done
	wiped 'MAIL FROM:<>' 'AUTH PLAIN BASE64' 'RSET'
	wiped 'HELO client.test' 'AUTH PLAIN BASE64'
	# A client that does not wait for the answer to each step.
	wiped 'AUTH NONSENSE' BASE64 PLAINTEXT
	wiped 'AUTH PLAIN' 'BASE64\nNOOP' PLAINTEXT
	wiped 'AUTH PLAIN' '*' BASE64
	wiped 'AUTH PLAIN AAAA' 'AUTH PLAIN AAAA' 'AUTH PLAIN AAAA' \
	    'AUTH PLAIN BASE64' BASE64
}

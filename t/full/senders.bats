# SPDX-License-Identifier: ISC
# Other people's mail servers hand us their mail, as they are.

load ../lib

# The users that Postfix's installation would have made.
postfix_users() {
	local file

	for file in passwd group; do
		grep -v '^post\(fix\|drop\):' "/etc/$file" \
		    >"$BATS_TEST_TMPDIR/postfix.$file"
	done
	echo 'postfix:x:65531:65531::/:/bin/false' \
	    >>"$BATS_TEST_TMPDIR/postfix.passwd"
	printf '%s:x:%s:\n' postfix 65531 postdrop 65532 \
	    >>"$BATS_TEST_TMPDIR/postfix.group"
}

# in_postfix COMMAND ...: in a place of its own, with Postfix's files over the
# machine's.
in_postfix() {
	# shellcheck disable=SC2016
	exec unshare -m sh -ec 'mount -t overlay -o lowerdir="$1/usr:/usr" usr /usr
	    mount --bind "$0.passwd" /etc/passwd
	    mount --bind "$0.group" /etc/group
	    shift
	    exec "$@"' "$BATS_TEST_TMPDIR/postfix" "$UNPACKED" "$@"
}

# queue NAME USER: a directory in $QUEUE that a server's user may reach.
queue() {
	QUEUE=$BATS_TEST_TMPDIR/$1
	mkdir "$QUEUE"
	chmod a+x "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR"/{file,test} \
	    "$BATS_TEST_TMPDIR"
	chown "$2:" "$QUEUE"
}

# postfix_starts [LINE ...]: all of Postfix that sends, and no more, with these
# lines in its main.cf.
postfix_starts() {
	local dir

	queue queue root
	CONF=$BATS_TEST_TMPDIR/postfix
	mkdir "$CONF" "$CONF/data" "$QUEUE"/{pid,public,maildrop}
	for dir in active bounce corrupt defer deferred flush hold incoming \
	    private saved trace; do
		mkdir -m 700 "$QUEUE/$dir"
		chown 65531:65531 "$QUEUE/$dir"
	done
	chown 65531:65531 "$CONF/data"
	chown 65531:65532 "$QUEUE"/{public,maildrop}
	chmod 710 "$QUEUE/public"
	chmod 1730 "$QUEUE/maildrop"
	postfix_settings "$@" >"$CONF/main.cf"
	postfix_services >"$CONF/master.cf"
	postfix_users
	background in_postfix /usr/lib/postfix/sbin/master -c "$CONF" -d \
	    >"$BATS_TEST_TMPDIR/master.log" 2>&1
	wait_for test -S "$QUEUE/public/pickup"
}

postfix_settings() {
	printf '%s\n' \
	    'compatibility_level = 3.6' \
	    "queue_directory = $QUEUE" \
	    "data_directory = $CONF/data" \
	    'mail_owner = postfix' \
	    'setgid_group = postdrop' \
	    'myhostname = sender.test' \
	    'mydestination =' \
	    'inet_interfaces = loopback-only' \
	    'inet_protocols = ipv4' \
	    'disable_dns_lookups = yes' \
	    'alias_maps =' \
	    'smtputf8_enable = yes' \
	    'maillog_file_prefixes = /' \
	    "maillog_file = $BATS_TEST_TMPDIR/postfix.log" \
	    "$@"
}

postfix_services() {
	cat <<-'END'
		postlog unix-dgram n - n - 1 postlogd
		pickup unix n - n 60 1 pickup
		cleanup unix n - n - 0 cleanup
		qmgr unix n - n 300 1 qmgr
		rewrite unix - - n - - trivial-rewrite
		bounce unix - - n - 0 bounce
		defer unix - - n - 0 bounce
		trace unix - - n - 0 bounce
		proxymap unix - - n - - proxymap
		smtp unix - - n - - smtp
		lmtp unix - - n - - lmtp
		scache unix - - n - 1 scache
		tlsmgr unix - - n 1000? 1 tlsmgr
		error unix - - n - - error
		retry unix - - n - - error
	END
}

# postfix_sends RECIPIENT ...: the message on standard input.
postfix_sends() {
	(in_postfix sendmail -C "$CONF" -i -f a@sender.test "$@")
}

# Postfix is done with what it had, and all of it was accepted.
postfix_sent() {
	local log=$BATS_TEST_TMPDIR/postfix.log

	wait_for removed "$1" || { cat "$log" "${log%/*}/master.log"; return 1; }
	! grep -E 'status=(deferred|bounced)|warning:|fatal:' "$log" ||
		fail "$(<"$log")"
}

# removed NUMBER: that many messages are no longer in the queue.
removed() {
	(($(grep -c 'qmgr.*: removed' "$BATS_TEST_TMPDIR/postfix.log") == $1))
}

# exim_unpacked: the binary, from Debian's package, which can't be installed
# next to Postfix; once for all tests.
exim_unpacked() {
	EXIM=$BATS_FILE_TMPDIR/exim/usr/sbin/exim4
	(
		cd "$BATS_FILE_TMPDIR" || exit
		chmod a+x .
		flock 9
		[[ ! -x $EXIM ]] || exit 0
		apt-get -qq -o APT::Sandbox::User=root download \
		    exim4-daemon-light
		dpkg -x exim4-daemon-light_*.deb exim
	) 9>"$BATS_FILE_TMPDIR/exim.lock"
}

# exim ARGUMENT ...: it insists on a user and a group whom only its package's
# installation would make, so it sees lists of them with one more.
exim() {
	sed '$a Debian-exim:x:65534:65534::/:/bin/false' /etc/passwd \
	    >"$BATS_TEST_TMPDIR/passwd"
	sed '$a Debian-exim:x:65534:' /etc/group >"$BATS_TEST_TMPDIR/group"
	# shellcheck disable=SC2016
	unshare -m sh -c 'mount --bind "$0/passwd" /etc/passwd &&
	    mount --bind "$0/group" /etc/group && exec "$@"' \
	    "$BATS_TEST_TMPDIR" "$EXIM" -C "$BATS_TEST_TMPDIR/exim.conf" "$@"
}

# exim_sends RECIPIENT ...: the message on standard input, by BDAT if it may,
# with what EXIM_TRANSPORT has besides.
exim_sends() {
	queue spool nobody
	cat >"$BATS_TEST_TMPDIR/exim.conf" <<-END
		exim_path = $EXIM
		exim_user = nobody
		exim_group = nogroup
		spool_directory = $QUEUE
		log_file_path = $QUEUE/%slog
		primary_hostname = sender.test
		domainlist local_domains =
		trusted_users = root
		keep_environment =
		begin routers
		all:
		  driver = manualroute
		  route_list = * 127.0.0.1
		  self = send
		  transport = out
		begin transports
		out:
		  driver = smtp
		  port = $PORT
		  hosts_override
		  hosts_try_chunking = *
		  hosts_try_fastopen =
		$(printf '  %s\n' "${EXIM_TRANSPORT[@]}")
		begin retry
	END
	# Two steps: to deliver at once, Exim would start itself as its user, who
	# may not choose a settings file.
	exim -odq -oi -f a@sender.test "$@"
	exim -qff
	exim_says '=> .* C="250 '
}

# exim_says PATTERN: a line of its log.
exim_says() {
	local log=$BATS_TEST_TMPDIR/spool/mainlog

	grep -q -e "$1" "$log" || fail "$(<"$log")"
}

# dovecot_starts [FIELD ...]: Dovecot's LMTP server on the socket $RELAY, which
# hands all on to us by LMTP, with these fields of a proxy.
dovecot_starts() {
	local conf=$BATS_TEST_TMPDIR/dovecot.conf

	RELAY=$BATS_TEST_TMPDIR/run/lmtp
	chmod a+x "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR"/{file,test} \
	    "$BATS_TEST_TMPDIR"
	cat >"$conf" <<-END
		base_dir = $BATS_TEST_TMPDIR/run
		state_dir = $BATS_TEST_TMPDIR/run
		log_path = $BATS_TEST_TMPDIR/dovecot.log
		protocols = lmtp
		ssl = no
		ssl_client_ca_file = ${CERTS-}/ca.pem
		lmtp_proxy = yes
		passdb {
			driver = static
			args = proxy=y nopassword=y host=127.0.0.1 port=$PORT \
protocol=lmtp $*
		}
		service lmtp {
			unix_listener lmtp {
				mode = 0600
			}
		}
		service anvil {
			chroot =
		}
	END
	background dovecot -F -c "$conf" >"$BATS_TEST_TMPDIR/dovecot.out" 2>&1
	wait_for test -S "$RELAY" || cat "$BATS_TEST_TMPDIR"/dovecot.{log,out}
}

# dovecot_hands OPTION ...: the message on standard input, to Dovecot.
dovecot_hands() {
	swaks --socket "$RELAY" --protocol LMTP --helo client.test \
	    --from a@client.test --data - "$@"
}

# dovecot_says PATTERN: a line of its log.
dovecot_says() {
	wait_for grep -q -e "$1" "$BATS_TEST_TMPDIR/dovecot.log" ||
		fail "$(<"$BATS_TEST_TMPDIR/dovecot.log")"
}

# program [LINE ...]: keeps its environment and its message.
program() {
	printf '%s\n' '#!/bin/sh' "env >'$BATS_TEST_TMPDIR/env.'\"\$RECIPIENT\"" \
	    "cat >'$BATS_TEST_TMPDIR/message.'\"\$RECIPIENT\"" "$@" \
	    >"$BATS_TEST_TMPDIR/program"
	chmod 755 "$BATS_TEST_TMPDIR/program"
	PROGRAM="$BATS_TEST_TMPDIR/program {recipient}"
}

# told RECIPIENT LINE ...: these are in its environment.
told() {
	local env=$BATS_TEST_TMPDIR/env.$1

	shift
	for line; do
		grep -qxF -e "$line" "$env" || fail "$line: $(<"$env")" ||
			return
	done
}

# header LINE ...: these are in the only message's header.
header() {
	local line

	for line; do
		message | sed '/^$/q' | grep -qxF -e "$line" ||
			fail "$line: $(message)" || return
	done
}

# A message with what is easily broken on the way.
letter() {
	printf '%s\n' 'Subject: hello' 'From: a@sender.test' '' \
	    'one' '.' '..two' '.three'
}

# All of it came, with this protocol in our Received line.
came_with() {
	local got

	got=$(message | tr -d '\r')
	[[ $got == *" with $1"* ]] || fail "$got" || return
	[[ $got == *$'\n\none\n.\n..two\n.three' ]] || fail "$got"
}

@test "Postfix smtp(8)" {
	serve -o spool="$SPOOL"
	postfix_starts "relayhost = [127.0.0.1]:$PORT"
	letter | postfix_sends b@mx.test
	postfix_sent 1
	messages 1
	came_with ESMTP
}

@test "Postfix smtp(8): addresses in UTF-8" {
	serve -o spool="$SPOOL"
	postfix_starts "relayhost = [127.0.0.1]:$PORT"
	letter | postfix_sends 'bücher@mx.test'
	postfix_sent 1
	messages 1
	came_with UTF8SMTP
	wait_for grep -q 'bücher@mx.test' "$LOG"
}

@test "Postfix smtp(8): many messages to many recipients" {
	local i

	serve -o spool="$SPOOL"
	postfix_starts "relayhost = [127.0.0.1]:$PORT"
	for i in {1..10}; do
		letter | postfix_sends "b$i@mx.test" "c$i@mx.test"
	done
	postfix_sent 10
	messages 10
}

@test "Postfix lmtp(8): each recipient has a reply of its own" {
	serve -o spool="$SPOOL" -o protocol=lmtp
	postfix_starts "default_transport = lmtp:inet:127.0.0.1:$PORT"
	letter | postfix_sends b@mx.test c@mx.test
	postfix_sent 1
	(($(grep -c 'lmtp.*status=sent' "$BATS_TEST_TMPDIR/postfix.log") == 2))
	grep -q 'to=<b@mx.test>.*status=sent' "$BATS_TEST_TMPDIR/postfix.log"
	grep -q 'to=<c@mx.test>.*status=sent' "$BATS_TEST_TMPDIR/postfix.log"
	messages 1
	came_with LMTP
}

@test "Exim, which sends with BDAT" {
	exim_unpacked
	serve -o spool="$SPOOL" -o log-level=debug
	letter | exim_sends b@mx.test
	messages 1
	came_with ESMTP
	logged BDAT
}

@test "Exim, BDAT inside STARTTLS" {
	certs
	exim_unpacked
	serve -o spool="$SPOOL" -o log-level=debug -o tls=require \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key"
	EXIM_TRANSPORT=('hosts_require_tls = *'
	    "tls_verify_certificates = $CERTS/ca.pem"
	    'tls_verify_cert_hostnames =' 'tls_verify_hosts = *')
	letter | exim_sends b@mx.test c@mx.test
	exim_says ' X=TLS1\.3:.* CV=yes.* K '
	messages 1
	came_with ESMTPS
	logged 'line="BDAT '
	not_logged 'line=DATA'
}

@test "Exim as LMTP client: each recipient has a reply of its own" {
	exim_unpacked
	# shellcheck disable=SC2016 # the program's
	program 'case $RECIPIENT in c@*) exit 67; esac'
	serve -o protocol=lmtp -o exec="$PROGRAM" -o log-level=debug
	EXIM_TRANSPORT=('protocol = lmtp')
	letter | exim_sends b@mx.test c@mx.test d@mx.test
	exim_says '=> b@mx.test .* C="250 '
	exim_says '\*\* c@mx.test .*550 5\.1\.1'
	exim_says '[-=]> d@mx.test .* C="250 '
	logged 'line="LHLO sender.test"'
	logged 'line="BDAT '
	told b@mx.test PROTOCOL=LMTP SENDER=a@sender.test
	told d@mx.test PROTOCOL=LMTP
	cmp <(sed '1,/^$/d' "$BATS_TEST_TMPDIR/message.d@mx.test") \
	    <(letter | sed '1,/^$/d')
}

@test "Exim as LMTP client, inside STARTTLS" {
	certs
	exim_unpacked
	serve -o protocol=lmtp -o spool="$SPOOL" -o tls=require \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key"
	EXIM_TRANSPORT=('protocol = lmtp' 'hosts_require_tls = *')
	letter | exim_sends b@mx.test c@mx.test
	exim_says '=> b@mx.test .* X=TLS1\.3:'
	messages 1
	came_with LMTPS
}

@test "Dovecot as LMTP client, with BDAT: a reply for each recipient" {
	# shellcheck disable=SC2016 # the program's
	program 'case $RECIPIENT in c@*) echo "not c"; exit 67; esac'
	serve -o protocol=lmtp -o exec="$PROGRAM" -o log-level=debug
	dovecot_starts
	letter | dovecot_hands --to b@mx.test,c@mx.test,d@mx.test
	dovecot_says 'Sent message to <b@mx.test> at 127.0.0.1.*: 250 2.0.0'
	dovecot_says '<c@mx.test> at 127.0.0.1.*: 550 5.1.1 not c'
	dovecot_says 'Sent message to <d@mx.test> at 127.0.0.1.*: 250 2.0.0'
	logged 'line="BDAT '
	not_logged 'line=DATA'
	told b@mx.test PROTOCOL=LMTP SENDER=a@client.test
	told d@mx.test PROTOCOL=LMTP
	cmp <(sed '1,/^$/d' "$BATS_TEST_TMPDIR/message.d@mx.test") \
	    <(letter | sed '1,/^$/d'; echo)		# swaks' own empty line
}

@test "Dovecot as LMTP client, inside STARTTLS" {
	certs
	serve -o protocol=lmtp -o spool="$SPOOL" -o log-level=debug \
	    -o tls=require -o tls-cert="$CERTS/ec.pem" \
	    -o tls-key="$CERTS/ec.key"
	dovecot_starts starttls=any-cert
	letter | dovecot_hands --to b@mx.test,c@mx.test
	dovecot_says 'Sent message to <c@mx.test> at 127.0.0.1'
	messages 1
	message | grep -q 'with LMTPS id'
	logged 'line="BDAT '
}

@test "Dovecot as LMTP client: without CHUNKING it is DATA" {
	serve -o protocol=lmtp -o spool="$SPOOL" -o log-level=debug \
	    -o disable=CHUNKING
	dovecot_starts
	letter | dovecot_hands --to b@mx.test
	messages 1
	logged 'line=DATA'
	not_logged BDAT
}

@test "Postfix: MAIL, RCPT and DATA in one go" {
	serve -o spool="$SPOOL"
	postfix_starts "relayhost = [127.0.0.1]:$PORT" \
	    'debug_peer_list = 127.0.0.1'
	letter | postfix_sends b@mx.test c@mx.test
	postfix_sent 1
	# What it said and what it was told, > and <, from MAIL on.
	[[ $(sed -n 's/.*smtp\[[0-9]*\]: \([<>]\) [^ ]*: /\1 /p' \
	    "$BATS_TEST_TMPDIR/postfix.log" | sed -n '/^> MAIL/,$p' |
	    cut -c 1-6 | head -n 6) == \
	    $'> MAIL\n> RCPT\n> RCPT\n> DATA\n< 250 \n< 250 ' ]] ||
		fail "$(<"$BATS_TEST_TMPDIR/postfix.log")"
	messages 1
}

@test "Postfix without PIPELINING waits for each reply" {
	serve -o spool="$SPOOL" -o disable=PIPELINING
	postfix_starts "relayhost = [127.0.0.1]:$PORT" \
	    'debug_peer_list = 127.0.0.1'
	letter | postfix_sends b@mx.test
	postfix_sent 1
	[[ $(sed -n 's/.*smtp\[[0-9]*\]: \([<>]\) [^ ]*: /\1 /p' \
	    "$BATS_TEST_TMPDIR/postfix.log" | sed -n '/^> MAIL/,$p' |
	    cut -c 1-6 | head -n 5) == \
	    $'> MAIL\n< 250 \n> RCPT\n< 250 \n> DATA' ]] ||
		fail "$(<"$BATS_TEST_TMPDIR/postfix.log")"
	messages 1
}

@test "Postfix: DSN in the spool" {
	serve -o spool="$SPOOL" -o dsn=yes
	postfix_starts "relayhost = [127.0.0.1]:$PORT"
	letter | postfix_sends -N success,failure -R hdrs -V id+1@sender \
	    b@mx.test
	postfix_sent 1
	header DSN-Return:\ HDRS 'Original-Envelope-Id: id+2B1@sender' \
	    'DSN-Notify: SUCCESS,FAILURE' \
	    'Original-Recipient: rfc822;b@mx.test'
}

@test "Postfix: DSN in the program's environment" {
	program
	serve -o exec="$PROGRAM" -o dsn=yes
	postfix_starts "relayhost = [127.0.0.1]:$PORT"
	letter | postfix_sends -N never -R full -V env1 b@mx.test c@mx.test
	postfix_sent 1
	told b@mx.test DSN_RET=FULL DSN_ENVID=env1 DSN_NOTIFY=NEVER \
	    'DSN_ORCPT=rfc822;b@mx.test'
	told c@mx.test DSN_NOTIFY=NEVER 'DSN_ORCPT=rfc822;c@mx.test'
}

@test "Postfix: without DSN here, it tells the sender itself" {
	serve -o spool="$SPOOL"
	postfix_starts "relayhost = [127.0.0.1]:$PORT"
	letter | postfix_sends -N success b@mx.test
	postfix_sent 2
	messages 2
	grep -qx 'Return-Path: <>' "$SPOOL"/new/*
	grep -qx 'Action: relayed' "$SPOOL"/new/*
}

@test "Postfix over STARTTLS: addresses in UTF-8, DSN, a chain that it trusts" {
	certs
	serve -o spool="$SPOOL" -o dsn=yes -o tls=require \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key"
	postfix_starts "relayhost = [127.0.0.1]:$PORT" \
	    'smtp_tls_security_level = verify' \
	    "smtp_tls_CAfile = $CERTS/ca.pem" 'smtp_tls_loglevel = 1' \
	    'smtp_tls_verify_cert_match = mx.test'
	letter | postfix_sends -N failure 'bücher@mx.test'
	postfix_sent 1
	grep -q 'Verified TLS connection established' \
	    "$BATS_TEST_TMPDIR/postfix.log"
	came_with UTF8SMTPS
	header 'DSN-Notify: FAILURE' \
	    'Original-Recipient: utf-8;b\x{FC}cher@mx.test'
}

@test "Python's smtplib: addresses in UTF-8, and DSN" {
	serve -o spool="$SPOOL" -o dsn=yes
	"$PYTHON" - "$PORT" <<-'END'
		import smtplib, sys
		from email.message import EmailMessage
		message = EmailMessage()
		message["From"] = "jörg@sender.test"
		message["To"] = "bücher@mx.test"
		message["Subject"] = "grüße"
		message.set_content("one\n")
		smtp = smtplib.SMTP("127.0.0.1", int(sys.argv[1]), "sender.test")
		# It adds SMTPUTF8 and BODY=8BITMIME by itself.
		refused = smtp.send_message(message, mail_options=["RET=HDRS",
		    "ENVID=x"], rcpt_options=["NOTIFY=DELAY,FAILURE",
		    "ORCPT=utf-8;b\\x{FC}cher@mx.test"])
		assert refused == {}, refused
		smtp.quit()
	END
	messages 1
	message | grep -q 'with UTF8SMTP id'
	header 'Return-Path: <jörg@sender.test>' \
	    'Delivered-To: bücher@mx.test' 'Subject: grüße' \
	    'DSN-Return: HDRS' 'Original-Envelope-Id: x' \
	    'DSN-Notify: DELAY,FAILURE' \
	    'Original-Recipient: utf-8;b\x{FC}cher@mx.test'
}

@test "curl: addresses in UTF-8" {
	serve -o spool="$SPOOL"
	letter | LC_ALL=C.UTF-8 curl -sS --crlf \
	    --url "smtp://127.0.0.1:$PORT/sender.test" \
	    --mail-from 'jörg@sender.test' --mail-rcpt 'bücher@mx.test' -T -
	messages 1
	came_with UTF8SMTP
	header 'Return-Path: <jörg@sender.test>' \
	    'Delivered-To: bücher@mx.test'
}

@test "msmtp: DSN" {
	serve -o spool="$SPOOL" -o dsn=yes
	letter | msmtp --file=/dev/null --host=127.0.0.1 --port="$PORT" \
	    --domain=sender.test --from=a@sender.test \
	    --dsn-notify=success,failure --dsn-return=hdrs b@mx.test
	messages 1
	came_with ESMTP
	header 'DSN-Return: HDRS' 'DSN-Notify: SUCCESS,FAILURE'
}

@test "msmtp: LMTP" {
	serve -o spool="$SPOOL" -o protocol=lmtp
	letter | msmtp --file=/dev/null --protocol=lmtp --host=127.0.0.1 \
	    --port="$PORT" --domain=sender.test --from=a@sender.test \
	    b@mx.test c@mx.test
	messages 1
	came_with LMTP
}

@test "swaks: LMTP, STARTTLS and AUTH, pipelined" {
	certs
	serve -o spool="$SPOOL" -o protocol=lmtp -o tls=require -o auth=require \
	    -o auth-any=yes -o tls-cert="$CERTS/ec.pem" \
	    -o tls-key="$CERTS/ec.key"
	letter | swaks --server 127.0.0.1 --port "$PORT" --protocol LMTPSA \
	    --pipeline --helo client.test --auth-user u --auth-password p \
	    --from a@client.test --to b@mx.test,c@mx.test --data -
	messages 1
	message | grep -q 'with LMTPSA id'
}

@test "Python's smtplib: LMTP, a reply for each recipient" {
	# shellcheck disable=SC2016 # the program's
	program 'case $RECIPIENT in c@*) exit 67; esac'
	serve -o protocol=lmtp -o exec="$PROGRAM"
	"$PYTHON" - "$PORT" <<-'END'
		import smtplib, sys
		smtp = smtplib.LMTP("127.0.0.1", int(sys.argv[1]), "sender.test")
		smtp.ehlo()
		assert smtp.mail("a@sender.test")[0] == 250
		for name in "bcd":
		    assert smtp.rcpt(name + "@mx.test")[0] == 250
		assert smtp.data("Subject: x\r\n\r\none\r\n")[0] == 250
		assert smtp.getreply()[0] == 550
		assert smtp.getreply()[0] == 250
		smtp.quit()
	END
	told d@mx.test PROTOCOL=LMTP HELO=sender.test
}

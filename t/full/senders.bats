# Other people's mail servers hand us their mail, as they are.

load ../lib

POSTFIX=/usr/lib/postfix/sbin

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
		chown postfix: "$QUEUE/$dir"
	done
	chown postfix: "$CONF/data"
	chown postfix:postdrop "$QUEUE"/{public,maildrop}
	chmod 710 "$QUEUE/public"
	chmod 1730 "$QUEUE/maildrop"
	postfix_settings "$@" >"$CONF/main.cf"
	postfix_services >"$CONF/master.cf"
	background "$POSTFIX/master" -c "$CONF" -d \
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
		error unix - - n - - error
		retry unix - - n - - error
	END
}

# postfix_sends RECIPIENT ...: the message on standard input.
postfix_sends() {
	sendmail -C "$CONF" -i -f a@sender.test "$@"
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
# next to Postfix.
exim_unpacked() {
	(
		cd "$BATS_TEST_TMPDIR"
		apt-get -qq -o APT::Sandbox::User=root download \
		    exim4-daemon-light
		dpkg -x exim4-daemon-light_*.deb exim
	)
	EXIM=$BATS_TEST_TMPDIR/exim/usr/sbin/exim4
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

# exim_sends RECIPIENT ...: the message on standard input, by BDAT if it may.
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
		begin retry
	END
	# Two steps: to deliver at once, Exim would start itself as its user, who
	# may not choose a settings file.
	exim -odq -oi -f a@sender.test "$@"
	exim -qff
	grep -q '=> .* C="250 ' "$QUEUE/mainlog" ||
		fail "$(tail "$QUEUE"/*log 2>&1)"
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

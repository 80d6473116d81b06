# SPDX-License-Identifier: ISC
# The units under a real systemd, PID 1 of its own namespaces: see t/lab.
load ../lib

setup_file() {
	make -s -C "$ROOT" install DESTDIR="$BATS_FILE_TMPDIR/dest" >&2
	certs
	cat >"$BATS_FILE_TMPDIR/guest" <<-EOF
		set -euE
		trap 'status=\$?; echo "line \$LINENO: \$BASH_COMMAND"
		    journalctl --no-pager -n 30 -o cat; exit \$status' ERR
		cp -a $BATS_FILE_TMPDIR/dest/. /
		CERTS=$CERTS TOOLS=$TOOLS SPOOL=/var/spool/smtpd
	EOF
	cat >>"$BATS_FILE_TMPDIR/guest" <<-'EOF'
		systemd-sysusers smtpd.conf
		systemd-tmpfiles --create smtpd.conf
		install -g smtpd -m 640 "$CERTS/ec.pem" /etc/smtpd/cert.pem
		install -g smtpd -m 640 "$CERTS/ec.key" /etc/smtpd/key.pem
		echo "ann:$(openssl passwd -6 secret)" >/etc/smtpd/users
		chgrp smtpd /etc/smtpd/users
		chmod 640 /etc/smtpd/users
		systemctl daemon-reload

		# client HOST PORT [tls|starttls|lmtp]: smtplib sends a message.
		client() {
			python3 - "$@" <<-'END'
				import smtplib, socket, ssl, sys
				host, port, *how = sys.argv[1:]
				kind = {"tls": smtplib.SMTP_SSL,
				    "lmtp": smtplib.LMTP}.get("".join(how), smtplib.SMTP)
				more = {} if how != ["tls"] else \
				    {"context": ssl._create_unverified_context()}
				s = kind(host, int(port), local_hostname="client.test", **more)
				if how == ["starttls"]:
				    s.starttls(context=ssl._create_unverified_context())
				if how in (["tls"], ["starttls"]):
				    s.login("ann", "secret")
				s.sendmail("a@client.test", ["b@mx.test"], "Subject: x\n\nhello\n")
				s.quit()
			END
		}
		# The only message; then the spool is empty again.
		message() {
			local files

			files=("$SPOOL"/new/*)
			((${#files[@]} == 1))
			[[ $(stat -c %U:%a "${files[0]}") == smtpd:600 ]]
			cat "${files[0]}"
			rm "${files[0]}"
		}
		wait_for() {
			local tries=100

			until "$@" >/dev/null 2>&1; do
				((tries-- > 0)) || { echo "in vain: $*"; return 1; }
				sleep 0.1
			done
		}
		# What a session said, once it has ended.
		journal() {
			journalctl --sync
			journalctl --no-pager -o cat "$@"
		}
		no_failed_units() {
			[[ -z $(systemctl list-units --failed --plain --no-legend) ]]
		}
	EOF
}

# guest: the script on standard input, run there.
guest() {
	cat "$BATS_FILE_TMPDIR/guest" - >"$BATS_TEST_TMPDIR/script"
	"$ROOT/t/lab" -b "$ROOT" -b "${CERTS%/*}" \
	    bash "$BATS_TEST_TMPDIR/script"
}

@test "the socket serves IPv4, IPv6 and link-local addresses" {
	guest <<-'EOF'
		systemctl start smtpd.socket
		client 127.0.0.1 25
		message | grep -F '[127.0.0.1]'
		client ::1 25
		message | grep -F '[IPv6:::1]'

		# As the unit says: for the world, an own ListenStream=.
		ip link add va type veth peer name vb
		ip link set va up
		ip link set vb up
		ip addr add fe80::25/64 dev va nodad
		mkdir /etc/systemd/system/smtpd.socket.d
		printf '[Socket]\nListenStream=\nListenStream=25\n' \
		    >/etc/systemd/system/smtpd.socket.d/world.conf
		systemctl daemon-reload
		systemctl restart smtpd.socket
		client fe80::25%va 25
		message | grep -F '[IPv6:fe80::25'
		client 127.0.0.1 25
		message | grep -F '[127.0.0.1]'
		journal -t smtpd | grep -F 'addr="fe80::25%va"' ||
		    journal -t smtpd | grep -F 'addr=fe80::25%va'
		no_failed_units
	EOF
}

@test "nothing but loopback listens before the administrator says so" {
	guest <<-'EOF'
		systemctl start smtpd.socket smtpd-submission.socket \
		    smtpd-submissions.socket smtpd-lmtp.socket
		[[ $(ss -Htln | wc -l) == 6 ]]
		! ss -Htln | grep -v -e '127\.0\.0\.1:' -e '\[::1\]:'
	EOF
}

@test "submission on 587 wants TLS and a password" {
	guest <<-'EOF'
		systemctl start smtpd-submission.socket
		client ::1 587 starttls
		message | grep 'with ESMTPSA'
		! client ::1 587
		no_failed_units
	EOF
}

@test "submissions on 465 speaks TLS from the first octet" {
	guest <<-'EOF'
		systemctl start smtpd-submissions.socket
		client 127.0.0.1 465 tls
		message | grep 'with ESMTPSA'
		no_failed_units
	EOF
}

@test "a delivery program may be set-group-ID, the session can't gain anything" {
	guest <<-'EOF'
		install -g mail -m 2755 /usr/bin/id /usr/local/bin/id
		printf '%s\n' 'exec = /usr/local/bin/id -gn' \
		    'log-level = debug' >/etc/smtpd/smtpd.conf
		systemctl start smtpd.socket
		client 127.0.0.1 25
		journal -t smtpd | grep '250 2.0.0 mail'

		exec 7<>/dev/tcp/127.0.0.1/25
		read -r <&7
		read -r main _ < <(systemctl show -P MainPID 'smtpd@*.service')
		wait_for grep '^NoNewPrivs:.1' "/proc/$main/status"
	EOF
}

@test "LMTP on a UNIX socket, for the group alone" {
	guest <<-'EOF'
		systemctl start smtpd-lmtp.socket
		[[ $(stat -c %G:%a /run/smtpd/lmtp) == smtpd-lmtp:660 ]]
		client /run/smtpd/lmtp 0 lmtp
		message | grep 'with LMTP'
		no_failed_units
	EOF
}

# One line makes any of the sockets a listener's.
LISTENS='listens() {
	mkdir -p "/etc/systemd/system/$1.socket.d"
	printf "[Socket]\nAccept=no\n" \
	    >"/etc/systemd/system/$1.socket.d/accept.conf"
	systemctl daemon-reload
	systemctl start "$1.socket"
}'

@test "Accept=no: one confined process that listens" {
	guest <<-EOF
		$LISTENS
		listens smtpd
		client 127.0.0.1 25
		message | grep -F '[127.0.0.1]'
		client ::1 25
		message | grep -F '[IPv6:::1]'
		main=\$(systemctl show -P MainPID smtpd.service)
		[[ \$(stat -c %U /proc/\$main) == smtpd ]]
		# TLS that comes is the next connection's.
		sed -i 's/^#tls-/tls-/' /etc/smtpd/smtpd.conf
		systemctl reload smtpd.service
		wait_for eval "journal -u smtpd | grep status=started"
		! client 127.0.0.1 25 starttls	# no AUTH on this port
		journal -u smtpd | grep event=tls
		! journal -u smtpd | grep -e event=sandbox -e event=crash
		[[ \$(systemctl show -P MainPID smtpd.service) == "\$main" ]]
	EOF
}

@test "Accept=no: the other three" {
	guest <<-EOF
		$LISTENS
		listens smtpd-submission
		listens smtpd-submissions
		listens smtpd-lmtp
		client ::1 587 starttls
		message | grep 'with ESMTPSA'
		client 127.0.0.1 465 tls
		message | grep 'with ESMTPSA'
		client /run/smtpd/lmtp 0 lmtp
		message | grep 'with LMTP'
		no_failed_units
	EOF
}

# As certbot lays it out; renew NUMBER CERTIFICATE: the next one.
CERTBOT='
certbot=/etc/letsencrypt
install -d -m 755 $certbot $certbot/renewal-hooks/deploy
install -d -m 700 $certbot/live $certbot/archive
install -d -m 755 $certbot/{live,archive}/mx.example.org
renew() {
	local what

	cat "$CERTS/$2.pem" "$CERTS/ca.pem" \
	    >$certbot/archive/mx.example.org/fullchain$1.pem
	install -m 600 "$CERTS/$2.key" \
	    $certbot/archive/mx.example.org/privkey$1.pem
	for what in fullchain privkey; do
		ln -sf ../../archive/mx.example.org/$what$1.pem \
		    $certbot/live/mx.example.org/$what.pem
	done
}
# It offers this one.
offers() {
	openssl s_client -starttls smtp -connect 127.0.0.1:25 </dev/null 2>&1 |
	    openssl x509 -pubkey -noout |
	    cmp - <(openssl pkey -in "$CERTS/$1.key" -pubout)
}
# The blocks of the page about it.
page() {
	awk -v "number=$1" "/^#/ { on = /by certbot/ }
	    on && /^    / { if (!in_block++) n++
	    if (n == number) print substr(\$0, 5); next }
	    !/^$/ { in_block = 0 }" "$PAGE" | grep ""
}
'

# What fail2ban itself makes of it; its firewall is not ours to try.
FAIL2BAN='
cp "$EXAMPLES/filter.conf" /etc/fail2ban/filter.d/smtpd.conf
rm -f /etc/fail2ban/jail.d/*
cp "$EXAMPLES/jail.conf" /etc/fail2ban/jail.d/smtpd.conf
printf "%s\n" "[DEFAULT]" "banaction = dummy" "ignoreself = false" \
    >/etc/fail2ban/jail.d/test.local
systemctl start fail2ban.service
wait_for eval "fail2ban-client status smtpd"
banned() {
	fail2ban-client status smtpd | grep "Banned IP.*[^0-9.]$1\$"
}
# guesses ADDRESS NUMBER: passwords, by as many connections.
guesses() {
	python3 - "$@" <<-END
		import smtplib, ssl, sys, threading
		def guess():
		    s = smtplib.SMTP("127.0.0.1", 587, "client.test",
		        source_address=(sys.argv[1], 0))
		    s.starttls(context=ssl._create_unverified_context())
		    try:
		        s.login("ann", "guess")
		    except smtplib.SMTPException:
		        return
		    sys.exit("the password was right")
		guessers = [threading.Thread(target=guess) for _ in range(int(sys.argv[2]))]
		for g in guessers: g.start()
		for g in guessers: g.join()
	END
}
guesses 127.0.0.99 6
guesses 127.0.0.98 5
wait_for banned 127.0.0.99
! banned 127.0.0.98
guesses 127.0.0.98 1
wait_for eval "fail2ban-client status smtpd | grep 127.0.0.98"
# The lines of the manual find them.
line=$(sed -n "s/^\.Dl . \(journalctl -t smtpd -g id=\).*/\1/p" "$MANUAL")
id=$(journal -t smtpd -g "event=auth status=failed.*127.0.0.99" |
    sed -n "s/^id=\([0-9a-f]*\) .*/\1/p" | head -n 1)
$line$id -o cat --no-pager >/root/lines
grep -q event=connect /root/lines
grep -q "event=auth status=failed" /root/lines
! grep -v "id=$id " /root/lines
journal -t smtpd -p notice | grep "id=$id event=auth status=failed"
! journal -t smtpd -p notice | grep event=connect
'

@test "fail2ban bans who guesses, by what the sessions of the socket log" {
	guest <<-EOF
		EXAMPLES=$ROOT/examples/fail2ban MANUAL=$ROOT/man/smtpd.8
		systemctl start smtpd-submission.socket
		$FAIL2BAN
	EOF
}

@test "fail2ban bans who guesses, by what the listener logs" {
	guest <<-EOF
		EXAMPLES=$ROOT/examples/fail2ban MANUAL=$ROOT/man/smtpd.8
		$LISTENS
		listens smtpd-submission
		$FAIL2BAN
	EOF
}

@test "certbot: the hook gives smtpd what only root can read, and no more" {
	guest <<-EOF
		PAGE=$ROOT/docs/supervisors.md
		$CERTBOT
		renew 1 ec
		cd $ROOT/examples
		sed -n '/^# and in/q; s/^#\t//p' certbot-deploy-hook >/root/commands
		. /root/commands
		[[ \$(stat -c %U:%G:%a /etc/smtpd/mx.example.org.pem) == root:smtpd:640 ]]
		sed -n 's/^# and in smtpd.conf: *//p' certbot-deploy-hook \
		    >>/etc/smtpd/smtpd.conf
		runuser -u smtpd -- smtpd -t -f /etc/smtpd/smtpd.conf
		systemctl start smtpd.socket
		offers ec
		renew 2 rsa
		offers ec
		export RENEWED_LINEAGE=/etc/letsencrypt/live/mx.example.org
		/etc/letsencrypt/renewal-hooks/deploy/smtpd
		offers rsa
		# Another certificate of the machine's is none of ours.
		RENEWED_LINEAGE=/etc/letsencrypt/live/www.example.org \
		    /etc/letsencrypt/renewal-hooks/deploy/smtpd
		# A renewal that is not there leaves what is.
		rm /etc/letsencrypt/archive/mx.example.org/fullchain2.pem
		! /etc/letsencrypt/renewal-hooks/deploy/smtpd
		offers rsa
		[[ \$(ls /etc/smtpd | grep -c mx.example.org) == 1 ]]
	EOF
}

@test "certbot: systemd hands the files over, for a connection or the listener" {
	guest <<-EOF
		PAGE=$ROOT/docs/supervisors.md
		$LISTENS
		$CERTBOT
		renew 1 ec
		for unit in smtpd smtpd@; do
			mkdir /etc/systemd/system/\$unit.service.d
			page 1 >/etc/systemd/system/\$unit.service.d/certbot.conf
		done
		systemctl daemon-reload
		systemctl start smtpd.socket
		offers ec
		renew 2 rsa
		offers rsa
		systemctl stop smtpd.socket
		listens smtpd
		offers rsa
		renew 3 ec
		page 2 >/etc/letsencrypt/renewal-hooks/deploy/smtpd
		sh /etc/letsencrypt/renewal-hooks/deploy/smtpd
		offers ec
	EOF
}

@test "Accept=no: exec with the drop-in, a set-group-ID program" {
	guest <<-EOF
		$LISTENS
		install -g mail -m 2755 /usr/bin/id /usr/local/bin/id
		printf '%s\n' 'exec = /usr/local/bin/id -gn' \
		    'log-level = debug' >/etc/smtpd/smtpd.conf
		mkdir /etc/systemd/system/smtpd.service.d
		cp $ROOT/units/exec.conf /etc/systemd/system/smtpd.service.d
		listens smtpd
		client 127.0.0.1 25
		journal -t smtpd | grep '250 2.0.0 mail'
		systemd-analyze security --no-pager smtpd.service | tail -n 1
	EOF
}

@test "500 quick connections and 500 resets leave the port open" {
	guest <<-'EOF'
		mkdir /etc/systemd/system/smtpd.socket.d
		printf '[Socket]\nMaxConnectionsPerSource=100\n' \
		    >/etc/systemd/system/smtpd.socket.d/test.conf
		systemctl daemon-reload
		systemctl start smtpd.socket
		python3 - <<-'END'
			import socket, struct
			for n in range(1000):
			    s = socket.create_connection(("127.0.0.1", 25))
			    if n >= 500:
			        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
			            struct.pack("ii", 1, 0))
			    s.close()
		END
		wait_for client 127.0.0.1 25
		systemctl is-active smtpd.socket
		wait_for test -z "$(systemctl list-units --plain --no-legend \
		    --state=failed)"
	EOF
}

@test "one connection too many from an address is closed without a word" {
	guest <<-'EOF'
		mkdir /etc/systemd/system/smtpd.socket.d
		printf '[Socket]\nMaxConnectionsPerSource=2\n' \
		    >/etc/systemd/system/smtpd.socket.d/test.conf
		systemctl daemon-reload
		systemctl start smtpd.socket
		python3 - <<-'END'
			import socket
			def connect():
			    return socket.create_connection(("127.0.0.1", 25))
			first, second = connect(), connect()
			assert first.recv(3) == b"220" and second.recv(3) == b"220"
			try:
			    assert connect().recv(3) == b""
			except ConnectionResetError:
			    pass
			s = socket.create_connection(("::1", 25))
			assert s.recv(3) == b"220"
		END
		[[ $(systemctl show -P NRefused smtpd.socket) != 0 ]]
	EOF
}

@test "the crash of one session disturbs no other" {
	guest <<-'EOF'
		systemctl start smtpd.socket
		coproc CLIENT { "$TOOLS/talk" 127.0.0.1 25; }
		talk=$CLIENT_PID
		say() { printf '%s\n' "$@" >&"${CLIENT[1]}"; }
		say '< 220' '> EHLO client.test' '< 250'
		wait_for pgrep -x smtpd
		victim=$(pgrep -x smtpd)
		exec 7<>/dev/tcp/127.0.0.1/25
		read -r -u 7 greeting
		kill -SEGV $(pgrep -x smtpd | grep -vx "$victim")
		! read -r -u 7 more
		say '> MAIL FROM:<a@client.test>' '< 250' '> RCPT TO:<b@mx.test>' \
		    '< 250' '> DATA' '< 354' '> .' '< 250' '> QUIT' '< 221'
		eval "exec ${CLIENT[1]}>&-"
		wait "$talk"
		message >/dev/null
		systemctl is-active smtpd.socket
		client 127.0.0.1 25
		wait_for no_failed_units
	EOF
}

@test "stopping the socket lets the session end its message" {
	guest <<-'EOF'
		systemctl start smtpd.socket
		"$TOOLS/talk" 127.0.0.1 25 < <(
			printf '%s\n' '< 220' '> HELO client.test' '< 250' \
			    '> MAIL FROM:<a@client.test>' '< 250' \
			    '> RCPT TO:<b@mx.test>' '< 250' '> DATA' '< 354' \
			    '> Subject: half'
			wait_for pgrep -x smtpd
			systemctl stop smtpd.socket
			printf '%s\n' '> ' '> .' '< 250' '> QUIT' '< 221'
		)
		message | grep 'Subject: half'
	EOF
}

@test "Accept=no: stopping loses nothing that was answered 250" {
	guest <<-EOF
		$LISTENS
		stored() { [[ -n \$(ls "\$SPOOL/new") ]]; }
		listens smtpd
		client 127.0.0.1 25
		message >/dev/null
		"\$TOOLS/talk" 127.0.0.1 25 < <(
			printf '%s\n' '< 220' '> HELO client.test' '< 250' \
			    '> MAIL FROM:<a@client.test>' '< 250' \
			    '> RCPT TO:<b@mx.test>' '< 250' '> DATA' '< 354' \
			    '> Subject: one' '> .' '< 250' \
			    '> MAIL FROM:<a@client.test>' '< 250' \
			    '> RCPT TO:<b@mx.test>' '< 250' '> DATA' '< 354' \
			    '> Subject: two'
			wait_for stored
			systemctl stop smtpd.service
			printf '%s\n' '< 421' 'eof'
		)
		message | grep 'Subject: one'
	EOF
}

@test "the journal has each session's events under its id, and no dialogue" {
	guest <<-'EOF'
		systemctl start smtpd.socket
		client 127.0.0.1 25
		wait_for eval "journal -t smtpd | grep event=close"
		id=$(journal -t smtpd | sed -n 's/^id=\([0-9a-f]*\) event=message.*/\1/p')
		(($(journal -t smtpd | grep -c "^id=$id ") == 3))
		! journal | grep -F '220 '
		journal -u 'smtpd@*' | grep "id=$id event=message status=accepted"
	EOF
}

@test "a settings file that is wrong: 421, and one failure on record" {
	guest <<-'EOF'
		systemctl start smtpd.socket
		echo 'max-size = many' >>/etc/smtpd/smtpd.conf
		printf '%s\n' '< 421 4.3.5' eof | sed 's/421 4.3.5/421/' |
		    "$TOOLS/talk" 127.0.0.1 25
		journal | grep 'smtpd.conf.*max-size'
		journal | grep 'status=78/CONFIG'
		wait_for no_failed_units
	EOF
}

@test "systemd has nothing to say against the units" {
	guest <<-'EOF'
		cd /usr/local/lib/systemd/system
		output=$(systemd-analyze verify --man=no smtpd*.socket \
		    smtpd.service smtpd-lmtp.service smtpd@1.service \
		    smtpd-submission@1.service 2>&1) || true
		[[ -z $output ]] || { echo "$output"; false; }
	EOF
}

@test "exposure: 1.5 at most around the listener, 7 around a session" {
	guest <<-'EOF'
		exposure() {
			systemd-analyze security --no-pager "$1" |
			    sed -n 's/.*Overall exposure level for .*: \([0-9.]*\) .*/\1/p'
		}
		at_most() { [[ -n $1 ]] && awk "BEGIN { exit !($1 <= $2) }"; }
		one=$(exposure smtpd.service)
		two=$(exposure smtpd@1.service)
		echo "exposure: smtpd.service $one, smtpd@.service $two"
		at_most "$one" 1.5
		at_most "$two" 7.0
	EOF
}

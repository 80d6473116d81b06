# SPDX-License-Identifier: ISC
# Everything that docs/supervisors.md says, run as it is written there:
# as root, on port 25, in a guest of its own where `make install` has been run.
# See t/lab.
load ../lib

setup_file() {
	make -s -C "$ROOT" install DESTDIR="$BATS_FILE_TMPDIR/dest" >&2
	# It can't be installed next to the other inetd.
	(
		cd "$BATS_FILE_TMPDIR" || exit
		apt-get -qq -o APT::Sandbox::User=root download xinetd
		dpkg -x xinetd_*.deb xinetd
		rm -r xinetd/etc/init.d
	)
	cat >"$BATS_FILE_TMPDIR/guest" <<-EOF
		set -euE
		trap 'status=\$?; echo "line \$LINENO: \$BASH_COMMAND"
		    cat /var/log/supervisor; exit \$status' ERR
		cp -a $BATS_FILE_TMPDIR/dest/. /
		README=$ROOT/README.md RECIPES=$ROOT/docs/supervisors.md TOOLS=$TOOLS XINETD=$BATS_FILE_TMPDIR/xinetd
		INETD=$UNPACKED/usr/sbin/inetd
		SPOOL=/var/spool/smtpd LOG=/var/log/supervisor
	EOF
	cat >>"$BATS_FILE_TMPDIR/guest" <<-'EOF'
		: >"$LOG"

		# readme HEADING [NUMBER]: the first or another of the blocks
		# that are set off under a heading.
		readme() {
			awk -v "heading=$1" -v "number=${2:-1}" '
			/^#/ { on = $0 ~ "^#+ " heading "$" }
			on && /^    / { if (!in_block) block++
			    if (block == number) print substr($0, 5)
			    in_block = 1; next }
			!/^$/ { in_block = 0 }' "$README" "$RECIPES" | grep ''
		}
		commands() { readme "$@" >/run/commands; . /run/commands; }
		# background HEADING: what it says, until the guest ends.
		background() {
			readme "$@" >/run/commands
			bash /run/commands >>"$LOG" 2>&1 &
		}
		wait_for() {
			local tries=100

			until "$@" >/dev/null 2>&1; do
				((tries-- > 0)) || { echo "in vain: $*"; return 1; }
				sleep 0.1
			done
		}
		# The log, wherever it is.
		events() {
			journalctl --sync
			cat "$LOG" - < <(journalctl --no-pager -o cat -t smtpd)
		}
		logged() { events | grep -F -- "$1" >/dev/null; }
		listens() { [[ -n $(ss -Htln "sport = :25") ]]; }

		# A message from each of these addresses, with its dialogue
		# octet for octet, and then a client that makes mistakes.
		serves() {
			local from host

			wait_for listens
			for from; do
				host=127.0.0.1
				[[ $from != *:* ]] || host=::1
				printf '%s\n' '< 220' '> EHLO client.test' \
				    '< 250' '> MAIL FROM:<a@client.test>' \
				    '< 250' '> RCPT TO:<b@mx.test>' '< 250' \
				    '> DATA' '< 354' '> Subject: x' '> ' '> ..' \
				    '> .' '< 250' '> QUIT' '< 221' eof |
				    "$TOOLS/talk" -from "$from" "$host" 25
				received "$from"
			done
			printf '%s\n' '< 220' '> FIRST' '< 500' '> SECOND' \
			    '< 500' '> THIRD' '< 421 4\.7\.0' eof |
			    "$TOOLS/talk" -from 127.0.0.99 127.0.0.1 25
			wait_for logged 'event=close messages=0 accepted=0 addr=127.0.0.99'
			wait_for logged 'reason="too many errors"'
		}
		received() {
			local address=$1 files

			files=("$SPOOL"/new/*)
			((${#files[@]} == 1))
			[[ $(stat -c %U:%G:%a "${files[0]}") == smtpd:smtpd:600 ]]
			[[ $1 != *:* ]] || address=IPv6:$1
			grep -F "Received: from client.test ([$address])" "${files[0]}"
			rm "${files[0]}"
			wait_for logged "event=message status=accepted size=17"
			wait_for logged "to=b@mx.test addr=$1"
		}

		# A new user, with nothing set up but what the page says.
		commands 'Running it'
		[[ $(readme Install 2) == "$(grep -v '^#' /etc/smtpd/smtpd.conf |
		    grep .)" ]]
		echo 'max-errors = 2' >>/etc/smtpd/smtpd.conf
	EOF
}

# guest: the script on standard input, run there.
guest() {
	cat "$BATS_FILE_TMPDIR/guest" - >"$BATS_TEST_TMPDIR/script"
	"$ROOT/t/lab" -b "$ROOT" -b "$BATS_RUN_TMPDIR" \
	    bash "$BATS_TEST_TMPDIR/script"
}

@test "systemd" {
	guest <<-'EOF'
		commands systemd
		serves 127.0.0.9 ::1
		[[ $(ss -Htln "sport = :25") != *'*:25 '* ]]
		mkdir /etc/systemd/system/smtpd.socket.d
		readme systemd 2 >/etc/systemd/system/smtpd.socket.d/override.conf
		systemctl daemon-reload
		systemctl restart smtpd.socket
		serves 127.0.0.9 ::1
		[[ $(ss -Htln "sport = :25") == *'*:25 '* ]]
	EOF
}

@test "systemd, one process that listens" {
	guest <<-'EOF'
		mkdir /etc/systemd/system/smtpd.socket.d
		{ echo '[Socket]'; readme systemd 3; } \
		    >/etc/systemd/system/smtpd.socket.d/override.conf
		commands systemd
		serves 127.0.0.9 ::1
		[[ $(systemctl show -P ActiveState smtpd.service) == active ]]
	EOF
}

@test "by itself" {
	guest <<-'EOF'
		readme 'By itself' 2 >/run/commands
		bash /run/commands >>"$LOG" 2>&1 &
		serves 127.0.0.9 ::1
	EOF
}

@test "tcpserver" {
	guest <<-'EOF'
		background tcpserver
		serves 127.0.0.9 ::1
	EOF
}

@test "ipsvd" {
	guest <<-'EOF'
		background ipsvd
		serves 127.0.0.9
	EOF
}

@test "socat" {
	guest <<-'EOF'
		background socat
		serves 127.0.0.9 ::1
	EOF
}

@test "inetd" {
	guest <<-'EOF'
		readme inetd >/etc/inetd.conf
		$INETD -i >>"$LOG" 2>&1 &
		serves 127.0.0.9
		! grep event= "$LOG"
	EOF
}

@test "inetd, wait" {
	guest <<-'EOF'
		readme inetd | sed 's/ nowait / wait /' >/etc/inetd.conf
		$INETD -i >>"$LOG" 2>&1 &
		serves 127.0.0.9
		! grep event= "$LOG"
	EOF
}

@test "xinetd, wait = yes" {
	guest <<-'EOF'
		cp -a "$XINETD"/. /
		readme xinetd | sed '/instances/d; /per_source/d
		    s/wait .*/wait = yes/' >/etc/xinetd.d/smtpd
		xinetd -dontfork >>"$LOG" 2>&1 &
		serves 127.0.0.9 ::1
		! grep event= "$LOG"
	EOF
}

@test "xinetd" {
	guest <<-'EOF'
		cp -a "$XINETD"/. /
		readme xinetd >/etc/xinetd.d/smtpd
		xinetd -dontfork >>"$LOG" 2>&1 &
		serves 127.0.0.9 ::1
		! grep event= "$LOG"
	EOF
}

# service HEADING NUMBER: a directory for s6 or runit, in /run/service/smtpd.
SERVICE='service() {
	mkdir -p /run/service/smtpd
	readme "$@" >/run/service/smtpd/run
	chmod +x /run/service/smtpd/run
}'

@test "s6" {
	guest <<-EOF
		$SERVICE
		service 's6, runit'
		s6-svscan /run/service >>"\$LOG" 2>&1 &
		serves 127.0.0.9 ::1
		first=\$(pgrep -x tcpserver)
		kill \$first
		restarted() { pgrep -x tcpserver | grep -vx \$first; }
		wait_for restarted
		serves 127.0.0.9
	EOF
}

@test "runit" {
	guest <<-EOF
		$SERVICE
		service 's6, runit'
		runsvdir /run/service >>"\$LOG" 2>&1 &
		serves 127.0.0.9 ::1
	EOF
}

@test "s6, LMTP on a UNIX socket" {
	guest <<-EOF
		$SERVICE
		service 's6, runit' 2
		s6-svscan /run/service >>"\$LOG" 2>&1 &
		wait_for test -S /run/smtpd-lmtp
		[[ \$(stat -c %a /run/smtpd-lmtp) == 660 ]]
		python3 - <<-'END'
			import smtplib
			s = smtplib.LMTP("/run/smtpd-lmtp", local_hostname="client.test")
			assert s.sendmail("a@client.test", ["b@mx.test"],
			    "Subject: x\n\nhello\n") == {}
			s.quit()
		END
		grep -F 'Received: from client.test (local)' "\$SPOOL"/new/*
		[[ \$(stat -c %U "\$SPOOL"/new/*) == smtpd ]]
		wait_for logged 'addr=local'
	EOF
}

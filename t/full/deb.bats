# SPDX-License-Identifier: ISC
# The Debian package, built from this tree, through its life under a real
# systemd: see t/lab.
load ../lib

# The suite is not run while it is built: this is a part of it.
setup_file() {
	export DEB_BUILD_OPTIONS=nocheck
	make -C "$ROOT" deb >"$BATS_FILE_TMPDIR/log" 2>&1 ||
		{ tail -n 40 "$BATS_FILE_TMPDIR/log" >&2; return 1; }
	cp "$ROOT"/build/deb/*_*.* "$BATS_FILE_TMPDIR"
}

guest() {
	cat - >"$BATS_TEST_TMPDIR/script" <<-EOF
		set -euE
		trap 'status=\$?; echo "line \$LINENO: \$BASH_COMMAND"; exit \$status' ERR
		export DEBIAN_FRONTEND=noninteractive
		DEB=\$(echo $BATS_FILE_TMPDIR/stdin-smtpd_*.deb) TOOLS=$TOOLS
		SPOOL=/var/spool/smtpd ROOT=$ROOT
	EOF
	cat <&3 >>"$BATS_TEST_TMPDIR/script"
	"$ROOT/t/lab" -b "$ROOT" -b "$BATS_RUN_TMPDIR" \
	    bash "$BATS_TEST_TMPDIR/script"
}

@test "lintian has nothing to say" {
	# Nobody has asked for the package yet.
	run lintian --allow-root --profile debian --fail-on warning,error \
	    --suppress-tags initial-upload-closes-no-bugs \
	    "$BATS_FILE_TMPDIR"/*.changes
	echo "$output"
	((status == 0))
	! grep '^[EW]:' <<<"$output"
}

@test "each compiler's line has the flags that harden" {
	run -0 blhc --all "$BATS_FILE_TMPDIR/log"
}

@test "built again, elsewhere, from its source: the same packages" {
	local deb

	cd "$BATS_TEST_TMPDIR"
	dpkg-source -x "$BATS_FILE_TMPDIR"/*.dsc tree
	cd tree
	dpkg-buildpackage -us -uc -b >"$BATS_TEST_TMPDIR/log" 2>&1 ||
		{ tail -n 40 "$BATS_TEST_TMPDIR/log"; return 1; }
	for deb in ../*.deb; do
		cmp "$deb" "$BATS_FILE_TMPDIR/${deb##*/}"
	done
}

@test "everything is linked dynamically" {
	dpkg -x "$BATS_FILE_TMPDIR"/stdin-smtpd_*.deb "$BATS_TEST_TMPDIR/root"
	ldd "$BATS_TEST_TMPDIR/root/usr/sbin/stdin-smtpd" | grep libbsd.so
	ldd "$BATS_TEST_TMPDIR/root/usr/lib/stdin-smtpd/smtpd-tls" |
	    grep libbsd.so
}

@test "its manuals, units and settings name it by its name" {
	local root=$BATS_TEST_TMPDIR/root

	dpkg -x "$BATS_FILE_TMPDIR"/stdin-smtpd_*.deb "$root"
	! zgrep -e '^\.Dt SMTPD' -e 'sbin/smtpd' -e '^\.Dl . smtpd' \
	    -e '^\.\(Nm\|Xr\) smtpd' "$root"/usr/share/man/man?/* ||
		fail 'a manual'
	! grep -rE -e '(^|[^-])smtpd(\.conf)?\([58]\)' -e '/sbin/smtpd' \
	    "$root/etc" "$root/lib/systemd" || fail 'a unit or settings'
}

@test "DEP-8: the installed program under the suite, and a real systemd" {
	guest 3<<-'EOF'
		dpkg -i "$DEB"
		cd "$ROOT"
		# Of the quick ones a few, since all of them run elsewhere.
		debian/tests/quick t/checkpassword.bats t/starttls.bats
		debian/tests/systemd
	EOF
}

@test "its files are nobody else's" {
	run -0 dpkg --contents "$BATS_FILE_TMPDIR"/stdin-smtpd_*.deb
	grep -e '^-rwxr-xr-x.*/doc/stdin-smtpd/examples/webhook$' <<<"$output"
	! grep -e ' \./usr/sbin/smtpd$' -e '/smtpd\.8' -e '/smtpd\.conf\.5' \
	    -e ' \./etc/smtpd\.conf$' <<<"$output"
	! grep -v -e ' root/root ' <<<"$output"
}

@test "the engine is a library in a package of its own" {
	guest 3<<-'EOF'
		dpkg -i ${DEB/stdin-smtpd_/libsession0_} \
		    ${DEB/stdin-smtpd_/stdin-smtpd-dev_}
		printf '%s\n' '#include <smtpd/session.h>' \
		    'static struct session s;' \
		    'static struct session_buffers b;' 'int main(void)' '{' \
		    'static const struct session_config c = { .size = sizeof(c) };' \
		    'static const struct session_hooks h = { .size = sizeof(h) };' \
		    'session_init(&s, &b, &c, &h, 0);' \
		    'return (session_want(&s) != SESSION_INPUT);' '}' >/root/e.c
		cc -o /root/e /root/e.c $(pkg-config --cflags --libs smtpd-session)
		/root/e
		[[ -e /usr/share/man/man3/session.3.gz ]] || man -w session
	EOF
}

@test "keys of tickets change every day, set up as the example says" {
	guest 3<<-'EOF'
		dpkg -i "$DEB"
		cd /usr/share/doc/stdin-smtpd/examples/ticket-rotation
		sed -n 's/^#\t//p' smtpd-tickets.timer >/root/commands
		. /root/commands
		[[ $(stat -c %s:%a:%U /etc/smtpd/tickets) == 64:600:smtpd ]]
		[[ $(systemctl is-active smtpd-tickets.timer) == active ]]
		before=$(sha256sum </etc/smtpd/tickets)
		systemctl start smtpd-tickets.service
		[[ $(sha256sum </etc/smtpd/tickets) != "$before" ]]
	EOF
}

@test "installed, used, upgraded, removed and purged" {
	guest 3<<-'EOF'
		deliver() {
			printf '%s\n' '< 220' '> HELO client.test' '< 250' \
			    '> MAIL FROM:<a@client.test>' '< 250' \
			    '> RCPT TO:<b@mx.test>' '< 250' '> DATA' '< 354' \
			    '> Subject: x' '> .' '< 250' '> QUIT' '< 221' eof |
			    "$TOOLS/talk" 127.0.0.1 25
		}
		mails() { find "$SPOOL/new" -type f 2>/dev/null | wc -l; }

		dpkg -i "$DEB"
		[[ $(stat -c %U:%G:%a $SPOOL) == smtpd:smtpd:700 ]]
		runuser -u smtpd -- stdin-smtpd -t -f /etc/smtpd/smtpd.conf
		[[ -n $(man -w stdin-smtpd) && -n $(man -w stdin-smtpd.conf) ]] ||
		    ls /usr/share/man/man8/stdin-smtpd.8.gz
		[[ $(systemctl is-enabled smtpd.socket || true) == disabled ]]
		[[ $(systemctl is-active smtpd.socket || true) == inactive ]]
		output=$(systemd-analyze verify --man=no \
		    /lib/systemd/system/smtpd*.socket smtpd@1.service 2>&1)
		[[ -z $output ]] || { echo "$output"; false; }

		systemctl enable --now smtpd.socket
		deliver
		[[ $(mails) == 1 ]]
		[[ $(stat -c %U $SPOOL/new/*) == smtpd ]]

		# The next version: settings and mail stay, the port stays open.
		echo 'max-size = 1M' >>/etc/smtpd/smtpd.conf
		dpkg-deb -R "$DEB" /root/next
		sed -i 's/^Version: .*/&+1/' /root/next/DEBIAN/control
		dpkg-deb -b /root/next /root/next.deb
		dpkg -i /root/next.deb
		grep 'max-size = 1M' /etc/smtpd/smtpd.conf
		systemctl is-active smtpd.socket
		deliver
		[[ $(mails) == 2 ]]

		dpkg -r stdin-smtpd
		[[ ! -e /usr/sbin/stdin-smtpd && ! -e /usr/lib/stdin-smtpd ]]
		[[ $(systemctl is-active smtpd.socket || true) != active ]]
		[[ $(mails) == 2 && -e /etc/smtpd/smtpd.conf ]]
		getent passwd smtpd

		# Mail is kept, and so is its owner, until it is gone.
		[[ $(dpkg -P stdin-smtpd 2>&1) == *'there is mail in /var/spool/smtpd'* ]]
		[[ $(mails) == 2 && ! -e /etc/smtpd ]]
		getent passwd smtpd
		dpkg -i "$DEB"
		rm $SPOOL/new/*
		touch $SPOOL/tmp/half
		dpkg -P stdin-smtpd
		[[ ! -e $SPOOL && ! -e /etc/smtpd ]]
		! getent passwd smtpd
		! getent group smtpd
		left=$(find /etc /usr /lib /var/lib -xdev -name '*smtpd*' |
		    grep -e stdin-smtpd -e 'smtpd\.socket' -e 'smtpd@' || true)
		[[ -z $left ]] || { echo "left: $left"; false; }
	EOF
}

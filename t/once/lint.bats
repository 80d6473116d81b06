# What can be said of the files without running the program.
load ../lib

@test "the manuals are clean" {
	cd "$ROOT"
	run mandoc -Tlint -W warning man/smtpd.8 man/smtpd.conf.5 man/session.3
	[[ -z $output ]] || fail "$output"
	((status == 0))
}

@test "the units are clean" {
	local dir=$BATS_TEST_TMPDIR/units unit

	mkdir "$dir"
	cd "$ROOT"
	for unit in *.socket *.service units/*.socket units/*.service; do
		sed "s,=/usr/sbin/smtpd,=$SMTPD,;s, /usr/sbin/smtpd, $SMTPD," \
		    "$unit" >"$dir/${unit##*/}"
	done
	for unit in "$dir"/*; do
		systemd-analyze verify --man=no "$unit" 2>&1 |
		    grep -F "$dir" && fail "$unit"
		:
	done
}

@test "smtpd needs no library at run time" {
	run readelf -d "$ROOT/smtpd"
	((status == 0))
	not_said NEEDED
	run readelf -d "$ROOT/smtpd-tls"
	said libgnutls
}

@test "make install puts everything in place, make uninstall removes it" {
	local dest=$BATS_TEST_TMPDIR/dest tree=$BATS_TEST_TMPDIR/tree

	# Another directory is another program, and this one is in use.
	mkdir "$tree"
	tar -C "$ROOT" -cf - --exclude=.git --exclude=build . |
	    tar -C "$tree" -xf -
	cd "$tree"
	make -s install DESTDIR="$dest" PREFIX=/usr
	"$dest/usr/sbin/smtpd" -V
	[[ -x $dest/usr/lib/smtpd/smtpd-tls ]]
	[[ -f $dest/usr/include/session.h ]]
	[[ -f $dest/usr/share/man/man8/smtpd.8 ]]
	[[ -f $dest/usr/lib/systemd/system/smtpd.socket ]]
	PKG_CONFIG_PATH=$dest/usr/lib/pkgconfig pkg-config --exists session
	make -s uninstall DESTDIR="$dest" PREFIX=/usr
	# What the administrator may have changed stays.
	rm -r "$dest/etc"
	[[ -z $(find "$dest" -type f) ]] || fail "$(find "$dest" -type f)"
}

@test "the engine is a library on its own" {
	cd "$ROOT"
	printf '%s\n' '#include <session.h>' 'static struct session s;' \
	    'int main(void)' '{' \
	    'static const struct session_config c = { .hostname = "x" };' \
	    'static const struct session_hooks h;' \
	    'session_init(&s, &c, &h, 0);' \
	    'return (session_want(&s) != SESSION_INPUT);' '}' \
	    >"$BATS_TEST_TMPDIR/e.c"
	cc -I. -o "$BATS_TEST_TMPDIR/e" "$BATS_TEST_TMPDIR/e.c" libsession.a
	"$BATS_TEST_TMPDIR/e"
	# Nothing of the system: no descriptor, clock, memory or environment.
	run nm -u libsession.a
	output=$(grep ' U ' <<<"$output" | grep -v -e session_ -e _parse \
	    -e ' mem[a-z]*$' -e ' str[a-z]*$' -e printf -e _chk -e reply_) || :
	! grep -E ' (read|write|open|malloc|free|time|getenv|poll)$' \
	    <<<"$output"
}

# SPDX-License-Identifier: ISC
# smtpd -t: what it refuses, what it only warns of, and whose rights count.

load lib

setup() {
	test_setup
	mkdir "$SPOOL"
}

# check [ARGUMENT ...]: -t, in $output and $status.
check() {
	run "$SMTPD" -t -o hostname=mx.test "$@"
}

# refuses TEXT [ARGUMENT ...]
refuses() {
	local text=$1

	shift
	check "$@"
	((status == 78)) || fail "$*: not refused" || return
	said "$text"
}

# warns TEXT [ARGUMENT ...]: says so, but it is not wrong.
warns() {
	local text=$1

	shift
	check "$@"
	((status == 0)) || fail "$*: refused" || return
	said "$text"
}

# is_good [ARGUMENT ...]: and nothing is said.
is_good() {
	check "$@"
	[[ $status == 0 && -z $output ]] || fail "$*"
}

# executable NAME LINE: an executable file of that line.
executable() {
	printf '%b' "$2" >"$BATS_TEST_TMPDIR/$1"
	chmod +x "$BATS_TEST_TMPDIR/$1"
}

# users LINE ...: an auth-file.
users() {
	USERS=$BATS_TEST_TMPDIR/users
	printf '%s\n' "$@" >"$USERS"
	chmod 600 "$USERS"
}

@test "words that only a shell would understand are refused" {
	local word

	for word in '"x' "x'y" '`id`' 'a|b' '|' '>' '>>/tmp/x' '<in' '2>&1' \
	    'a;b' ';' '&&' '&'; do
		refuses 'no shell reads this' -o "exec=/bin/cat $word"
		refuses 'no shell reads this' -o spool="$SPOOL" \
		    -o auth-cleartext=yes -o "auth-program=/bin/true $word"
	done
	warns 'warning: no shell reads this: $ means nothing' \
	    -o 'exec=/bin/cat $HOME'
}

@test "a placeholder is a word of its own" {
	refuses '{sender} must be a word of its own' \
	    -o 'exec=/bin/cat --from={sender}'
	refuses '{recipient} must be a word of its own' \
	    -o 'exec=/bin/cat x{recipient}'
	refuses '{recipients} must be a word of its own' \
	    -o 'exec=/bin/cat {recipients},'
}

@test "an address without -- before it is a warning" {
	warns 'no -- before {sender}' -o 'exec=/bin/cat {sender}'
	warns 'no -- before {recipients}' -o 'exec=/bin/cat {recipients} --'
	check -o 'exec=/bin/cat -f {sender} -- {recipients}'
	((status == 0))
	not_said 'no --'
}

@test "a file that no kernel runs is refused" {
	executable text 'echo hello\n'
	refuses 'neither a binary nor a script' \
	    -o exec="$BATS_TEST_TMPDIR/text"
	refuses 'neither a binary nor a script' -o spool="$SPOOL" \
	    -o auth-cleartext=yes -o auth-program="$BATS_TEST_TMPDIR/text"
	executable empty ''
	refuses 'neither a binary nor a script' \
	    -o exec="$BATS_TEST_TMPDIR/empty"
	executable elsewhere '#!/nowhere/sh -e\n'
	refuses 'its interpreter /nowhere/sh: No such file' \
	    -o exec="$BATS_TEST_TMPDIR/elsewhere"
	executable dos '#!/bin/sh\r\nexit\r\n'
	refuses 'ends with CR LF' -o exec="$BATS_TEST_TMPDIR/dos"
	executable good '#! /bin/sh -e\n'
	check -o exec="$BATS_TEST_TMPDIR/good"
	((status == 0)) || fail
	PATH=$BATS_TEST_TMPDIR:$PATH check -o exec=good
	((status == 0)) || fail
	PATH=$BATS_TEST_TMPDIR:$PATH refuses 'neither a binary' -o exec=text
	refuses 'exec: nowhere: No such file' -o exec=nowhere
	refuses 'Permission denied' -o exec="$BATS_TEST_TMPDIR"
	chmod -x "$BATS_TEST_TMPDIR/text"
	refuses 'Permission denied' -o exec="$BATS_TEST_TMPDIR/text"
	# Without PATH the usual places; an empty part of it is /, where it runs.
	run env -u PATH "$SMTPD" -t -o hostname=mx.test -o exec=true
	((status == 0)) || fail
	cd "$BATS_TEST_TMPDIR"
	PATH=$PATH: refuses 'exec: good: No such file' -o exec=good
}

@test "nowhere to put a message is refused" {
	refuses 'neither spool nor exec is set'
}

@test "a spool that can't be made is refused, and nothing stays of the try" {
	refuses 'spool: /proc/none: ' -o spool=/proc/none
	refuses 'spool: /nowhere/mail: ' -o spool=/nowhere/mail
	check -o spool="$SPOOL/deep///"
	((status == 0)) || fail
	[[ -z $(ls -A "$SPOOL") ]] || fail "$(ls -A "$SPOOL")"
}

@test "recipients that are not addresses are refused, and a list of nobody" {
	local list=$BATS_TEST_TMPDIR/list line

	for line in 'x@y,' '<x@y>' 'x y@z' '"x@y"' 'x@y;' 'mailto:x@y z' 'x'; do
		echo "$line" >"$list"
		refuses "recipients: $list: 1: not user@domain" \
		    -o spool="$SPOOL" -o recipients="$list"
	done
	: >"$list"
	refuses 'it names nobody' -o spool="$SPOOL" -o recipients="$list"
	printf '# nobody yet\n\n' >"$list"
	refuses 'it names nobody' -o spool="$SPOOL" -o recipients="$list"
	echo | cdb -c "$list"
	refuses 'it names nobody' -o spool="$SPOOL" -o recipients="$list"
	echo 'x@y' >"$list"
	is_good -o spool="$SPOOL" -o recipients="$list"
}

@test "a hash that crypt(3) does not know is refused" {
	local hash

	for hash in '$9$abc$def' 'plain' '{SSHA}abc' ''; do
		users "joe:$(openssl passwd -6 secret)" "ann:$hash"
		refuses 'line 2' -o spool="$SPOOL" -o auth-file="$USERS" \
		    -o auth-cleartext=yes
	done
}

@test "passwords that everybody can read are refused" {
	users "joe:$(openssl passwd -6 secret)"
	is_good -o spool="$SPOOL" -o auth-file="$USERS" -o auth-cleartext=yes
	chmod 644 "$USERS"
	refuses "auth-file: $USERS: everybody can read it" -o spool="$SPOOL" \
	    -o auth-file="$USERS" -o auth-cleartext=yes
}

@test "a certificate's file without a key is named as such" {
	certs
	refuses "no private key in it; without tls-key" -o spool="$SPOOL" \
	    -o tls-cert="$CERTS/ec.pem"
	cat "$CERTS/ec.pem" "$CERTS/ec.key" >"$BATS_TEST_TMPDIR/both.pem"
	chmod 600 "$BATS_TEST_TMPDIR/both.pem"
	is_good -o spool="$SPOOL" -o tls-cert="$BATS_TEST_TMPDIR/both.pem"
}

@test "root checks as the owner of the spool, or says that it can't" {
	local above=$BATS_TEST_TMPDIR/above

	((EUID == 0)) || return 0	# there is nothing to tell to others
	mkdir -m 700 "$above"
	echo x@y >"$above/list"
	# In reach of everybody, as bats' own directory is not.
	SPOOL=$(mktemp -d /tmp/smtpd-check.XXXXXX)
	mv "$above" "$SPOOL/above"
	above=$SPOOL/above
	mkdir "$SPOOL/mail"
	chmod 711 "$SPOOL"
	chown 65534:65534 "$SPOOL/mail"
	warns 'as the owner of the spool, user 65534, group 65534' \
	    -o spool="$SPOOL/mail"
	refuses "recipients: $above/list: Permission denied" \
	    -o spool="$SPOOL/mail" -o recipients="$above/list"
	chown 0:0 "$SPOOL/mail"
	is_good -o spool="$SPOOL/mail" -o recipients="$above/list"
	warns 'IS NOT CHECKED' -o exec=/bin/cat
	warns 'IS NOT CHECKED' -o spool="$SPOOL-new"
	rm -r "$SPOOL"
}

@test "help and version are what was asked for" {
	local option

	for option in -h --help; do
		run "$SMTPD" "$option" 2>/dev/null
		[[ $status == 0 && $output == 'usage: smtpd '* ]] ||
			fail "$option"
	done
	for option in -V --version; do
		run "$SMTPD" "$option" 2>/dev/null
		[[ $status == 0 && $output =~ ^smtpd\ [0-9.]+$ ]] ||
			fail "$option"
	done
}

@test "a wrong option is 64 and usage for a person, 421 for a client" {
	run script -qec "$SMTPD --wrong" /dev/null
	((status == 64)) || fail
	said 'usage: smtpd '
	not_said 421
	smtp --wrong </dev/null
	((status == 78))
	replies 421
}

# SPDX-License-Identifier: ISC
# users.bats - auth-file: kinds of entries, SCRAM, who is unknown.

load lib
load auth

setup() {
	auth_setup
}

@test "an unknown user is answered as a known one is" {
	local known

	with_file <<-END
	EHLO c
	AUTH PLAIN $(plain alice wrong)
	QUIT
	END
	known=$output
	with_file <<-END
	EHLO c
	AUTH PLAIN $(plain nobody wrong)
	QUIT
	END
	[[ $output == "$known" ]]
}

@test "the right password of each kind of entry" {
	local user

	for user in alice bob; do
		with_file <<-END
		EHLO c
		AUTH PLAIN $(plain $user secret)
		QUIT
		END
		replies 220 250 235 221
		with_file <<-END
		EHLO c
		AUTH LOGIN $(b64 $user)
		$(b64 secret)
		QUIT
		END
		replies 220 250 334 235 221
	done
}

@test "a file with a line that is too long is broken" {
	{ users; head -c 70000 /dev/zero | tr '\0' x; echo; } >"$USERS"
	with_file <<-END
	EHLO c
	AUTH PLAIN $(plain nobody secret)
	QUIT
	END
	replies 220 250 454 221
}

@test "what follows the hash, comments, order, case and colons" {
	{
		echo '#alice:x'
		echo 'Alice:*'
		users | sed 's/^alice.*/&:1000:1000::\/home\/alice/'
		echo 'alice:$6$rounds=1000$ab$differenthash'
		echo 'locked:!$6$rounds=1000$ab$x'
		echo 'empty:'
	} >"$USERS"
	with_file -o max-auth-failures=0 <<-END
	EHLO c
	AUTH PLAIN $(plain alice secret)
	QUIT
	END
	replies 220 250 235 221
	with_file -o max-auth-failures=0 <<-END
	EHLO c
	AUTH PLAIN $(plain Alice secret)
	AUTH PLAIN $(plain "$(sed -n 's/:1000.*//;/^alice/p' "$USERS" |
	    head -n 1)" secret)
	QUIT
	END
	replies 220 250 535 535 221
	with_file -o max-auth-failures=0 <<-END
	EHLO c
	AUTH PLAIN $(plain empty x)
	AUTH PLAIN $(plain locked secret)
	QUIT
	END
	replies 220 250 535 535 221
}

@test "the last line needs no end" {
	printf '%s' "$(users)" >"$USERS"
	with_file <<-END
	EHLO c
	AUTH PLAIN $(plain bob secret)
	QUIT
	END
	replies 220 250 235 221
}

@test "a user behind many blocks of the file is found" {
	{
		seq -f 'user%g:$6$rounds=1000$abcdefgh$xxxxxxxxxxxxxxx' 20000
		users
		seq -f 'more%g:$6$rounds=1000$abcdefgh$xxxxxxxxxxxxxxx' 20000
	} >"$USERS"
	with_file <<-END
	EHLO c
	AUTH PLAIN $(plain bob secret)
	QUIT
	END
	replies 220 250 235 221
	with_file <<-END
	EHLO c
	AUTH PLAIN $(plain alice secret)
	QUIT
	END
	replies 220 250 235 221
}

@test "SCRAM is offered if the file has a verifier, and only then" {
	with_file <<<'EHLO c'
	said 'AUTH SCRAM-SHA-256 PLAIN LOGIN'
	users | grep -v SCRAM >"$USERS"
	with_file <<<'EHLO c'
	said 'AUTH PLAIN LOGIN'
	echo 'x:{SCRAM-SHA-256}4096,eOIYWi,x,y' >>"$USERS"
	with_file <<<'EHLO c'
	said 'AUTH PLAIN LOGIN'
}

# scram_salt USER: the salt that is shown for a user.
scram_salt() {
	with_file <<-END
	EHLO c
	AUTH SCRAM-SHA-256 $(b64 "n,,n=$1,r=nonce")
	*
	QUIT
	END
	replies 220 250 334 501 221
	SALT=$(sed -n 's/^334 //p' <<<"$output" | base64 -d)
	[[ $SALT == r=nonce?*,s=*,i=4096 ]] || fail "$SALT" || return
	SALT=${SALT#*,s=}
}

@test "SCRAM: an unknown user has a salt, always the same and nobody else's" {
	local bob alice nobody somebody

	scram_salt bob
	bob=$SALT
	[[ $bob == eOIYWi+UYXg07DdmjNs7zA==,i=4096 ]]
	scram_salt nobody
	nobody=$SALT
	scram_salt somebody
	somebody=$SALT
	scram_salt alice	# known, but without a verifier
	alice=$SALT
	[[ ${#nobody} == "${#bob}" && ${#alice} == "${#bob}" ]]
	[[ $(printf '%s\n' "$bob" "$alice" "$nobody" "$somebody" | sort -u |
	    wc -l) == 4 ]]
	scram_salt nobody
	[[ $SALT == "$nobody" ]]
}

@test "SCRAM: an unknown user's salt outlives every change of the file" {
	local before name

	scram_salt nobody
	before=$SALT
	for name in first second; do
		{ echo "$name:*"; users; echo "$name:*"; } >"$USERS"
		scram_salt nobody
		[[ $SALT == "$before" ]] || fail "$name" || return
	done
	# Known, and taken out: what was shown before is no longer shown.
	users | sed 's/^bob:/ex:/' >"$USERS"
	scram_salt nobody
	[[ $SALT == "$before" ]]
}

@test "SCRAM: all unknown users have the form of the first verifier" {
	local name form

	{
		users
		users | sed -n 's/^bob:{SCRAM-SHA-256}4096,[^,]*/old:{SCRAM-SHA-256}8192,AAAA/p'
	} >"$USERS"
	for name in a b c d e f; do
		scram_salt $name
		form=${#SALT}
		((form == 24 + 7)) || fail "$name: $SALT" || return
	done
}

@test "SCRAM: a machine without an id has the beginning of the file" {
	local before

	namespaces
	users >"$USERS"
	printf '#!/bin/sh\nmount --bind /dev/null /etc/machine-id || exit 9
	exec "%s" "$@"\n' "$SMTPD" >"$BATS_TEST_TMPDIR/smtpd.inside"
	printf '#!/bin/sh\nexec unshare -r -m "%s" "$@"\n' \
	    "$BATS_TEST_TMPDIR/smtpd.inside" >"$BATS_TEST_TMPDIR/smtpd"
	chmod +x "$BATS_TEST_TMPDIR"/smtpd*
	scram_salt nobody
	before=$SALT
	SMTPD=$BATS_TEST_TMPDIR/smtpd
	scram_salt nobody
	[[ $SALT != "$before" ]]
	before=$SALT
	scram_salt nobody
	[[ $SALT == "$before" ]]
	echo '# changed' | cat - <(users) >"$USERS"
	scram_salt nobody
	[[ $SALT != "$before" ]]
}

@test "SCRAM: to see a salt and go is a failure" {
	with_file -o max-auth-failures=2 <<-END
	EHLO c
	AUTH SCRAM-SHA-256 $(b64 'n,,n=nobody,r=x')
	*
	AUTH SCRAM-SHA-256 $(b64 'n,,n=bob,r=x')
	!
	AUTH PLAIN $(plain bob secret)
	END
	replies 220 250 334 501 334 501 421
	logged 'status=failed mechanism=SCRAM-SHA-256 user=nobody addr=local reason=cancelled'
	logged 'status=failed mechanism=SCRAM-SHA-256 user=bob addr=local reason=cancelled'
	: >"$LOG"
	with_file -o max-auth-failures=1 <<-END
	EHLO c
	AUTH SCRAM-SHA-256 $(b64 'n,,n=bob,r=x')
	nonsense
	AUTH PLAIN $(plain bob secret)
	END
	replies 220 250 334 501 421
	with_file -o max-auth-failures=1 <<-END
	EHLO c
	AUTH SCRAM-SHA-256 $(b64 'n,,n=bob,r=x')
	$(printf '\1')
	AUTH PLAIN $(plain bob secret)
	END
	replies 220 250 334 501 421
	with_file <<-END
	EHLO c
	AUTH SCRAM-SHA-256 $(b64 'n,,n=carl,r=x')
	END
	logged 'user=carl addr=local reason=cancelled'
}

# bats test_tags=bulk
@test "SCRAM: malformed messages are 501" {
	local text

	for text in 'n,,n=bob' 'n,,n=,r=x' 'n,' 'x' 'n,,m=1,n=bob,r=x' \
	    'x,,n=bob,r=x' 'n,,n=b=ob,r=x' 'n,b=x,n=bob,r=x' 'n,,r=x,n=bob' \
	    'n,a=,n=bob,r=x' 'n,a=b=ob,n=bob,r=x' 'n,abob,n=bob,r=x' \
	    "n,,n=$(printf 'x%.0s' {1..600}),r=x" \
	    'p=tls-exporter,,n=bob,r=x' 'n,,n=bob,r=' 'n,,n=b\000b,r=x'; do
		with_file <<-END
		EHLO c
		AUTH SCRAM-SHA-256 $(b64 "$text")
		NOOP
		END
		replies 220 250 501 250 || fail "$text" || return
	done
	for text in 'c=biws' 'c=biws,r=x' 'c=biws,p=x' ',' 'c=biws,r=x,q=x' \
	    'c=biws,r=x,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=,x=y'; do
		with_file <<-END
		EHLO c
		AUTH SCRAM-SHA-256 $(b64 'n,,n=bob,r=x')
		$(b64 "$text")
		NOOP
		END
		replies 220 250 334 501 250 || fail "$text" || return
	done
}

@test "SCRAM: names with = and a comma, somebody else's name, y for no -PLUS" {
	local code text

	while read -r code text; do
		with_file <<-END
		EHLO c
		AUTH SCRAM-SHA-256 $(b64 "$text")
		*
		END
		[[ ${lines[-2]} == "$code"* || ${lines[-1]} == "$code"* ]] ||
			fail "$text" || return
	done <<-'END'
		334 n,,n=a=2Cb=3Dc,r=x
		334 y,,n=bob,r=x
		334 n,a=bob,n=bob,r=x
		535 n,a=eve,n=bob,r=x
		334 n,a=a=2Cb,n=a=2Cb,r=x
	END
	logged 'user=a,b'
}

@test "SCRAM: with our nonce, another header or proof; octets after the end" {
	with_file -h >/dev/null		# the file
	client -o auth-file="$USERS" -o auth-cleartext=yes <<-'END'
	from base64 import b64decode, b64encode
	from client import Client
	for header, proof, code in ((b"biws", b"short", b"501"),
	    (b"biws", bytes(32), b"535"), (b"eSws", bytes(32), b"535")):
	    c = Client()
	    c.hear(b"220")
	    c.ask(b"HELO c", b"250")
	    first = c.ask(b"AUTH SCRAM-SHA-256 " +
	        b64encode(b"n,,n=bob,r=x"), b"334")
	    nonce = b64decode(first[4:]).split(b",")[0]
	    c.ask(b64encode(b"c=%s,%s,p=%s" % (header, nonce,
	        b64encode(proof))), code)
	    c.ask(b"QUIT", b"221")
	END
}

@test "SCRAM: not our nonce, not our header" {
	local text

	for text in 'c=biws,r=xx,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=' \
	    'c=eSws,r=x,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts='; do
		with_file <<-END
		EHLO c
		AUTH SCRAM-SHA-256 $(b64 'n,,n=bob,r=x')
		$(b64 "$text")
		NOOP
		END
		replies 220 250 334 535 250
	done
}

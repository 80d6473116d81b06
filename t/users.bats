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

@test "SCRAM: malformed messages are 501" {
	local text

	for text in 'n,,n=bob' 'n,,n=,r=x' 'n,' 'x' 'n,,m=1,n=bob,r=x' \
	    'x,,n=bob,r=x' 'n,,n=b=ob,r=x' 'n,b=x,n=bob,r=x' 'n,,r=x,n=bob' \
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

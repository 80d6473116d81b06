# SPDX-License-Identifier: ISC
# external.bats - AUTH EXTERNAL: certificates of clients, and who may come.

load lib
load auth

setup() {
	auth_setup
	certs
	CLIENT=(-cert "$CERTS/client.pem" -key "$CERTS/client.key")
	BEGIN=('< 220' '> EHLO a' '< 250')
}

# external [OPTION ...]: the words of a server with client.test's authority.
external() {
	SERVER=("$SMTPD" -o hostname=mx.test -o spool="$SPOOL"
	    -o tls=implicit -o tls-cert="$CERTS/ec.pem"
	    -o tls-key="$CERTS/ec.key" -o tls-client-ca="$CERTS/ca.pem"
	    -o auth-mechanisms='EXTERNAL PLAIN' "$@")
}

# play LINE ...: a session; the dialogue in $output.
play() {
	local status=0

	output=$(printf '%s\n' "${BEGIN[@]}" "$@" '> QUIT' '< 221' |
	    talk -tls "${CLIENT[@]}" -- "${SERVER[@]}") || status=$?
	output=${output//$'\r'/}
	((status == 0)) || fail "${SERVER[*]} did not say: $*"
}

# checked [OPTION ...]: what -t says of that server.
checked() {
	external "$@"
	run "${SERVER[@]}" -t
}

@test "EXTERNAL: who the certificate is for, and nobody else" {
	echo client.test >"$USERS"
	external -o auth=require -o auth-users="$USERS"
	play "> AUTH EXTERNAL $(b64 client.test)" '< 235' \
	    '> MAIL FROM:<>' '< 250'
	logged 'status=ok mechanism=EXTERNAL user=client.test'
	echo alice >>"$USERS"
	play "> AUTH EXTERNAL $(b64 alice)" '< 535' '> AUTH EXTERNAL' \
	    '< 334' '> ' '< 235'
}

@test "EXTERNAL: a certificate of the authority is not enough" {
	external -o auth=require -o auth-users="$USERS"
	for list in '' '#client.test' client.tes client.test2 CLIENT.TEST \
	    'client.test:x' ' client.test'; do
		echo "$list" >"$USERS"
		play '> AUTH EXTERNAL =' '< 535 5.7.8' '> MAIL FROM:<>' \
		    '< 530' || fail "$list" || return
	done
	logged 'status=failed mechanism=EXTERNAL user=client.test'
	not_logged status=ok
}

@test "EXTERNAL: users of auth-file, with a password or without" {
	local entry

	external -o auth-file="$USERS"
	for entry in 'client.test:*' 'client.test:$6$ab$cd' \
	    'client.test:*:more'; do
		{ users; echo "$entry"; } >"$USERS"
		play '> AUTH EXTERNAL =' '< 235' || fail "$entry" || return
	done
	for entry in 'client.test:!*' 'client.test:!$6$ab$cd' client.test; do
		{ users; echo "$entry"; } >"$USERS"
		play '> AUTH EXTERNAL =' '< 535' || fail "$entry" || return
	done
	printf '%s\n' 'client.test:!' 'client.test:*' >"$USERS"
	play '> AUTH EXTERNAL =' '< 535'	# the first counts
}

@test "EXTERNAL: with auth-file a list of names counts for nothing" {
	users >"$USERS"
	echo client.test >"$USERS.names"
	external -o auth-file="$USERS" -o auth-users="$USERS.names"
	play '> AUTH EXTERNAL =' '< 535'
	checked -o auth-file="$USERS" -o auth-users="$USERS.names"
	((status == 78))
	[[ $output == *'auth-users: auth-file has the users'* ]]
}

@test "EXTERNAL: auth-any and auth-program know nobody for it" {
	local source

	checker 'exit 0'
	for source in auth-any=yes auth-program="$CHECKER"; do
		external -o "$source"
		run "${SERVER[@]}" -t
		((status == 78))
		[[ $output == *'EXTERNAL wants auth-file or auth-users'* ]]
		echo nobody >"$USERS"
		external -o "$source" -o auth-users="$USERS"
		play '> AUTH EXTERNAL =' '< 535' \
		    "> AUTH PLAIN $(plain client.test x)" '< 235'
		echo client.test >"$USERS"
		play '> AUTH EXTERNAL =' '< 235'
	done
}

@test "EXTERNAL: a list that can't be read is 454, but not for passwords" {
	external -o auth-any=yes -o auth-users=/nonexistent/names
	play '> AUTH EXTERNAL =' '< 454' "> AUTH PLAIN $(plain a b)" '< 235'
	logged 'auth-users: /nonexistent/names' ||
		logged '/nonexistent/names'
}

@test "EXTERNAL: not for a certificate of somebody else's authority" {
	echo client.test >"$USERS"
	external -o auth-any=yes -o auth-users="$USERS"
	certtool --generate-self-signed --load-privkey "$CERTS/client.key" \
	    --template "$CERTS/client.tmpl" \
	    --outfile "$BATS_TEST_TMPDIR/own.pem" 2>/dev/null
	CLIENT=(-cert "$BATS_TEST_TMPDIR/own.pem" -key "$CERTS/client.key")
	play '> AUTH EXTERNAL =' '< 504'
	[[ $output != *EXTERNAL\ PLAIN* ]]
}

@test "an authority alone offers no AUTH" {
	local auth

	for auth in auto offer; do
		run "$SMTPD" -T -o tls-cert=a -o tls-client-ca=b -o auth=$auth
		[[ $output == *'auth = off'* ||
		    $output == *'auth: want auth-file'* ]] || fail "$auth"
	done
	run "$SMTPD" -T -o tls-cert=a -o tls-client-ca=b -o auth-users=c
	[[ $output == *'auth = off'* ]]
	run "$SMTPD" -T -o tls-cert=a -o tls-client-ca=b -o auth-users=c \
	    -o auth-mechanisms=external
	[[ $output == *'auth = offer'* ]]
}

@test "-t: lists of names, and mechanisms that nothing can serve" {
	printf '%s\n' '# ours' '' client.test "$(printf '%0256d' 0)" >"$USERS"
	checked -o auth-users="$USERS"
	((status == 78))
	[[ $output == *"auth-users: $USERS: line 4: not a user name" ]]
	checked -o auth-users=/nonexistent
	((status == 78))
	[[ $output == *'auth-users: /nonexistent: No such file'* ]]
	checked -o auth-any=yes -o auth-mechanisms=scram-sha-256
	((status == 78))
	[[ $output == *'auth-mechanisms: none of them can be used'* ]]
	run "$SMTPD" -t -o auth-any=yes -o auth-mechanisms=external
	((status == 78))
	[[ $output == *'EXTERNAL wants tls-client-ca'* ]]
}

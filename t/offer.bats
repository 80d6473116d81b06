# SPDX-License-Identifier: ISC
# offer.bats - TLS and AUTH: what is offered, and that just this is accepted.
#
# Every combination of tls, auth, auth-cleartext and a client's certificate is
# tried in a session of its own, first in clear and then inside TLS.  What is
# expected is worked out here, from the manual and not from the program.

load lib

setup() {
	test_setup
	certs
	USERS=$BATS_TEST_TMPDIR/users
	# The password is "secret".
	echo "alice:{SCRAM-SHA-256}4096,eOIYWi+UYXg07DdmjNs7zA==,$(
	    )qcBA2+2XEJ/Glhj/amX5TRCFD+u76aWeexcW+fLiL54=,$(
	    )BFXdVankj2YARrrVW/uLpHmBvWYiuu8L06XiGy+h1mA=" >"$USERS"
	echo 'client.test:*' >>"$USERS"
	GOOD=$(printf '\0alice\0secret' | base64)
	ALL='EXTERNAL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN'
}

# start TLS AUTH CLEARTEXT CERTIFICATE: the client's and the program's words.
start() {
	CLIENT=()
	[[ $4 == no ]] || CLIENT=(-cert "$CERTS/client.pem"
	    -key "$CERTS/client.key")
	[[ $1 != implicit ]] || CLIENT+=(-tls)
	SERVER=("$SMTPD" -o hostname=mx.test -o spool="$SPOOL" -o tls="$1"
	    -o auth="$2" -o auth-cleartext="$3" -o auth-file="$USERS"
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key"
	    -o tls-client-ca="$CERTS/ca.pem" -o auth-mechanisms="$ALL")
}

# play LINE ...: a session; the dialogue in $output.
play() {
	local status=0

	output=$(printf '%s\n' "$@" | talk "${CLIENT[@]}" -- "${SERVER[@]}") ||
		status=$?
	output=${output//$'\r'/}
	((status == 0)) || fail "${SERVER[*]} did not say: $*"
}

# The value of an EHLO keyword, or nothing.
keyword() {
	sed -n "s/.*250[- ]$1 *//p" <<<"$output" | tail -n 1
}

has_keyword() {
	grep -q "250[- ]$1" <<<"$output"
}

# mechanisms INSIDE AUTH CLEARTEXT CERTIFICATE TLS: what is to be offered.
mechanisms() {
	local list='SCRAM-SHA-256 PLAIN LOGIN'

	[[ $2 != off ]] || return 0
	if [[ $1 == yes ]]; then
		list="SCRAM-SHA-256-PLUS $list"
		[[ $4 == no ]] || list="EXTERNAL $list"
		echo "$list"
	elif [[ $3 == yes && $5 != require ]]; then
		echo "$list"
	fi
}

# refusal INSIDE TLS AUTH CLEARTEXT: of a mechanism that is not offered.
refusal() {
	if [[ $1 == no && $2 == require ]]; then
		echo 530
	elif [[ $3 == off ]]; then
		echo 502
	elif [[ $1 == no && $4 == no ]]; then
		echo 538
	else
		echo 504
	fi
}

# side INSIDE TLS AUTH CLEARTEXT CERTIFICATE: one side of STARTTLS.
side() {
	local inside=$1 tls=$2 auth=$3 clear=$4 cert=$5 want name mail=250
	local begin=('< 220') attempts=()

	[[ $inside == no || $tls == implicit ]] || begin=('< 220' '> EHLO a'
	    '< 250' '> STARTTLS' '< 220' tls)
	begin+=('> EHLO b' '< 250')
	want=$(mechanisms "$inside" "$auth" "$clear" "$cert" "$tls")
	for name in EXTERNAL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN; do
		if [[ " $want " == *" $name "* ]]; then
			attempts+=("> AUTH $name" '< 334' '> *' '< 501')
		else
			attempts+=("> AUTH $name"
			    "< $(refusal "$inside" "$tls" "$auth" "$clear")")
		fi
	done
	[[ $auth != require ]] || mail=530
	[[ $inside == yes || $tls != require ]] || mail=530
	play "${begin[@]}" "${attempts[@]}" '> MAIL FROM:<>' "< $mail" \
	    '> QUIT' '< 221' || return
	output=${output##*EHLO b}
	[[ $(keyword AUTH) == "$want" ]] ||
		fail "$*: offers '$(keyword AUTH)', expected '$want'" || return
	if [[ $inside == no && $tls =~ ^(offer|require)$ ]]; then
		has_keyword STARTTLS
	else
		! has_keyword STARTTLS
	fi || fail "$*: STARTTLS" || return
	for name in $want; do
		succeed "$name" || return
	done
}

# succeed MECHANISM: in a session that starts with $begin.
succeed() {
	local lines=()

	case $1 in
	EXTERNAL)	lines=('> AUTH EXTERNAL =') ;;
	PLAIN)		lines=("> AUTH PLAIN $GOOD") ;;
	LOGIN)		lines=('> AUTH LOGIN YWxpY2U=' '< 334' '> c2VjcmV0') ;;
	*)		return 0 ;;	# see sasl.bats
	esac
	play "${begin[@]}" "${lines[@]}" '< 235' '> AUTH PLAIN' '< 503' \
	    '> MAIL FROM:<>' '< 250' '> QUIT' '< 221'
}

# combinations TLS: with all of the others.
combinations() {
	local auth clear cert

	for auth in off offer require; do
		for clear in no yes; do
			for cert in no yes; do
				combination "$1" $auth $clear $cert || return
			done
		done
	done
}

combination() {
	start "$@"
	if [[ $1 == off && $2 == require && $3 == no ]]; then
		# Nobody could ever send anything.
		play '< 421' eof 'exit 78'
		return
	fi
	[[ $1 == implicit ]] || side no "$@" || return
	[[ $1 == off ]] || side yes "$@"
}

@test "tls=off: every auth, auth-cleartext and certificate" {
	combinations off
}

@test "tls=offer: every auth, auth-cleartext and certificate" {
	combinations offer
}

@test "tls=require: every auth, auth-cleartext and certificate" {
	combinations require
}

@test "tls=implicit: every auth, auth-cleartext and certificate" {
	combinations implicit
}

@test "by default neither EXTERNAL nor SCRAM-SHA-256-PLUS" {
	ALL='SCRAM-SHA-256 PLAIN LOGIN'
	start offer offer no yes
	SERVER=("${SERVER[@]/#auth-mechanisms=*/auth-any=no}")
	play '< 220' '> EHLO a' '< 250' '> STARTTLS' '< 220' tls '> EHLO b' \
	    '< 250' '> AUTH EXTERNAL =' '< 504' '> QUIT' '< 221'
	[[ $(keyword AUTH) == "$ALL" ]]
	run "$SMTPD" -T
	[[ $output == *"auth-mechanisms = $ALL"* ]]
}

@test "auth-mechanisms: each alone, and none of the others" {
	local name other

	for name in $ALL; do
		start implicit offer no yes
		SERVER+=(-o auth-mechanisms="${name,,}")
		play '< 220' '> EHLO a' '< 250' '> QUIT' '< 221' || return
		[[ $(keyword AUTH) == "$name" ]] || fail "$name" || return
		for other in $ALL; do
			[[ $other == "$name" ]] ||
				play '< 220' '> EHLO a' '< 250' \
				    "> AUTH $other" '< 504' '> QUIT' '< 221' ||
				return
		done
	done
}

@test "AUTH before STARTTLS counts for nothing after it" {
	start offer require yes no
	play '< 220' '> EHLO a' '< 250' "> AUTH PLAIN $GOOD" '< 235' \
	    '> STARTTLS' '< 220' tls '> EHLO b' '< 250' '> MAIL FROM:<>' \
	    '< 530' "> AUTH PLAIN $GOOD" '< 235' '> MAIL FROM:<>' '< 250' \
	    '> QUIT' '< 221'
}

@test "after AUTH there is no more AUTH to offer, but AUTH= is taken" {
	start offer offer yes no
	SERVER+=("${STRICT[@]}")
	play '< 220' '> EHLO a' '< 250' "> AUTH PLAIN $GOOD" '< 235' \
	    '> EHLO b' '< 250' '> MAIL FROM:<> AUTH=a@b.test' '< 250' \
	    '> RSET' '< 250' "> AUTH PLAIN $GOOD" '< 503' '> HELP' '< 214' \
	    '> HELO c' '< 250' '> MAIL FROM:<> AUTH=a@b.test' '< 555' \
	    '> QUIT' '< 221'
	has_keyword 'AUTH SCRAM'
	output=${output#*EHLO b}
	! has_keyword AUTH || fail
	! grep 'Commands:.* AUTH' <<<"$output" || fail
}

@test "after STARTTLS it is offered again" {
	start offer offer yes no
	play '< 220' '> EHLO a' '< 250' "> AUTH PLAIN $GOOD" '< 235' \
	    '> STARTTLS' '< 220' tls '> EHLO b' '< 250' '> QUIT' '< 221'
	output=${output#*EHLO b}
	has_keyword 'AUTH SCRAM'
}

@test "after max-auth-failures AUTH is not offered, and ends the session" {
	start offer offer yes no
	SERVER+=(-o max-auth-failures=1)
	play '< 220' '> EHLO a' '< 250' '> AUTH PLAIN AGEAYg==' '< 535' \
	    '> EHLO b' '< 250' '> MAIL FROM:<> AUTH=<>' '< 250' '> RSET' \
	    '< 250' '> AUTH PLAIN AGEAYg==' '< 421' eof
	output=${output#*EHLO b}
	! has_keyword AUTH || fail
}

@test "disable=AUTH: neither offered nor accepted" {
	start offer offer yes no
	SERVER+=(-o disable=AUTH)
	play '< 220' '> EHLO a' '< 250' "> AUTH PLAIN $GOOD" '< 502' '> QUIT' \
	    '< 221'
	! has_keyword AUTH
}

# SPDX-License-Identifier: ISC
# lib.bash - what the tests share.
#
# A test feeds a dialogue to the program with smtp, or starts it behind
# tcpserver with serve and speaks to it with talk; then it looks at $output,
# $status, $LOG and $SPOOL.  Everything lives in $BATS_TEST_TMPDIR.

bats_require_minimum_version 1.8.0

ROOT=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
SMTPD=${SMTPD:-$ROOT/smtpd}
[[ $SMTPD == /* ]] || SMTPD=$ROOT/$SMTPD
TOOLS=${TOOLS:-$ROOT/build/t}		# programs made from t/*.c
[[ $TOOLS == /* ]] || TOOLS=$ROOT/$TOOLS
CERTS=${BATS_RUN_TMPDIR:-/tmp}/certs
PATH=$PATH:/usr/sbin:/sbin
PYTHON=/usr/bin/python3
UNPACKED=$ROOT/build/unpacked		# by t/unpack
export ROOT SMTPD TOOLS CERTS PATH
export LC_ALL=C
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0:abort_on_error=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

# Nothing of the caller's may tell the program who the client is.
unset REMOTE_ADDR REMOTE_PORT TCPREMOTEIP TCPREMOTEPORT TCPREMOTEHOST
unset CREDENTIALS_DIRECTORY NOTIFY_SOCKET LISTEN_FDS LISTEN_PID

SERVERS=()
NO_NAMESPACES='no user namespaces here'

# leaks: look for leaks, which takes longer than a session: for processes that
# outlive one.  t/once/valgrind.bats looks at one session.
leaks() {
	ASAN_OPTIONS=detect_leaks=1:abort_on_error=0
}

# What smtp and serve start with.  A test of what is refused only where nothing
# is tolerated has SYNTAX=("${STRICT[@]}"), and so has a file of such tests.
SYNTAX=()
STRICT=(-o syntax=strict -o stray-newline=refuse)

setup() {
	test_setup
}

# A test file with a setup or teardown of its own calls these.
test_setup() {
	SPOOL=$BATS_TEST_TMPDIR/mail
	LOG=$BATS_TEST_TMPDIR/log
	: >"$LOG"
	export SPOOL LOG
}

teardown() {
	test_teardown
}

test_teardown() {
	local pid

	for pid in "${SERVERS[@]}"; do
		kill -- "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	SERVERS=()
	sanitized
}

# Whatever a test looked at: a report of a sanitizer is a failure.
sanitized() {
	! grep -a -e 'ERROR: [A-Za-z]*Sanitizer' -e 'runtime error:' \
	    -e '^==[0-9]*==' "$LOG" || {
		cat "$LOG"
		return 1
	}
}

# fail TEXT ...: say why, and what there is to see.
fail() {
	echo "failed: $*"
	echo "-- status ${status-}, output:"
	echo "${output-}"
	if [[ -s ${LOG-} ]]; then
		echo "-- log:"
		tail -n 40 "$LOG"
	fi
	return 1
}

# namespaces: for a test that makes some as an ordinary user, which many
# containers, Ubuntu 24.04 and a chroot forbid.  No other test is ever skipped:
# t/run counts that as a failure.
namespaces() {
	unshare -r -m -n -u true 2>/dev/null || skip "$NO_NAMESPACES"
}

# smtp [ARGUMENT ...]: a dialogue on standard input, lines as usual.
smtp() {
	smtp_raw "$@" < <(sed 's/$/\r/')
}

# smtp_raw [ARGUMENT ...]: octets on standard input.
smtp_raw() {
	status=0
	output=$(
		"$SMTPD" -o hostname=mx.test "${SYNTAX[@]}" "$@" 2>>"$LOG" |
		    tr -d '\r\0'
		exit "${PIPESTATUS[0]}"
	) || status=$?
	mapfile -t lines <<<"$output"
}

# replies CODE ...: these replies, in this order, and no others.
replies() {
	local line got=() first=

	while IFS= read -r line; do
		[[ $line =~ ^([2345][0-9][0-9])([ -])[\ -~]*$ ]] ||
			fail "not a reply line: '$line'" || return
		[[ -z $first || $first == "${BASH_REMATCH[1]}" ]] ||
			fail "code changes within a reply: '$line'" || return
		first=${BASH_REMATCH[1]}
		if [[ ${BASH_REMATCH[2]} == ' ' ]]; then
			got+=("$first")
			first=
		fi
	done < <([[ -z $output ]] || printf '%s\n' "$output")
	[[ -z $first ]] || fail "reply $first has no last line" || return
	[[ "${got[*]}" == "$*" ]] ||
		fail "replies: ${got[*]}, expected: $*"
}

said() {
	[[ $output == *"$1"* ]] || fail "not said: $1"
}

not_said() {
	[[ $output != *"$1"* ]] || fail "said: $1"
}

logged() {
	grep -aqF -- "$1" "$LOG" || fail "not logged: $1"
}

not_logged() {
	! grep -aqF -- "$1" "$LOG" || fail "logged: $1"
}

# messages NUMBER: in the spool, and nothing half done.
messages() {
	local n tmp

	n=$(find "$SPOOL/new" -type f 2>/dev/null | wc -l)
	tmp=$(find "$SPOOL/tmp" -type f 2>/dev/null | wc -l)
	((n == $1)) || fail "$n messages in new/, expected $1" || return
	((tmp == 0)) || fail "$tmp files left in tmp/"
}

# The only message in the spool.
message() {
	local files

	files=("$SPOOL"/new/*)
	if ((${#files[@]} != 1)) || [[ ! -f ${files[0]} ]]; then
		fail "not one message: ${files[*]}" >&2
		return
	fi
	cat "${files[0]}"
}

# client ARGUMENT ...: Python on standard input, for smtpd and these arguments;
# see client.py.
client() {
	PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$ROOT/t "$PYTHON" - "$SMTPD" \
	    -o hostname=mx.test "$@" 2>>"$LOG" || fail "client $*"
}

# wait_for COMMAND ...: until it succeeds, at most a minute.
wait_for() {
	local end=$((SECONDS + 60))

	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || fail "waited in vain for: $*" || return
		read -rt 0.05 <> <(:) || true
	done
}

# background COMMAND ...: ended with the test; its pid is in $!, for a moment.
background() {
	"$@" 3>&- &
	SERVERS+=($!)
}

# The TCP port on which process PID listens, in $PORT.
listening() {
	PORT=$(ss -Htlnp 2>/dev/null | sed -n \
	    "s/^.*[]:0-9.*]:\([0-9]*\) .*pid=$1,.*/\1/p" | head -n 1)
	export PORT
	[[ -n $PORT ]]
}

# postfix PROGRAM [ARGUMENT ...]: one of Postfix's that need no more than its
# libraries.
postfix() {
	LD_LIBRARY_PATH=$UNPACKED/usr/lib/postfix "$UNPACKED/usr/sbin/$1" "${@:2}"
}

# A port that nobody listens on; for servers that can't choose one themselves.
free_port() {
	"$PYTHON" -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# serve [ARGUMENT ...]: on 127.0.0.1 and $PORT, behind tcpserver, or with
# LISTENER=listen by itself.
serve() {
	if [[ ${LISTENER-tcpserver} == listen ]]; then
		serve_itself -o max-connections-source=0 "$@"
		return
	fi
	serve_with tcpserver -1 -HR -l 0 -c 100 -b 200 127.0.0.1 0 \
	    "$SMTPD" -o hostname=mx.test "${SYNTAX[@]}" "$@"
}

# serve_itself [ARGUMENT ...]: smtpd listens; its pid is in $LISTENING.
serve_itself() {
	background "$SMTPD" -l 127.0.0.1:0 -o hostname=mx.test "$@" 2>>"$LOG"
	LISTENING=$!
	wait_for listening "$LISTENING"
}

# serve_with COMMAND ...: one that prints its port on standard output.
serve_with() {
	local port=$BATS_TEST_TMPDIR/port.${#SERVERS[@]}

	"$@" >"$port" 2>>"$LOG" 3>&- &
	SERVERS+=($!)
	wait_for test -s "$port" || return
	PORT=$(<"$port")
	export PORT
}

# talk [OPTION ...] [HOST PORT | -- COMMAND ...]: see talk.c.  Without a host
# it is the server that serve started.
talk() {
	"$TOOLS/talk" -log "$LOG" "$@"
}

# Certificates in $CERTS, made once a run: ca.pem; ec, rsa and ed (Ed25519) for
# mx.test, other for other.test; client.  Each .pem has its .key.
certs() {
	local lock=$CERTS.lock

	[[ ! -e $CERTS/done ]] || return 0
	exec {certs_fd}>"$lock"
	flock "$certs_fd"
	[[ -e $CERTS/done ]] || make_certs
	exec {certs_fd}>&-
}

make_certs() {
	mkdir -p "$CERTS"
	make_key ca ecdsa
	printf '%s\n' 'cn = "Test CA"' ca cert_signing_key \
	    'expiration_days = 30' >"$CERTS/ca.tmpl"
	certtool --generate-self-signed --load-privkey "$CERTS/ca.key" \
	    --template "$CERTS/ca.tmpl" --outfile "$CERTS/ca.pem" 2>/dev/null
	make_cert ec ecdsa mx.test tls_www_server
	make_cert rsa rsa mx.test tls_www_server
	make_cert ed ed25519 mx.test tls_www_server
	make_cert other ecdsa other.test tls_www_server
	make_cert client ecdsa client.test tls_www_client
	: >"$CERTS/done"
}

# make_key NAME TYPE
make_key() {
	local strength=(--curve secp256r1)

	[[ $2 != rsa ]] || strength=(--bits 2048)
	[[ $2 != ed25519 ]] || strength=()
	certtool --generate-privkey --key-type "$2" "${strength[@]}" \
	    --outfile "$CERTS/$1.key" 2>/dev/null
	chmod 600 "$CERTS/$1.key"
}

# make_cert NAME TYPE COMMON-NAME PURPOSE
make_cert() {
	make_key "$1" "$2"
	printf '%s\n' "cn = \"$3\"" "dns_name = \"$3\"" "$4" signing_key \
	    'expiration_days = 30' >"$CERTS/$1.tmpl"
	certtool --generate-certificate --load-privkey "$CERTS/$1.key" \
	    --load-ca-certificate "$CERTS/ca.pem" \
	    --load-ca-privkey "$CERTS/ca.key" \
	    --template "$CERTS/$1.tmpl" --outfile "$CERTS/$1.pem" 2>/dev/null
}

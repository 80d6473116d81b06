# SPDX-License-Identifier: ISC
# Settings: the table, the file, the command line, the dump, the manual.

load lib

MANUAL=$ROOT/man/smtpd.conf.5

# dump [ARGUMENT ...]: -T, in $output and $status; its errors in $LOG.
dump() {
	status=0
	output=$("$SMTPD" -T "$@" 2>"$LOG") || status=$?
}

# value NAME: of the dump.
value() {
	sed -n "s/^$1 =\( \|\$\)//p" <<<"$output"
}

# good NAME VALUE [SHOWN]
good() {
	dump -o "$1=$2"
	[[ $status == 0 && ! -s $LOG ]] || fail "$1=$2 is refused" || return
	[[ $(value "$1") == "${3-$2}" ]] ||
		fail "$1=$2 is shown as '$(value "$1")'"
}

# bad NAME VALUE: refused, with one line that names the setting.
bad() {
	dump -o "$1=$2"
	[[ $status == 78 && -z $output ]] || fail "$1=$2 is accepted" || return
	[[ $(wc -l <"$LOG") == 1 ]] || fail "$1=$2: not one line" || return
	logged "-o $1: want"
}

# file LINE ...: a settings file in $FILE.
file() {
	FILE=$BATS_TEST_TMPDIR/smtpd.conf
	printf '%s\n' "$@" >"$FILE"
}

# refused TEXT: the dump with $FILE fails with one line, TEXT in it.
refused() {
	dump -f "$FILE"
	[[ $status == 78 && -z $output ]] || fail "accepted" || return
	[[ $(wc -l <"$LOG") == 1 ]] || fail "not one line" || return
	logged "$1"
}

names() {
	sed 's/ =.*//' <<<"$output" | uniq
}

# NAME:DEFAULT of each setting in the manual; no default there is "".
manual() {
	awk '
	/^\.It Ic / { name = $3; next }
	/^\.El/ { name = "" }
	/^Default:$/ { getline; sub(/^\.Cm /, ""); sub(/ ?[.,;].*/, "");
	    print name ":" $0; next }
	/^Default: [0-9]/ { sub(/\.$/, "", $2); print name ":" $2; next }
	/^Default: / { print name ":" }' "$MANUAL"
}

@test "the manual and the table name the same settings" {
	dump
	diff <(names | sort) <(sed -n 's/^\.It Ic \([^ ]*\).*/\1/p' "$MANUAL" |
	    sort)
}

@test "the manual and the table give the same defaults" {
	local line name want

	dump
	[[ $(manual | wc -l) == $(names | wc -l) ]]
	while IFS=: read -r name want; do
		case $name in
		hostname) continue ;;		# the machine's
		tls | auth) [[ $want == auto ]] && want=off ;;
		esac
		[[ $(value "$name") == "$want" ]] ||
			fail "$name: $(value "$name"), manual: $want" || return
	done < <(manual)
}

# bats test_tags=bulk
@test "the words in the manual are those that the table takes" {
	local name words word checked=0

	while read -r name words; do
		for word in ${words//|/ }; do
			dump -o tls=require -o "$name=$word" -o tls-cert=a \
			    -o tls-client-ca=a -o auth-any=yes \
			    -o auth-cleartext=yes
			[[ $status == 0 ]] || fail "$name=$word" || return
			checked=$((checked + 1))
		done
		dump -o "$name=nonsense"
		[[ $status == 78 ]] || fail "$name=nonsense" || return
		diff <(sed 's/.*want one of //' "$LOG" | tr ' ' '\n' | sort) \
		    <(tr -s '| ' '\n' <<<"$words" | sort) ||
			fail "$name: $words" || return
	done < <(sed -n 's/^\.It Ic \([^ ]*\) No = Cm \([a-z |]*\)$/\1 \2/p' \
	    "$MANUAL")
	((checked > 20))
}

@test "the keywords in the manual are those that disable takes" {
	local keywords

	keywords=$(sed -n '/^\.It Ic disable/,/^BINARYMIME goes/s/^\.Cm \([A-Z0-9-]*\).*/\1/p' \
	    "$MANUAL" | tr '\n' ' ')
	good disable "${keywords% }"
	bad disable nonsense
	logged "want EHLO keywords of ${keywords% }"
}

@test "prefixes of addresses" {
	good proxy-from ''
	good proxy-from 127.0.0.1
	good proxy-from '::1 local 10.0.0.0/8'
	good proxy-from '0.0.0.0/0 ::/0 2001:db8::/32 192.0.2.1/32'
	bad proxy-from example.com
	bad proxy-from 192.0.2.0/33
	bad proxy-from ::/129
	bad proxy-from 192.0.2.0/
	bad proxy-from 192.0.2.0/-1
	bad proxy-from 192.0.2.0/24x
	bad proxy-from 192.0.2
	bad proxy-from '127.0.0.1, ::1'
	bad proxy-from fe80::1%eth0
}

# bats test_tags=bulk
@test "sizes" {
	good max-size 0
	good max-size 1
	good max-size 1023
	good max-size 1024 1K
	good max-size 1K
	good max-size 1k 1K
	good max-size 50M
	good max-size 1536K
	good max-size 1025K
	good max-size 1024M 1G
	good max-size 5G
	good max-size 2048G
	good max-size 8589934591G
	good max-size 9223372036854775807
	bad max-size 8589934592G
	bad max-size 9007199254740992K
	bad max-size 9223372036854775808
	bad max-size 18446744073709551617
	bad max-size 99999999999999999999999
	bad max-size ''
	bad max-size K
	bad max-size -1
	bad max-size +1
	bad max-size 1.5M
	bad max-size 1T
	bad max-size 1KB
	bad max-size '1 K'
	bad max-size 0x10
	bad max-size ten
}

# bats test_tags=bulk
@test "numbers, within their ranges" {
	local name

	for name in max-recipients max-messages max-errors max-junk \
	    max-auth-failures max-connections max-connections-source \
	    max-hops; do
		good $name 0
		good $name 1
		good $name 1000000000
		bad $name 1000000001
		bad $name 4294967296
		bad $name -1
		bad $name ''
		bad $name 1K
		bad $name '1 2'
		bad $name many
	done
	good timeout 1
	good timeout 86400
	bad timeout 0
	bad timeout 86401
	good session-timeout 604800
	bad session-timeout 0
	bad session-timeout 604801
	logged 'want a number from 1 to 604800'
}

@test "words are exact" {
	good newline crlf
	bad newline CRLF
	bad newline ''
	bad newline cr
	bad auth-any true
	bad auth-any 1
	bad auth-any Yes
	bad protocol esmtp
	bad log journal
	bad log-level notice
	bad tls yes
	bad auth yes
}

@test "host names" {
	good hostname mx.example.org
	good hostname localhost
	good hostname a-b.c1
	bad hostname a_b
	bad hostname -a.test
	bad hostname a-.test
	bad hostname a..b
	bad hostname .a
	bad hostname a.
	bad hostname 'a b'
	bad hostname $'\xc3\xa4.test'
	bad hostname "$(printf '%064d' 0)"
	good hostname "$(printf '%063d' 0)"
	bad hostname "$(printf '%0250d' 0 | sed 's/.\{50\}/&./g')123456"
}

@test "without hostname: the machine's name, in UTS namespaces of any name" {
	local name

	namespaces
	for name in mx.example.org:mx.example.org box:box bad_name:localhost \
	    -x:localhost; do
		output=$(unshare --user --map-root-user --uts sh -c "
		    $PYTHON -c 'import socket, sys
socket.sethostname(sys.argv[1])' '${name%:*}' &&
		    '$SMTPD' -T")
		[[ $(value hostname) == "${name#*:}" ]] || fail "$name" ||
			return
	done
}

@test "policy servers" {
	good policy unix:/run/x/y
	good policy unix:relative
	good policy inet:localhost:10023
	good policy inet:127.0.0.1:1
	good policy 'inet:[::1]:65535'
	good policy-end unix:/x
	good milter unix:/x
	good milter inet:[::1]:1
	good policy ''
	bad policy /run/x
	bad policy unix:
	bad policy inet:
	bad policy inet:localhost
	bad policy inet::25
	bad policy inet:localhost:0
	bad policy inet:localhost:65536
	bad policy inet:localhost:smtp
	bad policy inet:localhost:-1
	bad policy inet:localhost:+1
	bad policy 'inet:localhost: 1'
	bad policy inet:mail.example.org:25
	bad policy inet:127.0.0.256:25
	bad policy 'inet:[::1:25'
	bad policy 'inet:[::1%lo]:25'
	bad policy unix:/"$(printf '%0107d' 0)"
	bad policy-end tcp:localhost:25
	bad milter exec:/bin/true
	bad milter-quarantine hold
}

@test "programs are split at blanks" {
	good exec '/bin/cat'
	good exec '/bin/cat   -n	{sender}' '/bin/cat -n {sender}'
	good auth-program '/bin/checkpw  x' '/bin/checkpw x'
	good exec ''
	good exec '  ' ''
}

@test "a program that the client would name is refused" {
	local word

	for word in {sender} {recipient} {recipients} {x}; do
		dump -o "exec=$word x"
		[[ $status == 78 ]] || fail "$word" || return
		logged 'exec: the first word must be a program'
	done
	dump -o 'exec=/bin/cat {recipient} {recipients}'
	[[ $status == 78 ]]
	logged 'exec: {recipient} or {recipients}, not both'
}

@test "disable: keywords in any case, and nothing else" {
	good disable 'chunking  Size' 'SIZE CHUNKING'
	good disable 8bitmime 8BITMIME
	good disable ''
	bad disable SIZ
	bad disable SIZES
	bad disable 'SIZE,CHUNKING'
	bad disable 'SIZE EHLO'
	bad disable 'SIZE NONSENSE CHUNKING'
}

@test "tls-cert and tls-key are repeated, at most 8 times" {
	local args=() i

	dump -o tls-cert=a -o tls-key=ak -o tls-cert=b -o tls-key=bk
	[[ $status == 0 ]]
	[[ $(value tls-cert) == $'a\nb' && $(value tls-key) == $'ak\nbk' ]]
	for i in {1..8}; do
		args+=(-o tls-cert=c$i -o tls-key=k$i)
	done
	dump "${args[@]}"
	[[ $status == 0 && $(value tls-cert | wc -l) == 8 ]]
	dump "${args[@]}" -o tls-cert=c9
	[[ $status == 78 ]]
	logged '-o tls-cert: want'
}

@test "on the command line they replace those of the file, together" {
	file 'tls-cert = f1' 'tls-key = k1' 'tls-cert = f2' 'tls-key = k2'
	dump -f "$FILE" -o tls-cert=o1 -o tls-cert=o2
	[[ $(value tls-cert) == $'o1\no2' && $(value tls-key) == $'k1\nk2' ]]
	dump -o tls-key=o1 -f "$FILE" -o tls-cert=c1
	[[ $(value tls-cert) == c1 && $(value tls-key) == o1 ]]
	dump -f "$FILE" -o tls-cert= -o tls-key=
	[[ -z $(value tls-cert) && $(value tls) == off ]]
}

@test "tls follows the certificate unless it is said" {
	dump
	[[ $(value tls) == off ]]
	dump -o tls-cert=c -o tls-key=k
	[[ $(value tls) == offer ]]
	dump -o tls-cert=c -o tls-key=k -o tls=off
	[[ $(value tls) == off ]]
	dump -o tls-cert=both
	[[ $(value tls) == offer && $(value tls-key) == both ]]
}

@test "auth follows the source unless it is said" {
	dump
	[[ $(value auth) == off ]]
	dump -o auth-any=yes
	[[ $(value auth) == offer ]]
	dump -o auth-file=f
	[[ $(value auth) == offer ]]
	dump -o auth-program=/bin/p
	[[ $(value auth) == offer ]]
	dump -o auth-program=/bin/p -o auth=off
	[[ $(value auth) == off ]]
}

# impossible TEXT ARGUMENT ...
impossible() {
	local text=$1 arg args=()

	shift
	for arg; do
		args+=(-o "$arg")
	done
	dump "${args[@]}"
	[[ $status == 78 && $(wc -l <"$LOG") == 1 ]] || fail "$*" || return
	logged "$text"
}

@test "combinations that can't work are errors" {
	impossible 'spool is set' spool=a exec=/bin/cat
	impossible 'tls:' tls=offer
	impossible 'tls:' tls=require
	impossible 'tls:' tls=implicit
	impossible 'tls-key:' tls-cert=a tls-cert=b tls-key=a
	impossible 'tls-key:' tls-key=a
	impossible 'tls:' tls-cert=a tls=require disable=STARTTLS
	impossible 'auth:' auth=offer
	impossible 'auth:' auth=require
	impossible 'auth:' auth=require auth-any=yes
	impossible 'auth:' auth=require auth-any=yes auth-cleartext=yes \
	    disable=AUTH
	impossible 'tls-client-require:' tls-client-require=yes
	impossible 'tls-client-server-certs:' tls-client-server-certs=yes
	dump -o auth=require -o auth-any=yes -o auth-cleartext=yes
	[[ $status == 0 ]]
	dump -o auth=require -o auth-any=yes -o tls-cert=c
	[[ $status == 0 ]]
	dump -o spool=a -o exec=/bin/cat -o spool=
	[[ $status == 0 ]]
}

@test "the last option wins; the command line comes after the file" {
	file 'timeout = 20' 'max-hops = 5'
	dump -f "$FILE"
	[[ $(value timeout) == 20 && $(value max-hops) == 5 ]]
	dump -o timeout=30 -f "$FILE" -o max-hops=6 -o max-hops=7
	[[ $(value timeout) == 30 && $(value max-hops) == 7 ]]
}

@test "a file gives no setting twice but those that are lists" {
	file 'spool = /a' 'timeout = 10' 'spool = /b'
	refused "$FILE:3: spool: is in line 1 already"
	file 'spool = /a' 'spool = /a'
	refused "$FILE:2: spool: is in line 1 already"
	file 'tls-cert = /a' 'tls-key = /b' 'tls-cert = /c' 'tls-key = /d'
	dump -f "$FILE"
	[[ $status == 0 ]]
	[[ $(value tls-cert) == $'/a\n/c' ]]
}

@test "a file of another system is named as such" {
	file $'spool = /a\r'
	refused "$FILE:1: ends with CR LF"
	file '# a comment' $'\r'
	refused "$FILE:2: ends with CR LF"
	file $'\xef\xbb\xbfspool = /a'
	refused "$FILE:1: begins with a byte order mark"
}

@test "an empty value takes back what was set" {
	file 'spool = /a' 'recipients = /b' 'policy = unix:/c' 'disable = SIZE'
	dump -f "$FILE" -o spool= -o 'recipients = ' -o policy= -o disable=
	[[ $status == 0 ]]
	[[ -z $(value spool)$(value recipients)$(value policy) ]]
	[[ -z $(value disable) ]]
}

@test "blanks, comments and empty lines in a file" {
	file '# comment' '' '   ' '	# indented' 'timeout=1' \
	    '	max-hops	=	2	' ' spool = /a b = c # d ' \
	    'exec ='
	dump -f "$FILE"
	[[ $status == 0 ]]
	[[ $(value timeout) == 1 && $(value max-hops) == 2 ]]
	[[ $(value spool) == '/a b = c # d' ]]
}

@test "the last line of a file needs no end" {
	FILE=$BATS_TEST_TMPDIR/f
	printf 'timeout = 1\nmax-hops = 2' >"$FILE"
	dump -f "$FILE"
	[[ $(value max-hops) == 2 ]]
	: >"$FILE"
	dump -f "$FILE"
	[[ $status == 0 ]]
}

@test "an error in a file: one line with file, line and setting" {
	file '# x' 'timeout = 5' '' 'max-size = lots' 'nonsense = 1'
	refused "$FILE:4: max-size: want"
	file 'nonsense = 1'
	refused "$FILE:1: nonsense: no such setting"
	file 'timeout'
	refused "$FILE:1: want name = value"
	file '' '= 5'
	refused "$FILE:2: "
	file 'Timeout = 5'
	refused "$FILE:1: Timeout: no such setting"
	file 'timeout = x' 'timeout = 5'
	refused "$FILE:1: timeout: want a number from 1 to 86400"
}

@test "a line of 4096 octets is read, a longer one refused" {
	local n path

	for n in 4096 4097; do
		path=$(head -c $((n - 8)) /dev/zero | tr '\0' x)
		file 'timeout = 7' "spool = $path"
		if ((n == 4096)); then
			dump -f "$FILE"
			[[ $status == 0 && $(value spool) == "$path" ]]
		else
			refused "$FILE:2: line too long"
		fi
	done
}

@test "control characters, NUL among them, are refused" {
	FILE=$BATS_TEST_TMPDIR/f
	printf 'timeout = 1\nspool = a\0b\n' >"$FILE"
	refused "$FILE:2: control character"
	printf 'timeout = 1\r1\n' >"$FILE"
	refused "$FILE:1: control character"
	printf 'spool = \033[2J\n' >"$FILE"
	refused "$FILE:1: control character"
	printf '# \001\n' >"$FILE"
	refused "$FILE:1: control character"
	dump -o $'spool=a\nb'
	[[ $status == 78 && $(wc -l <"$LOG") == 1 ]]
	logged '-o spool: control character'
}

@test "a file of 64 KiB is read, a larger one refused" {
	FILE=$BATS_TEST_TMPDIR/f
	yes '# comment comment comment' 2>/dev/null | head -c 65524 >"$FILE"
	printf '\ntimeout=9\n' | tail -c 11 >>"$FILE"
	truncate -s 65535 "$FILE"
	printf '\n' | dd of="$FILE" bs=1 seek=65535 conv=notrunc status=none
	[[ $(stat -c %s "$FILE") == 65536 ]]
	tr '\0' ' ' <"$FILE" >"$FILE.2"
	FILE=$FILE.2
	dump -f "$FILE"
	[[ $status == 0 && $(value timeout) == 9 ]]
	echo >>"$FILE"
	refused "$FILE: larger than 64 KiB"
}

@test "what is not a file: missing, a directory, a FIFO, a device, unreadable" {
	FILE=$BATS_TEST_TMPDIR/none
	refused "$FILE: No such file"
	FILE=$BATS_TEST_TMPDIR
	refused "$FILE: not a regular file"
	FILE=$BATS_TEST_TMPDIR/fifo
	mkfifo "$FILE"
	refused "$FILE: not a regular file"
	FILE=/dev/zero
	refused "$FILE: not a regular file"
	FILE=$BATS_TEST_TMPDIR/loop
	ln -s loop "$FILE"
	refused "$FILE: "
}

@test "the dump is a settings file that gives the same dump" {
	local first

	dump -o hostname=mx.test -o 'exec=/bin/cat  {sender}' \
	    -o newline=crlf -o received=private -o recipients=/r \
	    -o envelope-lines=no -o received-user=yes \
	    -o policy=unix:/p -o policy-end='inet:[::1]:25' -o tls=require \
	    -o tls-cert=a -o tls-key=ak -o tls-cert=b -o tls-key=bk \
	    -o tls-ticket-key=t -o tls-priority=NORMAL:-VERS-ALL \
	    -o tls-client-ca=ca -o tls-client-crl=cl -o tls-client-server-certs=yes \
	    -o tls-client-fingerprints=f -o auth=require \
	    -o auth-file=u -o auth-users=n -o auth-mechanisms='LOGIN external' \
	    -o 'auth-program=/bin/p x' -o auth-any=yes -o auth-cleartext=yes \
	    -o max-size=3K -o max-recipients=1 -o max-messages=2 \
	    -o max-errors=3 -o max-junk=4 -o max-auth-failures=5 \
	    -o max-hops=6 -o timeout=7 -o session-timeout=8 \
	    -o max-connections=9 -o max-connections-source=10 \
	    -o protocol=lmtp -o dsn=yes -o mt-priority=yes -o proxy-protocol=yes \
	    -o 'proxy-from=local ::/0' \
	    -o 'disable=size help' -o log=syslog -o log-level=debug \
	    -o recipient-delimiter=+- -o policy-fail=accept -o milter=unix:/m \
	    -o milter-fail=accept -o milter-quarantine=refuse \
	    -o tls-client-require=yes -o sandbox=no \
	    -o syntax=strict -o stray-newline=refuse
	[[ $status == 0 ]]
	first=$output
	FILE=$BATS_TEST_TMPDIR/dumped
	echo "$first" >"$FILE"
	dump -f "$FILE"
	[[ $status == 0 ]]
	diff <(echo "$first") <(echo "$output")
	# Nothing in it is a default, or this test would prove little.
	dump
	[[ $(grep -xFf <(echo "$output") <<<"$first") == 'spool =' ]] ||
		fail "$(grep -xFf <(echo "$output") <<<"$first")"
}

@test "the defaults are a settings file, too" {
	local first

	dump
	first=$output
	FILE=$BATS_TEST_TMPDIR/dumped
	echo "$first" >"$FILE"
	dump -f "$FILE"
	[[ $output == "$first" ]]
}

@test "a dump that can't be written is an error" {
	status=0
	"$SMTPD" -T >/dev/full 2>"$LOG" || status=$?
	[[ $status == 74 ]]
}

@test "settings that are wrong: 421 4.3.5 to the client, exit 78, one log line" {
	file 'spool = mail' 'timeout = never'
	smtp -f "$FILE" <<-'END'
		EHLO client.test
		QUIT
	END
	[[ $status == 78 ]]
	replies 421
	[[ $output == '421 4.3.5 '* ]]
	[[ $(wc -l <"$LOG") == 1 ]]
	logged "$FILE:2: timeout: want"
	not_said timeout
	not_said "$FILE"
	smtp -o tls=require </dev/null
	replies 421
	[[ $status == 78 ]]
}

@test "an unknown option: 421 to the client, exit 78, and never a hang" {
	smtp -x </dev/null
	[[ $status == 78 ]]
	replies 421
	smtp argument </dev/null
	[[ $status == 78 ]]
	replies 421
	smtp -o </dev/null
	[[ $status == 78 ]]
	smtp -o nonsense </dev/null
	[[ $status == 78 ]]
	replies 421
	logged 'want name = value'
}

@test "-V prints the version" {
	run "$SMTPD" -V
	[[ $status == 0 && $output == 'smtpd '[0-9]* ]]
}

@test "-t: silence and 0 when all is well, reasons and 78 when not" {
	run "$SMTPD" -t -o spool="$SPOOL"
	# For root there is nobody yet as whom to look.
	[[ $status == 0 && ( -z $output || $EUID == 0 &&
	    $output == 'smtpd: root runs this: '* ) ]] ||
		fail "-t says: $output"
	run "$SMTPD" -t
	[[ $status == 78 && $output == *'neither spool nor exec'* ]]
	run "$SMTPD" -t -o timeout=x
	[[ $status == 78 && $output == *'-o timeout: want'* ]]
}

@test "a name as long as a setting may be: a log line of bounded length" {
	local path

	path=/none/$(head -c 4080 /dev/zero | tr '\0' '"')
	smtp -o "spool=$path" <<-'END'
		EHLO client.test
		MAIL FROM:<a@b>
		RCPT TO:<b@mx.test>
		DATA
		QUIT
	END
	replies 220 250 250 250 451 221
	[[ $status == 0 ]]
	logged 'event=error'
	[[ $(wc -L <"$LOG") -le 2048 ]]
}

@test "many settings fit: 200 options and a file" {
	local args=() i

	for i in {1..200}; do
		args+=(-o "spool=/some/where/$i")
	done
	file 'timeout = 9'
	dump -f "$FILE" "${args[@]}"
	[[ $status == 0 && $(value spool) == /some/where/200 ]]
	[[ $(value timeout) == 9 ]]
}

@test "more settings than there is room for are an error" {
	local args=() long

	long=/bin/cat$(printf ' x%.0s' {1..2000})
	for _ in {1..40}; do
		args+=(-o "exec=$long")
	done
	dump "${args[@]}"
	((status == 78))
}

@test "the manual names every variable of a delivery program" {
	cat >"$BATS_TEST_TMPDIR/program" <<-END
		#!/bin/sh
		exec /usr/bin/env >"$BATS_TEST_TMPDIR/env.\$1"
	END
	chmod +x "$BATS_TEST_TMPDIR/program"
	local mode

	for mode in {recipient} --; do
		smtp -o "exec=$BATS_TEST_TMPDIR/program $mode" -o dsn=yes \
		    -o mt-priority=yes <<-'END'
			EHLO client.test
			MAIL FROM:<a@b>
			RCPT TO:<one@mx.test>
			DATA
			.
			QUIT
		END
		replies 220 250 250 250 354 250 221 || return
	done
	diff <(cat "$BATS_TEST_TMPDIR"/env.* | sed -n 's/=.*//p' |
	    grep -vx -e PWD -e _ -e SHLVL -e PATH | sort -u) \
	    <(sed -n '/^In it are/,/^Its exit/s/^\.It Ev //p' "$ROOT/man/smtpd.8" |
	    sed 's/ , /\n/g' | sort)
}

@test "the manual names every event of the log" {
	diff <(cat "$ROOT"/*.c "$ROOT"/*/*.c | sed -n -e 's/.*log_event("\([a-z]*\)".*/\1/p' \
	    -e 's/.*begin(&l, "\([a-z]*\)").*/\1/p' | sort -u) \
	    <(sed -n '/^\.Sh LOG/,/^With the/s/^\.It Cm //p' "$ROOT/man/smtpd.8" |
	    sort)
}

@test "the manuals are clean" {
	local page

	for page in man/smtpd.8 man/smtpd.conf.5 man/session.3; do
		run mandoc -Tlint -Wwarning "$ROOT/$page"
		[[ $status == 0 && -z $output ]] || fail "$page: $output" ||
			return
	done
}

@test "standard input or output that is closed ends the session" {
	timeout 10 sh -c 'exec "$0" <&-' "$SMTPD" >/dev/null 2>>"$LOG"
	logged 'reason="end of input"'
	: >"$LOG"
	timeout 10 sh -c 'exec "$0" >&-' "$SMTPD" <<<QUIT 2>>"$LOG"
	logged event=close
}

@test "a log that nobody reads holds a session up for a second" {
	"$PYTHON" - "$SMTPD" <<-'END'
	import os, subprocess, sys
	reader, writer = os.pipe()
	p = subprocess.Popen([sys.argv[1], "-o", "hostname=mx.test",
	    "-o", "log=stderr", "-o", "log-level=debug", "-o", "max-errors=0"],
	    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=writer)
	os.close(writer)
	p.stdin.write(b"FOO\r\n" * 5000 + b"QUIT\r\n")
	p.stdin.close()
	assert p.wait(10) == 0
	END
}

@test "a wrong option under inetd: the client reads 421 and nothing else" {
	talk -- sh -c 'exec "$SMTPD" -x 2>&1' <<-'END'
		< 421 4\.3\.5
		eof
	END
}

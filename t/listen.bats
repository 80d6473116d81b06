# SPDX-License-Identifier: ISC
# Where smtpd listens itself: sockets, limits, signals, what is read anew.
load lib
leaks

LONG=$(printf 'x%.0s' {1..200})

# listen [ARGUMENT ...]: on a port of 127.0.0.1, with a spool.
listen() {
	serve_itself -o spool="$SPOOL" "$@"
}

# hello [HOST [PORT]]: a whole session, which is served.
hello() {
	talk "${1-127.0.0.1}" "${2-$PORT}" <<-'EOF'
	< 220
	> EHLO client.test
	< 250
	> QUIT
	< 221
	eof
	EOF
}

# stay NAME [OPTION ...]: a client that says EHLO and stays, in $STAY; what it
# is told is in the file stay.NAME.
stay() {
	local said=$BATS_TEST_TMPDIR/stay.$1

	shift
	background "$PYTHON" "$ROOT/t/stay.py" "$PORT" "$said" "$@" 2>>"$LOG"
	STAY=$!
	wait_for test -s "$said"
}

@test "-l: an IPv4 address, a port that the system chooses" {
	listen
	logged "event=listen addr=127.0.0.1 port=$PORT"
	hello
	wait_for grep -q 'event=close.*addr=127.0.0.1 reason=quit' "$LOG"
}

@test "-l: IPv6, all addresses, a UNIX socket, at once" {
	local six all

	background "$SMTPD" -l '[::1]:0' -l '*:0' \
	    -l unix:"$BATS_TEST_TMPDIR/s" -o spool="$SPOOL" 2>>"$LOG"
	wait_for grep -q 'event=listen path=' "$LOG"
	six=$(sed -n 's/.*addr=::1 port=//p' "$LOG")
	all=$(sed -n 's/.*addr=:: port=//p' "$LOG")
	hello ::1 "$six"
	hello ::1 "$all"
	hello 127.0.0.1 "$all"
	wait_for grep -q 'event=close.*addr=127.0.0.1' "$LOG"
	[[ $(stat -c %a "$BATS_TEST_TMPDIR/s") == 660 ]]
	[[ $(socat -t1 - "UNIX:$BATS_TEST_TMPDIR/s" <<<QUIT) == 220* ]]
	wait_for grep -q 'event=close.*addr=local' "$LOG"
}

@test "-l: a UNIX socket that nobody answers on is replaced, others are not" {
	local s=$BATS_TEST_TMPDIR/s pid

	"$PYTHON" -c 'import socket, sys
socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$s"
	background "$SMTPD" -l "unix:$s" 2>>"$LOG"
	pid=$!
	wait_for grep -q 'event=listen path=' "$LOG"
	status=0
	"$SMTPD" -l "unix:$s" 2>>"$LOG" || status=$?
	((status == 71)) || fail "bound twice"
	logged 'Address already in use'
	kill "$pid"
	wait_for test ! -e "$s"
	# What is no socket is never removed.
	echo mine >"$s"
	status=0
	"$SMTPD" -l "unix:$s" 2>>"$LOG" || status=$?
	((status == 71))
	[[ $(<"$s") == mine ]]
}

@test "-l: what is not an address, and what is taken, end it with 71" {
	local where

	for where in localhost:25 ::1:25 127.0.0.1 :25 127.0.0.1:x \
	    127.0.0.1:70000 127.0.0.1:-1 '[::1:25' unix: x '[::1%none]:0' \
	    '[x%lo]:0' "$LONG:25" "unix:/$LONG"; do
		status=0
		"$SMTPD" -l "$where" </dev/null 2>"$LOG" || status=$?
		((status == 71)) || fail "$where: $status"
		logged "event=error what=listen on=\"-l ${where:0:100}"
	done
	listen
	for where in "127.0.0.1:$PORT" "*:$PORT"; do
		status=0
		"$SMTPD" -l "$where" </dev/null 2>>"$LOG" || status=$?
		((status == 71))
		logged "-l $where: Address already in use"
	done
}

@test "-l: sixteen sockets at most" {
	local many=()

	for _ in {1..17}; do
		many+=(-l "unix:$BATS_TEST_TMPDIR/s")
	done
	status=0
	output=$("$SMTPD" "${many[@]}" </dev/null 2>>"$LOG") || status=$?
	((status == 78))
	logged usage
}

@test "-l: an address with a zone; without IPv6 * is all of IPv4" {
	ASAN_OPTIONS=detect_leaks=0 background strace -D -qq -o /dev/null \
	    -e trace=socket -e inject=socket:error=EAFNOSUPPORT:when=1 \
	    "$SMTPD" -l '*:0' -l '[::1%lo]:0' 2>>"$LOG"
	wait_for grep -q 'event=listen addr=::1' "$LOG"
	logged 'event=listen addr=0.0.0.0 port='
	hello ::1 "$(sed -n 's/.*addr=::1 port=//p' "$LOG")"
}

@test "smtpd-tls can't be run: 71, and a line says so" {
	local dir=$BATS_TEST_TMPDIR/alone

	mkdir "$dir"
	cp "$SMTPD" "$dir/smtpd"
	echo nothing >"$dir/smtpd-tls"
	chmod +x "$dir/smtpd-tls"
	status=0
	"$dir/smtpd" -l 127.0.0.1:0 -o tls-cert=cert -o tls-key=key \
	    </dev/null 2>>"$LOG" || status=$?
	((status == 71))
	logged "event=error what=exec on=$dir/smtpd-tls"
}

# accepts N: strace has seen so many calls.
accepts() {
	(($(grep -c accept4 "$BATS_TEST_TMPDIR/trace") >= $1))
}

@test "accept(2) fails, whatever the error: one line, and pauses" {
	local socket=$BATS_TEST_TMPDIR/socket

	ASAN_OPTIONS=detect_leaks=0 background strace -D -qq -r \
	    -o "$BATS_TEST_TMPDIR/trace" -e trace=accept4 \
	    -e inject=accept4:error=EIO "$SMTPD" -l "unix:$socket" 2>>"$LOG"
	wait_for test -S "$socket"
	background "$PYTHON" -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.recv(1)' "$socket"
	wait_for accepts 6
	(($(grep -c 'event=error what=accept error="Input/output' "$LOG") == 1))
	# Two calls each time, and a tenth of a second between.
	awk '$1 > 0.09 { long++ } END { exit !(long >= 2) }' \
	    "$BATS_TEST_TMPDIR/trace"
}

@test "standard input is a listening socket, as from inetd's wait" {
	"$PYTHON" -c 'import os, socket, sys
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
for fd in 0, 1:
    os.dup2(s.fileno(), fd)
os.execv(sys.argv[1], sys.argv[1:])' "$SMTPD" -o spool="$SPOOL" \
	    >"$BATS_TEST_TMPDIR/port" 2>>"$LOG" 3>&- &
	SERVERS+=($!)
	wait_for test -s "$BATS_TEST_TMPDIR/port"
	PORT=$(<"$BATS_TEST_TMPDIR/port")
	hello
	hello
}

@test "LISTEN_FDS: several sockets, which win over standard input" {
	local port

	port=$(free_port)
	background systemd-socket-activate -l "127.0.0.1:$port" \
	    -l "$BATS_TEST_TMPDIR/s" "$SMTPD" -o spool="$SPOOL" 2>>"$LOG"
	wait_for hello 127.0.0.1 "$port"
	[[ $(socat -t1 - "UNIX:$BATS_TEST_TMPDIR/s" <<<QUIT) == 220* ]]
	logged "event=listen addr=127.0.0.1 port=$port"
}

# holds NAME: the listener or a child of its has a file of this name open.
holds() {
	local pid

	for pid in "$LISTENING" $(pgrep -P "$LISTENING"); do
		readlink "/proc/$pid/fd"/*
	done | grep -q "/$1\$"
}

@test "what else was open is closed, in the process with the keys as well" {
	local tls

	certs
	echo x >"$BATS_TEST_TMPDIR/left"
	exec 9<"$BATS_TEST_TMPDIR/left" 99<"$BATS_TEST_TMPDIR/left"
	for tls in off offer; do
		listen -o tls=$tls -o "tls-cert=$CERTS/ec.pem" \
		    -o "tls-key=$CERTS/ec.key"
		hello
		run -1 holds left
	done
}

@test "LISTEN_FDS that is not for this process, or no number, is ignored" {
	local pid fds

	while read -r pid fds; do
		output=$(printf 'QUIT\r\n' | pid=$pid fds=$fds sh -c '
			eval "LISTEN_PID=$pid" LISTEN_FDS=$fds
			export LISTEN_PID
			[ "$fds" = none ] || export LISTEN_FDS
			exec "$@"' - "$SMTPD" -o hostname=mx.test 2>>"$LOG" |
		    tr -d '\r')
		replies 220 221
	done <<-'END'
		1 1
		x 1
		0 1
		$$ none
		$$ 0
		$$ 17
		$$ x
	END
}

# left CODE ...: a listener as after an exec, for each text that an earlier self
# may have left, with the socket in place of {}; CODE is run for each.
left() {
	{
		cat <<-'END'
		import os, signal, socket, sys

		def status(pid):
		    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

		def is_served(s, pid):
		    with socket.create_connection(s.getsockname()) as c:
		        served = c.recv(4) == b"220 "
		    os.kill(pid, signal.SIGTERM)
		    return served and status(pid) == 0

		for line in sys.stdin:
		    s, pid = socket.create_server(("127.0.0.1", 0)), os.fork()
		    if pid == 0:
		        fd = os.memfd_create("left", 0)
		        text = line.strip().format(s.fileno()).replace("|", "\n")
		        os.write(fd, text.encode())
		        os.set_inheritable(s.fileno(), True)
		        os.environ["SMTPD_LISTENER"] = "%d %d" % (os.getpid(), fd)
		        os.execv(sys.argv[1], sys.argv[1:2])
		END
		printf '    %s\n' "$@"
	} >"$BATS_TEST_TMPDIR/left"
	"$PYTHON" "$BATS_TEST_TMPDIR/left" "$SMTPD" 2>>"$LOG"
}

@test "what an earlier self left: its sockets are taken, whatever else it is" {
	local served='assert is_served(s, pid), line'

	left "$served" <<-'END'
		smtpd listener 1|socket {} 0|
		smtpd listener 1|socket {} 1|log 0|away 9 ::1 25 1 1|
		smtpd listener 1|socket {} 0|place 0 0 1 ::1 25 1 1|
	END
	not_logged 'left by another version'
	left "$served" <<-'END'
		smtpd listener 2|socket {} 0|other line|x|
		smtpd listener 1|socket {} 0|unknown 1|
		smtpd listener 1|socket {} 0|log|log 9|log x|
		smtpd listener 1|socket {} 0|place|place x|place 0 x|place 0 0 x|
		smtpd listener 1|socket {} 0|place 0 0 1 nowhere 25 1 1|
		smtpd listener 1|socket {} 0|place 0 0 1|place 99 0 1 ::1 25 1 1|
		smtpd listener 1|socket {} 0|away x|away 1|away 1 ::1 x 1 1|
		smtpd listener 1|socket {} 0|away 1 ::1 1 x 1|away 1 ::1 1 1 2|
		smtpd listener 1|socket 0 0|socket x|socket 1 9|socket {} 0|
	END
	(($(grep -c 'left by another version' "$LOG") == 9))
	left 'assert status(pid) == 71, line' <<-'END'
		smtpd listener 1|
		smtpd listener 2|socket 99 0|
	END
	(($(grep -c 'no socket is left' "$LOG") == 2))
}

@test "a SMTPD_LISTENER that is not for this process is ignored" {
	local one

	for one in x '1 3' '$$' '$$ x' "$LONG"; do
		output=$(printf 'QUIT\r\n' | one=$one sh -c '
			eval "SMTPD_LISTENER=\"$one\""
			export SMTPD_LISTENER
			exec "$@"' - "$SMTPD" -o hostname=mx.test 2>>"$LOG" |
		    tr -d '\r')
		replies 220 221
	done
}

@test "LISTEN_FDS of what is no socket: 71; settings that are wrong: 78" {
	run -71 sh -c 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"' - "$SMTPD" \
	    3<"$SMTPD"
	said 'LISTEN_FDS: not a listening socket'
	run -78 "$SMTPD" -l 127.0.0.1:0 -o nonsense=1 </dev/null
	said 'event=error what=settings on="-o nonsense'
}

@test "a new program that does not run is left alone" {
	local dir=$BATS_TEST_TMPDIR/new

	mkdir "$dir"
	cp "$SMTPD" "$dir/smtpd"
	background "$dir/smtpd" -l 127.0.0.1:0 2>>"$LOG"
	LISTENING=$!
	wait_for listening "$LISTENING"
	printf '#!/bin/false\n' >"$dir/other"
	chmod +x "$dir/other"
	mv "$dir/other" "$dir/smtpd"
	kill -HUP "$LISTENING"
	wait_for grep -q 'status=kept why="does not run" program=.*/smtpd' "$LOG"
	echo >"$dir/other"
	mv "$dir/other" "$dir/smtpd"
	kill -HUP "$LISTENING"
	wait_for eval '(($(grep -c "does not run" "$LOG") == 2))'
	hello
}

@test "a client waits 30 s at most when places are few, until it has mail" {
	local trace=$BATS_TEST_TMPDIR/trace n

	ASAN_OPTIONS=detect_leaks=0 background strace -D -f -qq -o "$trace" \
	    -e trace=poll "$SMTPD" -l 127.0.0.1:0 -o hostname=mx.test \
	    -o max-connections=4 -o spool="$SPOOL" 2>>"$LOG"
	LISTENING=$!
	wait_for listening "$LISTENING"
	for n in 1 2 3; do
		stay $n
	done
	! grep -q ' 30000)' "$trace"
	talk <<-'END'
	< 220
	> EHLO client.test
	< 250
	> MAIL FROM:<a@client.test>
	< 250
	> RCPT TO:<b@mx.test>
	< 250
	> DATA
	< 354
	> .
	< 250
	> QUIT
	< 221
	END
	n=$(sed -n 's/^\([0-9]*\) .* 30000).*/\1/p' "$trace" | sort -u)
	[[ $n =~ ^[0-9]+$ ]] || fail "$n"
	grep -q "^$n .* 300000)" "$trace"
}

@test "who the client is, is said by the socket alone" {
	REMOTE_ADDR=192.0.2.1 TCPREMOTEIP=192.0.2.2 SMTPD_STARTTLS=x listen
	hello
	wait_for logged 'event=close'
	not_logged 192.0.2
	logged 'event=connect addr=127.0.0.1'
}

@test "max-connections: one more is told 421 4.3.2, and a place is free again" {
	listen -o max-connections=2
	stay one
	stay two
	talk 127.0.0.1 "$PORT" <<-'EOF'
	< 421 4.3.2
	eof
	EOF
	logged 'event=refused why=full addr=127.0.0.1'
	kill "$STAY"
	wait_for hello
}

@test "max-connections-source: one more is told 421 4.7.0, others are served" {
	listen -o max-connections-source=2
	stay one
	stay two
	talk 127.0.0.1 "$PORT" <<-'EOF'
	< 421 4.7.0
	eof
	EOF
	logged 'event=refused why=source addr=127.0.0.1'
	talk -from 127.0.0.2 127.0.0.1 "$PORT" <<-'EOF'
	< 220
	EOF
	kill "$STAY"
	wait_for hello
}

@test "max-connections-source: UNIX sockets are exempt" {
	local i

	background "$SMTPD" -l "unix:$BATS_TEST_TMPDIR/s" \
	    -o max-connections-source=1 2>>"$LOG"
	wait_for grep -q event=listen "$LOG"
	for i in 1 2 3; do
		background socat - "UNIX:$BATS_TEST_TMPDIR/s" < <(sleep 60) \
		    >"$BATS_TEST_TMPDIR/said.$i"
	done
	for i in 1 2 3; do
		wait_for grep -q ^220 "$BATS_TEST_TMPDIR/said.$i"
	done
}

@test "a connection that is over the limit inside TLS is closed without a word" {
	certs
	listen -o max-connections=1 -o tls=implicit \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key"
	exec {one}<>"/dev/tcp/127.0.0.1/$PORT"
	wait_for grep -q event=connect "$LOG"
	[[ -z $(timeout 5 cat <"/dev/tcp/127.0.0.1/$PORT") ]]
	logged why=full
	exec {one}>&-
}

@test "SIGTERM: sessions are told 421, the listener ends after the last" {
	listen
	stay one
	kill "$LISTENING"
	wait "$LISTENING"
	grep -q '421 4.3.2' "$BATS_TEST_TMPDIR/stay.one" ||
		fail "$(<"$BATS_TEST_TMPDIR/stay.one")"
}

# As the supervisor has that started it, and somebody waits there.
@test "SIGTERM: a socket that another process has as well is left alone" {
	"$PYTHON" - "$SMTPD" "$SPOOL" 2>>"$LOG" <<-'END'
	import signal, socket, subprocess, sys, time
	s = socket.create_server(("127.0.0.1", 0))
	p = subprocess.Popen([sys.argv[1], "-o", "spool=" + sys.argv[2]],
	    stdin=s)
	def ticks():
	    with open("/proc/%d/stat" % p.pid) as f:
	        return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
	a = socket.create_connection(s.getsockname())
	assert a.recv(4) == b"220 "
	p.send_signal(signal.SIGTERM)
	while b"421" not in a.recv(1000):
	    pass
	b = socket.create_connection(s.getsockname())
	before = ticks()
	time.sleep(0.2)
	busy = ticks() - before
	a.close()
	assert p.wait(10) == 0 and busy < 5, busy
	END
}

@test "SIGUSR1: how many places are used, and by how many" {
	listen
	stay one
	stay two -from 127.0.0.2
	kill -USR1 "$LISTENING"
	wait_for grep -q 'event=places used=2 sources=2 max=200' "$LOG"
}

@test "READY=1 is said when it listens" {
	local name=$BATS_TEST_TMPDIR/notify said=$BATS_TEST_TMPDIR/said.

	background socat -u "UNIX-RECV:$name" "CREATE:${said}path"
	background socat -u "ABSTRACT-RECV:$name" "CREATE:${said}abstract"
	wait_for grep -q "@$name\$" /proc/net/unix
	wait_for test -S "$name"
	NOTIFY_SOCKET=@$name listen
	wait_for grep -q READY=1 "${said}abstract"
	NOTIFY_SOCKET=$name listen
	wait_for grep -q READY=1 "${said}path"
	kill "$LISTENING"
	wait_for grep -q STOPPING=1 "${said}path"
	# Too long a name is nobody's.
	NOTIFY_SOCKET=/$LONG listen
}

@test "the settings file is read anew when it has changed" {
	local conf=$BATS_TEST_TMPDIR/conf

	printf 'hostname = one.test\n' >"$conf"
	background "$SMTPD" -l 127.0.0.1:0 -f "$conf" 2>>"$LOG"
	LISTENING=$!
	wait_for listening "$LISTENING"
	printf 'hostname = other.test\n' >"$conf"
	wait_for banner other.test
	# What is wrong changes nothing.
	printf 'hostname = \nnonsense\n' >"$conf"
	kill -HUP "$LISTENING"
	wait_for grep -q 'event=reload status=kept why=.*conf:2' "$LOG"
	banner other.test
	printf 'hostname = third.test\n' >"$conf"
	kill -HUP "$LISTENING"
	wait_for grep -q 'event=reload status=ok' "$LOG"
	wait_for banner third.test
}

# banner NAME
banner() {
	talk 127.0.0.1 "$PORT" <<-EOF
	< 220 $1
	EOF
}

@test "TLS that comes, and goes, is another program with the same sockets" {
	local conf=$BATS_TEST_TMPDIR/conf

	certs
	echo "spool = $SPOOL" >"$conf"
	background "$SMTPD" -l 127.0.0.1:0 -f "$conf" 2>>"$LOG"
	LISTENING=$!
	wait_for listening "$LISTENING"
	stay one
	printf '%s\n' "spool = $SPOOL" "tls-cert = $CERTS/ec.pem" \
	    "tls-key = $CERTS/ec.key" >"$conf"
	kill -HUP "$LISTENING"
	wait_for grep -q 'event=reload status=started' "$LOG"
	[[ $(readlink "/proc/$LISTENING/exe") == *-tls ]]
	talk 127.0.0.1 "$PORT" <<-'EOF'
	< 220
	> EHLO client.test
	< 250
	> STARTTLS
	< 220
	tls
	> EHLO client.test
	< 250
	> QUIT
	< 221
	EOF
	echo "spool = $SPOOL" >"$conf"
	kill -HUP "$LISTENING"
	wait_for small "$LISTENING"
	# The first of all is still there.
	wait_for used 1
	hello
}

small() {
	[[ /proc/$1/exe -ef $SMTPD ]]
}

# sessions: the processes that are ours, but not the one with the keys.
sessions() {
	pgrep -P "$LISTENING" || :
}

# layout: where the listener's program lies in memory.
layout() {
	grep -m 1 smtpd "/proc/$LISTENING/maps"
}

# A sanitizer would make a report and an exit status of the signal.
crashes() {
	export ASAN_OPTIONS=$ASAN_OPTIONS:handle_segv=0
}

@test "a session that crashes: logged, another layout, no connection lost" {
	local before victim

	crashes
	listen
	stay one
	victim=$(sessions)
	stay two
	before=$(layout)
	kill -SEGV "$victim"
	wait_for grep -q 'event=reload status=started' "$LOG"
	logged 'event=crash addr=127.0.0.1 how="signal 11"'
	not_logged away=
	[[ $(layout) != "$before" ]]
	hello
	# The place of the second one was kept.
	wait_for used 1
	kill "$STAY"
	wait_for used 0
}

# used N: so many places are, now.
used() {
	local n

	n=$(grep -c event=places "$LOG") || :
	kill -USR1 "$LISTENING"
	wait_for more_places "$n"
	[[ $(grep event=places "$LOG" | tail -n 1) == *"used=$1 "* ]]
}

more_places() {
	(($(grep -c event=places "$LOG") > $1))
}

@test "the network of a client that crashed its session is turned away" {
	crashes
	namespaces
	unshare -r -n bash -s "$SMTPD" "$TOOLS/talk" "$BATS_TEST_TMPDIR" \
	    <<-'EOF' || fail "$(<"$BATS_TEST_TMPDIR/log")"
	set -e
	ip link set lo up
	ip addr add 192.0.2.1/32 dev lo
	ip addr add 192.0.2.2/32 dev lo
	log=$3/log
	until_logged() {
		local i

		for ((i = 0; i < 200; i++)); do
			! grep -q "$1" "$log" || return 0
			sleep 0.05
		done
		return 1
	}
	"$1" -l 192.0.2.1:25 2>"$log" &
	listener=$!
	trap 'kill "$listener"' EXIT
	until_logged event=listen
	exec 7<>/dev/tcp/192.0.2.1/25
	read -r -u 7
	kill -SEGV "$(pgrep -P "$listener")"
	until_logged status=started
	grep -q 'event=crash.*away=60' "$log"
	printf '%s\n' '< 421 4.7.0' eof | "$2" 192.0.2.1 25
	grep -q 'event=refused why=crash addr=192.0.2.1' "$log"
	printf '%s\n' '< 220' | "$2" -from 192.0.2.2 192.0.2.1 25
	EOF
}

@test "500 connections and 500 resets: all are served or told 421" {
	local n=500

	# A fork costs a sanitizer many times as much.
	[[ $SMTPD != */asan/* ]] || n=50
	listen -o max-connections-source=0
	"$PYTHON" - "$PORT" $n <<-'END'
	import socket, struct, sys
	half = int(sys.argv[2])
	for n in range(2 * half):
	    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30)
	    if n >= half:
	        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
	            struct.pack("ii", 1, 0))
	    elif n % 50 == 0:
	        assert s.recv(3) in (b"220", b"421")
	    s.close()
	END
	wait_for hello
	wait_for used 0
	not_logged event=crash
}

@test "max-connections: the soft limit of descriptors is raised for it" {
	local fd line

	background bash -c 'ulimit -Sn 24; exec "$@"' - "$SMTPD" \
	    -l 127.0.0.1:0 -o max-connections-source=0 2>>"$LOG"
	LISTENING=$!
	wait_for listening "$LISTENING"
	for _ in {1..30}; do
		exec {fd}<>"/dev/tcp/127.0.0.1/$PORT"
		read -r -u $fd line
		[[ $line == 220* ]] || fail "$line" || return
	done
}

@test "no descriptors left: one is told 421, and later all are served again" {
	local fd fds=() line said=

	background bash -c 'ulimit -n 24; exec "$@"' - "$SMTPD" \
	    -l 127.0.0.1:0 -o max-connections-source=0 2>>"$LOG"
	LISTENING=$!
	wait_for listening "$LISTENING"
	# None of them speaks: what is unread at the close would reset the rest.
	while ((${#fds[@]} < 24)) && [[ $said != *421* ]]; do
		exec {fd}<>"/dev/tcp/127.0.0.1/$PORT"
		read -r -u $fd line
		fds+=($fd) said+=$line
	done
	[[ $said == *220*'421 4.3.2'* ]] || fail "$said"
	grep -q 'Too many open files\|why=resources' "$LOG"
	for fd in "${fds[@]}"; do
		exec {fd}>&-
	done
	wait_for hello
}

# listen_with_files [ARGUMENT ...]: with a certificate and a key that can be
# replaced.
listen_with_files() {
	certs
	CERT=$BATS_TEST_TMPDIR/cert KEY=$BATS_TEST_TMPDIR/key
	cp "$CERTS/ec.pem" "$CERT"
	cp "$CERTS/ec.key" "$KEY"
	listen -o tls-cert="$CERT" -o tls-key="$KEY" "$@"
}

# issued NAME: the certificate is for that name.
issued() {
	openssl s_client -starttls smtp -connect "127.0.0.1:$PORT" </dev/null \
	    2>&1 | grep -q "subject=CN = $1"
}

# arrive: a client says EHLO, and waits.
arrive() {
	mkfifo "$BATS_TEST_TMPDIR/go"
	talk 127.0.0.1 "$PORT" <"$BATS_TEST_TMPDIR/go" \
	    >"$BATS_TEST_TMPDIR/said" &
	ARRIVED=$!
	exec {GO}>"$BATS_TEST_TMPDIR/go"
	printf '%s\n' '< 220' '> EHLO client.test' '< 250' >&$GO
	wait_for grep -q event=connect "$LOG"
}

# go_inside: it has TLS, and ends.
go_inside() {
	printf '%s\n' '> STARTTLS' '< 220' tls '> EHLO client.test' '< 250' \
	    '> QUIT' '< 221' >&$GO
	exec {GO}>&-
	wait "$ARRIVED" || fail "$(<"$BATS_TEST_TMPDIR/said")"
}

@test "a certificate that is replaced is the next one's; a bad one keeps the old" {
	listen_with_files
	issued mx.test
	# A certificate without its key is not taken.
	cp "$CERTS/other.pem" "$CERT"
	kill -HUP "$LISTENING"
	wait_for grep -q 'event=reload status=kept.*not the key' "$LOG"
	issued mx.test
	cp "$CERTS/other.key" "$KEY"
	kill -HUP "$LISTENING"
	wait_for grep -q 'event=reload status=ok' "$LOG"
	issued other.test
}

# later: a session is served, a look at the files after the last one.
later() {
	hello && ((${EPOCHREALTIME/./} > SINCE + 1200000))
}

@test "what has been read again is not read once more" {
	listen_with_files
	cp "$CERTS/other.pem" "$CERT"
	cp "$CERTS/other.key" "$KEY"
	kill -HUP "$LISTENING"
	wait_for grep -q 'event=reload status=ok' "$LOG"
	SINCE=${EPOCHREALTIME/./}
	wait_for later
	hello
	(($(grep -c 'event=reload status=ok' "$LOG") == 1))
}

# keys_are N: there are so many processes with keys, and no session.
keys_are() {
	(($(sessions | wc -l) == $1))
}

# size_is OCTETS: EHLO's answer has them.
size_is() {
	[[ $(hello) == *"250-SIZE $1"* ]]
}

@test "settings that are bad after an exec: SIGTERM ends it all the same" {
	run timeout -s KILL 10 "$PYTHON" - "$SMTPD" <<-'END'
	import os, signal, sys
	signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
	os.kill(os.getpid(), signal.SIGTERM)
	os.environ["SMTPD_LISTENER"] = "%d 9" % os.getpid()
	os.execv(sys.argv[1], [sys.argv[1], "-l", "127.0.0.1:0", "-o", "no=1"])
	END
	((status == 0)) || fail "status $status"
}

@test "settings that change while the keys are read are read after that" {
	local conf=$BATS_TEST_TMPDIR/conf slow

	printf 'max-size = 1M\n' >"$conf"
	listen_with_files -f "$conf"
	cp "$KEY" "$KEY.new"
	mkfifo "$KEY.slow"
	exec {slow}<>"$KEY.slow"
	mv "$KEY.slow" "$KEY"
	kill -HUP "$LISTENING"
	wait_for keys_are 2
	printf 'max-size = 5000\n' >"$conf"
	mv "$KEY.new" "$KEY"
	cat "$KEY" >&$slow
	exec {slow}>&-
	wait_for size_is 5000
}

@test "the process with the keys signs what Ed25519 signs: all of it" {
	certs
	listen -o tls-cert="$CERTS/ed.pem" -o tls-key="$CERTS/ed.key"
	printf '%s\n' '< 220' '> EHLO client.test' '< 250' '> STARTTLS' '< 220' \
	    tls '> QUIT' '< 221' eof | talk -ca "$CERTS/ca.pem" -sni mx.test
}

@test "who came before a new certificate has the old one, and its key" {
	listen_with_files
	arrive
	cp "$CERTS/other.key" "$KEY"
	cp "$CERTS/other.pem" "$CERT"
	kill -HUP "$LISTENING"
	wait_for grep -q 'event=reload status=ok' "$LOG"
	issued other.test
	go_inside
}

@test "the process with the keys ends: it is started again, for all who are here" {
	local keys

	listen_with_files
	keys=$(sessions)
	arrive
	kill -KILL "$keys"
	wait_for grep -q 'event=error what=keys' "$LOG"
	wait_for issued mx.test
	go_inside
	[[ $(sessions) != "$keys" ]]
}

@test "it ends, and the keys are others: who came before is told 454" {
	local keys

	listen_with_files
	keys=$(sessions)
	arrive
	cp "$CERTS/other.key" "$KEY"
	cp "$CERTS/other.pem" "$CERT"
	kill -KILL "$keys"
	wait_for issued other.test
	printf '%s\n' '> STARTTLS' '< 454' '> QUIT' '< 221' >&$GO
	exec {GO}>&-
	wait "$ARRIVED" || fail "$(<"$BATS_TEST_TMPDIR/said")"
}

# strace lets the fifth wait of a session be in vain: one was for the log, two
# for what the client said, one for the channel to who knows the passwords.
@test "an answer about a password that comes too late is nobody's" {
	local alice='alice:$6$rounds=1000$ab$'

	alice+=3tLFZOSDxcyiDWcYSrieU1uloXMcbPJQRTcotZNqEJiB1iizwjzbn2jECOCvw6
	alice+=wslPpiTPzli2jppqTUXUq9N0
	printf '%s\n' "$alice" "${alice/alice/mallory}" \
	    >"$BATS_TEST_TMPDIR/users"
	ASAN_OPTIONS=detect_leaks=0 background strace -D -f -qq -o /dev/null \
	    -e trace=poll -e inject=poll:retval=0:when=5 \
	    "$SMTPD" -l 127.0.0.1:0 -o hostname=mx.test -o spool="$SPOOL" \
	    -o auth-file="$BATS_TEST_TMPDIR/users" -o auth-cleartext=yes \
	    -o auth-mechanisms=PLAIN -o sandbox=no 2>>"$LOG"
	LISTENING=$!
	wait_for listening "$LISTENING"
	talk <<-EOF
	< 220
	> EHLO client.test
	< 250
	> AUTH PLAIN $(printf '\0mallory\0secret' | base64)
	< 454
	> AUTH PLAIN $(printf '\0alice\0wrong' | base64)
	< 454
	EOF
	not_logged 'event=auth status=ok'
}

# The process that checks has what the others have open.
@test "who leaves while another's password is checked takes nothing from others" {
	local user='bob:{SCRAM-SHA-256}3000000,eOIYWi+UYXg07DdmjNs7zA==,' keys

	user+=qcBA2+2XEJ/Glhj/amX5TRCFD+u76aWeexcW+fLiL54=,
	user+=BFXdVankj2YARrrVW/uLpHmBvWYiuu8L06XiGy+h1mA=
	echo "$user" >"$BATS_TEST_TMPDIR/users"
	listen -o auth-file="$BATS_TEST_TMPDIR/users" -o auth-cleartext=yes
	keys=$(sessions)
	stay one
	printf '%s\n' '< 220' '> EHLO client.test' '< 250' \
	    "> AUTH PLAIN $(printf '\0bob\0wrong' | base64)" '< 535' |
		talk >"$BATS_TEST_TMPDIR/wrong" &
	wait_for pgrep -P "$keys"
	kill "$STAY"
	wait_for grep -q event=close "$LOG"
	for _ in 1 2 3 4 5; do
		output=$(hello)
		said '250-AUTH SCRAM-SHA-256 PLAIN LOGIN'
	done
}

# bats test_tags=bulk
@test "neither listener nor session has the private key in its memory" {
	local session

	certs
	listen -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key" \
	    -o sandbox=no
	issued mx.test
	stay one
	session=$(pgrep -n -P "$LISTENING")
	"$PYTHON" - "$CERTS/ec.key" "$LISTENING" "$session" <<-'END'
	import re, subprocess, sys
	text = subprocess.run(["openssl", "pkey", "-in", sys.argv[1], "-text",
	    "-noout"], capture_output=True, check=True).stdout.decode()
	key = bytes.fromhex(re.sub(r"[\s:]", "", re.search(
	    r"priv:(.*)pub:", text, re.S)[1]))[-32:]
	for pid in sys.argv[2:]:
	    with open("/proc/%s/maps" % pid) as maps, \
	        open("/proc/%s/mem" % pid, "rb", 0) as memory:
	        for line in maps:
	            a, b = (int(x, 16) for x in line.split()[0].split("-"))
	            # A sanitizer's shadow is terabytes of nothing.
	            if " rw" not in line or b - a > 1 << 30:
	                continue
	            memory.seek(a)
	            try:
	                octets = memory.read(b - a)
	            except OSError:
	                continue
	            assert key not in octets and key[::-1] not in octets, line
	END
}

# offered CODE: EHLO's answer has STARTTLS, or not, and STARTTLS this reply.
offered() {
	output=$(printf '%s\n' '< 220' '> EHLO client.test' '< 250' \
	    '> STARTTLS' "< $1" | talk 2>&1) || fail 'another reply'
}

@test "TLS that the listener has not is not announced, unless it is required" {
	local key=$BATS_TEST_TMPDIR/key n

	certs
	listen -o tls-cert="$CERTS/ec.pem" -o tls-key="$key"
	for n in 1 2; do
		offered 502
		not_said 250-STARTTLS
	done
	(($(grep -c 'event=error what=tls' "$LOG") == 1))
	cp "$CERTS/ec.key" "$key"
	kill -HUP "$LISTENING"
	wait_for grep -q 'event=reload status=ok' "$LOG"
	offered 220
	said 250-STARTTLS
	# A client that must have it waits: 530 would be for good.
	listen -o tls=require -o tls-cert="$CERTS/ec.pem" -o tls-key=/nonexistent
	offered 454
	said 250-STARTTLS
}

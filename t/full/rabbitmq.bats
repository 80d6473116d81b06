# SPDX-License-Identifier: ISC
# rabbitmq.bats - examples/rabbitmq and examples/growing with a cluster of
# three RabbitMQ nodes, HAProxy in front.

load servers

GROWING=$ROOT/examples/growing

setup_file() {
	export BATS_NO_PARALLELIZE_WITHIN_FILE=true
	local n

	server_dir rabbitmq rabbitmq
	EPMD=$(free_port)
	AMQP=()
	DIST=()
	for n in 1 2 3; do
		AMQP[n]=$(free_port)
		DIST[n]=$(free_port)
	done
	export EPMD
	declare -p AMQP DIST >"$DIR/ports"
	make_config
	# The first has nobody to wait for.
	echo 'cluster_formation.discovery_retry_limit = 1' >>"$DIR/r1.conf"
	cc -O2 -Wall -Wextra -Werror -o "$DIR/rabbitmq" \
	    "$ROOT/examples/rabbitmq.c" -lrabbitmq
	server_start rabbitmq "$DIR/epmd.log" epmd -address 127.0.0.1 \
	    -port "$EPMD"
	# One after the other is quicker: they would wait for each other's lock.
	for n in 1 2 3; do
		start_node "$n"
		wait_long listens "${AMQP[n]}" || {
			tail -n 20 "$DIR"/*.out
			return 1
		}
	done
	ctl import_definitions "$DIR/definitions.json"
	wait_long queue_is_up
}

teardown_file() {
	server_stop KILL
}

setup() {
	test_setup
	source "$DIR/ports"
	PROGRAM=$DIR/rabbitmq
}

# The files of examples/growing, with names and ports of this machine.
make_config() {
	local n

	echo "$RANDOM$RANDOM$RANDOM" >"$DIR/.erlang.cookie"
	chmod 400 "$DIR/.erlang.cookie"
	echo '[].' >"$DIR/plugins"
	cp "$GROWING/definitions.json" "$DIR"
	for n in 1 2 3; do
		{
			sed 's/rabbit@queue/r&/; s/rrabbit@queue\(.\)/r\1@localhost/' \
			    "$GROWING/rabbitmq.conf"
			echo "listeners.tcp.1 = 127.0.0.1:${AMQP[n]}"
			echo 'log.file.level = warning'
		} >"$DIR/r$n.conf"
		sed -n "s/queue$n:5672/127.0.0.1:${AMQP[n]}/p" "$GROWING/nodes"
	done >"$DIR/nodes"
	[[ $(id -u) != 0 ]] || chown -R rabbitmq: "$DIR"
}

environment() {
	local n=$1

	env=(env HOME="$DIR" ERL_EPMD_PORT="$EPMD" ERL_EPMD_ADDRESS=127.0.0.1
	    RABBITMQ_CONF_ENV_FILE=/dev/null "RABBITMQ_NODENAME=r$n@localhost"
	    RABBITMQ_DIST_PORT="${DIST[n]}" RABBITMQ_MNESIA_BASE="$DIR/db"
	    RABBITMQ_LOG_BASE="$DIR/log" RABBITMQ_CONFIG_FILE="$DIR/r$n.conf"
	    RABBITMQ_GENERATED_CONFIG_DIR="$DIR/generated"
	    RABBITMQ_ENABLED_PLUGINS_FILE="$DIR/plugins")
	env+=(RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 1:1 +sbwt none \
+sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}")
}

start_node() {
	local env

	environment "$1"
	server_start rabbitmq "$DIR/r$1.out" "${env[@]}" \
	    /usr/lib/rabbitmq/bin/rabbitmq-server
	echo $! >"$DIR/r$1.pid"
}

# As if the power were cut.
kill_node() {
	kill -KILL -- "-$(<"$DIR/r$1.pid")"
}

ctl() {
	local env

	environment 1
	(cd "$DIR" && as rabbitmq "${env[@]}" /usr/lib/rabbitmq/bin/rabbitmqctl \
	    -q -n "${NODE-r1@localhost}" "$@") 3>&-
}

listens() {
	[[ -n $(ss -Htln "sport = :$1") ]]
}

queue_is_up() {
	ctl list_queues --online type members | grep -q 'quorum.*r.*r.*r'
}

consume() {
	"$PYTHON" "$GROWING/consume" "$DIR/nodes" "$@"
}

one_message() {
	smtp -o exec="$PROGRAM $DIR/nodes" "$@" <<'END'
EHLO client.test
MAIL FROM:<a@client.test>
RCPT TO:<b@mx.test>
RCPT TO:<c@mx.test>
DATA
Subject: one

Text
.
QUIT
END
}

@test "HAProxy and smtpd take the files as they are" {
	local out

	out=$(haproxy -c -f "$GROWING/haproxy.cfg" 2>&1) ||
	    fail "$out"
	jq -e '.queues[0].arguments["x-queue-type"] == "quorum"' \
	    "$GROWING/definitions.json"
	sed '/^tls-/d; /^recipients/d; /^exec/d' \
	    "$GROWING/smtpd.conf" >"$BATS_TEST_TMPDIR/conf"
	"$SMTPD" -f "$BATS_TEST_TMPDIR/conf" -o spool="$SPOOL" -t
	grep -q '^exec = /usr/local/lib/smtpd/rabbitmq /etc/smtpd/nodes$' \
	    "$GROWING/smtpd.conf"
}

@test "a message and its envelope are in the queue" {
	one_message
	replies 220 250 250 250 250 354 250 221
	run consume 1
	[[ $status == 0 && $output =~ \
	    ^[0-9a-f]{32}\ [0-9]+\ a@client\.test\ b@mx\.test\ c@mx\.test$ ]] ||
	    fail 'not what was sent'
}

@test "no node that answers is 451" {
	sed 's/:[0-9]*\//:1\//' "$DIR/nodes" >"$BATS_TEST_TMPDIR/nodes"
	DIR=$BATS_TEST_TMPDIR one_message
	replies 220 250 250 250 250 354 451 221
	logged 'no node took the message'
}

@test "a message without a queue to go to is 451" {
	smtp -o exec="$PROGRAM $DIR/nodes none" <<'END'
EHLO client.test
MAIL FROM:<a@client.test>
RCPT TO:<b@mx.test>
DATA

.
QUIT
END
	replies 220 250 250 250 354 451 221
	logged 'the broker refused the message'
}

# start_haproxy PORT PORT: examples/growing/haproxy.cfg in front of these two.
start_haproxy() {
	PROXY=$(free_port)
	sed "s/bind :25$/bind 127.0.0.1:$PROXY/
	    s/192.0.2.11:2525/127.0.0.1:$1/; s/192.0.2.12:2525/127.0.0.1:$2/" \
	    "$GROWING/haproxy.cfg" >"$BATS_TEST_TMPDIR/haproxy.cfg"
	haproxy -db -f "$BATS_TEST_TMPDIR/haproxy.cfg" </dev/null \
	    >"$BATS_TEST_TMPDIR/haproxy.log" 2>&1 3>&- &
	SERVERS+=($!)
	wait_for listens "$PROXY"
}

front() {
	serve -o proxy-protocol=yes \
	    -o exec="$PROGRAM $DIR/nodes"
}

# Sends N messages, each in a session of its own, four at a time; prints the
# sender of each that was answered 250.
load_messages() {
	"$PYTHON" - "$PROXY" "$1" <<'END'
import concurrent.futures
import smtplib
import sys
import time

def send(n):    # as a queue would: again, until it is taken
    sender = 'm%d@client.test' % n
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with smtplib.SMTP('127.0.0.1', int(sys.argv[1]), 'client.test',
                              timeout=60) as smtp:
                smtp.sendmail(sender, ['b@mx.test'], 'Subject: x\n\nText\n')
            return sender
        except (smtplib.SMTPException, OSError) as error:
            print(sender, repr(error), file=sys.stderr)
            time.sleep(0.2)
    return None

with concurrent.futures.ThreadPoolExecutor(4) as pool:
    for sender in pool.map(send, range(int(sys.argv[2]))):
        if sender:
            print(sender, flush=True)
END
}

@test "killing a node and a machine in mid-stream loses nothing answered 250" {
	local ports=() n answered

	front
	ports+=("$PORT")
	front
	start_haproxy "${ports[0]}" "$PORT"
	load_messages 400 >"$BATS_TEST_TMPDIR/answered" 2>>"$LOG" 3>&- &
	n=$!
	wait_for lines_at_least 40 "$BATS_TEST_TMPDIR/answered"
	kill_node 1
	wait_for lines_at_least 90 "$BATS_TEST_TMPDIR/answered"
	kill -KILL "${SERVERS[0]}"
	lines_at_least 390 "$BATS_TEST_TMPDIR/answered" && fail 'too late'
	wait "$n"

	# It went on: nobody was turned away for good.
	answered=$(wc -l <"$BATS_TEST_TMPDIR/answered")
	((answered == 400)) || fail "only $answered of 400 were accepted"
	sed -n 2,3p "$DIR/nodes" >"$BATS_TEST_TMPDIR/nodes"
	DIR=$BATS_TEST_TMPDIR consume 1000 >"$BATS_TEST_TMPDIR/got"
	cut -d' ' -f3 "$BATS_TEST_TMPDIR/got" | sort -u >"$BATS_TEST_TMPDIR/came"
	sort -u "$BATS_TEST_TMPDIR/answered" |
	    comm -23 - "$BATS_TEST_TMPDIR/came" >"$BATS_TEST_TMPDIR/lost"
	[[ ! -s $BATS_TEST_TMPDIR/lost ]] ||
	    fail "lost: $(<"$BATS_TEST_TMPDIR/lost")"
}

lines_at_least() {
	(($(wc -l <"$2") >= $1))
}

@test "with most of the nodes gone it is 451, and the rest is not lost" {
	kill_node 2
	smtp -o exec="$PROGRAM $DIR/nodes" -o timeout=100 <<'END'
EHLO client.test
MAIL FROM:<late@client.test>
RCPT TO:<b@mx.test>
DATA

.
QUIT
END
	replies 220 250 250 250 354 451 221
}

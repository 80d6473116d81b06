# SPDX-License-Identifier: ISC
# postgres.bats - examples/postgres with a PostgreSQL server.

load servers

setup_file() {
	export BATS_NO_PARALLELIZE_WITHIN_FILE=true
	BIN=$(printf '%s\n' /usr/lib/postgresql/*/bin | tail -n 1)
	PGPORT=$(free_port)
	URL=postgresql://postgres@127.0.0.1:$PGPORT/postgres?connect_timeout=5
	export BIN PGPORT URL
	server_dir postgres postgres
	as postgres "$BIN/initdb" -D "$DIR/data" -A trust -U postgres -E UTF8 \
	    --no-locale --no-sync >"$DIR/log" 2>&1
	start_postgres
	psql -X -q -d "$URL" -v ON_ERROR_STOP=1 -f "$ROOT/examples/postgres.sql"
}

teardown_file() {
	server_stop
}

start_postgres() {
	server_start postgres "$DIR/log" "$BIN/postgres" -D "$DIR/data" \
	    -p "$PGPORT" -c listen_addresses=127.0.0.1 \
	    -c unix_socket_directories=
	echo $! >"$DIR/pid"
	wait_long query 'SELECT 1'
}

setup() {
	test_setup
	query 'TRUNCATE message, recipient' >/dev/null
}

query() {
	psql -X -q -A -t -d "$URL" -c "$1"
}

# says TEXT QUERY
says() {
	local got

	got=$(query "$2")
	[[ $got == "$1" ]] || fail "$2: $got, expected: $1"
}

deliver() {
	smtp -o exec="$ROOT/examples/postgres $URL" "$@"
}

@test "a message and its envelope are in the tables" {
	export REMOTE_ADDR=192.0.2.7
	deliver <<'END'
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
	replies 220 250 250 250 250 354 250 221
	says 'a@client.test|192.0.2.7|client.test|ESMTP|' \
	    'SELECT sender, client, helo, protocol, account FROM message'
	says $'b@mx.test\nc@mx.test' \
	    'SELECT address FROM recipient JOIN message ON message = id
	    ORDER BY address'
	says $'Subject: one\n\nText' \
	    "SELECT right(convert_from(content, 'UTF8'), 19) FROM message"
}

@test "every octet of a binary message is kept" {
	"$PYTHON" - <<'END' >"$BATS_TEST_TMPDIR/body"
import sys
sys.stdout.buffer.write(bytes(range(256)) * 300)
END
	{
		printf '%s\r\n' 'EHLO client.test' \
		    'MAIL FROM:<> BODY=BINARYMIME' 'RCPT TO:<b@mx.test>' \
		    'BDAT 76800 LAST'
		cat "$BATS_TEST_TMPDIR/body"
		printf 'QUIT\r\n'
	} >"$BATS_TEST_TMPDIR/in"
	smtp_raw -o exec="$ROOT/examples/postgres $URL" \
	    <"$BATS_TEST_TMPDIR/in"
	replies 220 250 250 250 250 221
	query "SELECT encode(substr(content, octet_length(content) - 76799),
	    'base64') FROM message" | base64 -d | cmp - "$BATS_TEST_TMPDIR/body"
	says '' 'SELECT sender FROM message'
}

@test "no address is taken for a part of a statement" {
	deliver <<'END'
EHLO client.test
MAIL FROM:<"o'h:sender\\\"; DROP TABLE message; --"@client.test>
RCPT TO:<"');:'content'\\\\"@mx.test>
RCPT TO:<`id`$x{y}'@mx.test>
DATA

.
QUIT
END
	replies 220 250 250 250 250 354 250 221
	says "\"o'h:sender\\\\\\\"; DROP TABLE message; --\"@client.test" \
	    'SELECT sender FROM message'
	says "\"');:'content'\\\\\\\\\"@mx.test" \
	    "SELECT address FROM recipient WHERE address LIKE '%content%'"
}

@test "a recipient given twice is stored once" {
	deliver <<'END'
EHLO client.test
MAIL FROM:<a@client.test>
RCPT TO:<b@mx.test>
RCPT TO:<b@mx.test>
DATA

.
QUIT
END
	replies 220 250 250 250 250 354 250 221
	says 1 'SELECT count(*) FROM recipient'
}

one_message() {
	deliver <<'END'
EHLO client.test
MAIL FROM:<a@client.test>
RCPT TO:<b@mx.test>
DATA
Subject: one

Text
.
QUIT
END
}

@test "what fails at COMMIT is answered 451 and not there" {
	query "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS
	    \$\$ BEGIN RAISE 'not today'; END \$\$;
	    CREATE CONSTRAINT TRIGGER no AFTER INSERT ON recipient
	    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	    EXECUTE FUNCTION no()"
	one_message
	query 'DROP FUNCTION no CASCADE' 2>/dev/null
	replies 220 250 250 250 354 451 221
	logged 'not today'
	says 0 'SELECT count(*) FROM message'
}

@test "a server that dies during COMMIT is answered 451" {
	query "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
	    \$\$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid());
	    PERFORM pg_sleep(60); RETURN NEW; END \$\$;
	    CREATE CONSTRAINT TRIGGER die AFTER INSERT ON recipient
	    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	    EXECUTE FUNCTION die()"
	one_message
	query 'DROP FUNCTION die CASCADE' 2>/dev/null
	replies 220 250 250 250 354 451 221
	says 0 'SELECT count(*) FROM message'
}

@test "half a message does not get in" {
	local status=0

	{ echo 'Subject: x'; echo; } | env SENDER=a@b RECIPIENT=c@d \
	    "$ROOT/examples/postgres" "$URL" 2>>"$LOG" || status=$?
	((status == 75)) || fail "exit status $status"
	says 0 'SELECT count(*) FROM message'
}

@test "a database that does not answer is 451" {
	smtp -o exec="$ROOT/examples/postgres \
postgresql://postgres@127.0.0.1:1/postgres" <<'END'
EHLO client.test
MAIL FROM:<a@client.test>
RCPT TO:<b@mx.test>
DATA

.
QUIT
END
	replies 220 250 250 250 354 451 221
}

@test "what was answered 250 outlives kill -9 of the server" {
	local accepted=0 i pid

	for ((i = 0; i < 60; i++)); do
		# In the middle of it, from aside.
		((i != 20)) || {
			pid=$(<"$DIR/pid")
			(kill -KILL "$pid") &
		}
		one_message
		[[ $output != *$'\n354 '*$'\n250 '* ]] ||
		    accepted=$((accepted + 1))
		[[ $output == *$'\n451 '* ]] && break
	done
	((accepted >= 20)) || fail "only $accepted accepted"
	((accepted < 60)) || fail 'the server did not die'
	wait_long group_gone "$(<"$DIR/pid")"
	rm -f "$DIR/data/postmaster.pid"
	start_postgres
	one_message
	replies 220 250 250 250 354 250 221
	(($(query 'SELECT count(*) FROM message') >= accepted + 1)) ||
		fail "fewer messages than were answered 250 ($accepted)"
}

# SPDX-License-Identifier: ISC
# The list of recipients, as text and as cdb.

load lib

setup() {
	test_setup
	LIST=$BATS_TEST_TMPDIR/list
}

# asking [ARGUMENT ...]: a RCPT for each line "CODE PATH" of standard input.
asking() {
	local code path codes=()

	while IFS=' ' read -r code path; do
		codes+=("$code")
		echo "RCPT TO:<$path>"
	done >"$BATS_TEST_TMPDIR/rcpt"
	{
		echo 'EHLO client.test'
		echo 'MAIL FROM:<a@client.test> SMTPUTF8'
		cat "$BATS_TEST_TMPDIR/rcpt"
		echo QUIT
	} >"$BATS_TEST_TMPDIR/in"
	smtp -o spool="$SPOOL" -o recipients="$LIST" -o max-errors=0 \
	    -o max-recipients=0 "$@" <"$BATS_TEST_TMPDIR/in"
	replies 220 250 250 "${codes[@]}" 221
}

# as_cdb: the entries of standard input, one a line, as a cdb.
as_cdb() {
	while IFS= read -r entry; do
		printf '+%d,1:%s->1\n' "${#entry}" "$entry"
	done >"$BATS_TEST_TMPDIR/records"
	echo >>"$BATS_TEST_TMPDIR/records"
	cdb -c "$LIST" "$BATS_TEST_TMPDIR/records"
}

@test "exact addresses" {
	printf '%s\n' joe@mx.test ann@other.test >"$LIST"
	asking <<-'END'
		250 joe@mx.test
		250 ann@other.test
		550 joe@other.test
		550 jo@mx.test
		550 joee@mx.test
		550 joe@mx.tes
		550 joe@mx.test.test
		550 xjoe@mx.test
	END
	said '550 5.1.1 '
}

@test "all of a domain" {
	echo @mx.test >"$LIST"
	asking <<-'END'
		250 joe@mx.test
		250 "a b"@mx.test
		550 joe@sub.mx.test
		550 joe@test
	END
}

@test "a user in any domain" {
	echo joe@ >"$LIST"
	asking <<-'END'
		250 joe@mx.test
		250 joe@other.test
		250 joe@[192.0.2.1]
		550 ann@mx.test
		550 joe.x@mx.test
	END
}

@test "everybody" {
	echo @ >"$LIST"
	asking <<-'END'
		250 joe@mx.test
		250 "a b"@other.test
	END
}

@test "capital letters do not matter, in the list or the address" {
	printf '%s\n' Joe@MX.test @Other.TEST >"$LIST"
	asking <<-'END'
		250 joe@mx.test
		250 JOE@mx.TEST
		250 x@oTHER.test
	END
}

@test "comments, blanks, empty lines, CRLF, no end to the last line" {
	printf '# joe@mx.test\n\n  ann@mx.test # ann\n\tbob@mx.test\t x\r\n' \
	    >"$LIST"
	printf '#eve@mx.test\na#b@mx.test\r\n \nlast@mx.test' >>"$LIST"
	asking <<-'END'
		550 joe@mx.test
		250 ann@mx.test
		250 bob@mx.test
		550 eve@mx.test
		550 #eve@mx.test
		250 a#b@mx.test
		250 last@mx.test
	END
}

@test "quoted local parts are compared by what they say" {
	printf '%s\n' '"joe"@mx.test' 'ann@mx.test' '"a b"@mx.test # c' \
	    '"q\"@x"@mx.test' '"#x"@mx.test' '"a.b"@mx.test' \
	    '"c..d"@mx.test' '".e"@mx.test' '"f."@mx.test' '""@mx.test' \
	    '"g\\h"@mx.test' >"$LIST"
	asking <<-'END'
		250 joe@mx.test
		250 "joe"@mx.test
		250 "ann"@mx.test
		250 "\a\n\n"@mx.test
		250 "a b"@mx.test
		250 "a\ b"@mx.test
		550 "a  b"@mx.test
		250 "q\"@x"@mx.test
		550 "q@x"@mx.test
		250 "#x"@mx.test
		250 #x@mx.test
		250 a.b@mx.test
		250 "c..d"@mx.test
		550 "c.d"@mx.test
		250 ".e"@mx.test
		550 "e"@mx.test
		250 "f."@mx.test
		250 ""@mx.test
		250 "g\\h"@mx.test
		550 "gh"@mx.test
	END
}

@test "domain in a quoted local part is not the domain" {
	echo @mx.test >"$LIST"
	asking <<-'END'
		550 "a@mx.test"@other.test
		250 "a@other.test"@mx.test
	END
}

@test "UTF-8 addresses" {
	printf '%s\n' 'jörg@mx.test' '@bücher.test' >"$LIST"
	asking <<-'END'
		250 jörg@mx.test
		250 x@bücher.test
		550 jorg@mx.test
	END
}

@test "postmaster without a domain needs no line" {
	echo joe@mx.test >"$LIST"
	asking <<-'END'
		250 postmaster
		250 PostMaster
		550 postmaster@mx.test
	END
}

@test "without recipient-delimiter a detail is part of the name" {
	echo joe@mx.test >"$LIST"
	asking <<-'END'
		550 joe+x@mx.test
	END
}

@test "recipient-delimiter: the name without its detail" {
	printf '%s\n' joe@mx.test ann@ bob+list@mx.test +@mx.test >"$LIST"
	asking -o recipient-delimiter=+ <<-'END'
		250 joe@mx.test
		250 joe+x@mx.test
		250 joe+x+y@mx.test
		250 joe+@mx.test
		550 joe-x@mx.test
		550 jo+e@mx.test
		250 ann+x@other.test
		250 bob+list@mx.test
		550 bob@mx.test
		550 bob+other@mx.test
		550 +x@mx.test
		250 +@mx.test
	END
	asking -o recipient-delimiter=-+ <<-'END'
		250 joe-x@mx.test
		250 joe+x-y@mx.test
	END
}

@test "an empty list accepts nobody" {
	: >"$LIST"
	asking <<-'END'
		550 joe@mx.test
	END
}

@test "a list that is missing, unreadable or no file is 451" {
	asking <<-'END'
		451 joe@mx.test
		451 postmaster
	END
	said '451 4.3.0'
	logged "$LIST"
	mkdir "$LIST"
	asking <<-'END'
		451 joe@mx.test
	END
	LIST=$BATS_TEST_TMPDIR/fifo
	mkfifo "$LIST"
	asking <<-'END'
		451 joe@mx.test
	END
}

# during COMMAND: what is run between two of a session's recipients, of whom
# the list has the first only: joe, ann.  Then ann gets the reply CODE.
during() {
	local code=$1

	shift
	echo joe@mx.test >"$LIST"
	serve -o spool="$SPOOL" -o recipients="$LIST"
	: >"$BATS_TEST_TMPDIR/dialogue"
	{
		printf '%s\n' '< 220' '> EHLO c.test' '< 250' \
		    '> MAIL FROM:<>' '< 250' '> RCPT TO:<joe@mx.test>' \
		    '< 250' '> RCPT TO:<ann@mx.test>' '< 550'
		wait_for grep -q '^< 550' "$BATS_TEST_TMPDIR/dialogue"
		"$@"
		printf '%s\n' '> RCPT TO:<ann@mx.test>' "< $code" '> QUIT' \
		    '< 221' eof
	} | talk >"$BATS_TEST_TMPDIR/dialogue" || {
		cat "$BATS_TEST_TMPDIR/dialogue"
		fail "not $code"
	}
}

add() {
	echo ann@mx.test >>"$LIST"
}

replace() {
	echo ann@mx.test >"$LIST.new"
	mv "$LIST.new" "$LIST"
}

@test "a line that is added counts at once" {
	during 250 add
}

@test "a new file in the list's place counts from the next session on" {
	during 550 replace
	asking <<-'END'
		250 ann@mx.test
		550 joe@mx.test
	END
}

@test "a list that is cut short during a session does no harm" {
	during 550 truncate -s 0 "$LIST"
	during 550 rm "$LIST"
}

@test "lines that cross the blocks in which the file is read" {
	local i

	for ((i = 0; i < 3000; i++)); do
		echo "someone.$i@a-domain.test"
	done >"$LIST"
	for ((i = 0; i < 3000; i += 7)); do
		echo "250 someone.$i@a-domain.test"
		echo "550 someone.$i@a-domain.tes"
	done >"$BATS_TEST_TMPDIR/all"
	asking <"$BATS_TEST_TMPDIR/all"
}

@test "a line longer than a block does no harm" {
	{
		printf 'x%.0s' {1..40000}
		printf '@mx.test\njoe@mx.test\n'
		printf 'y%.0s' {1..16384}
		printf '\nann@mx.test\n# '
		printf 'bob@mx.test %.0s' {1..5000}
	} >"$LIST"
	asking <<-'END'
		250 joe@mx.test
		250 ann@mx.test
		550 bob@mx.test
		550 x@mx.test
	END
}

@test "octets of any kind in the list match nothing" {
	printf '\x01@mx.test\n\xff\xfe\n"\n"\\\n"a\n@@\n"a"b@mx.test\n' \
	    >"$LIST"
	asking <<-'END'
		550 joe@mx.test
		550 a@mx.test
		550 b@mx.test
	END
}

@test "cdb: all kinds of entries" {
	as_cdb <<-'END'
		joe@mx.test
		@all.test
		ann@
		"a b"@mx.test
	END
	asking -o recipient-delimiter=+ <<-'END'
		250 Joe@mx.test
		250 joe+x@mx.test
		550 jo@mx.test
		250 any@ALL.test
		250 ann+x@other.test
		250 "a\ b"@mx.test
		550 eve@mx.test
		250 postmaster
	END
}

@test "cdb: everybody, and nobody" {
	as_cdb <<<@
	asking <<<'250 joe@mx.test'
	as_cdb </dev/null
	asking <<<'550 joe@mx.test'
}

# bats test_tags=bulk
@test "cdb: each of 5000 is found, no other" {
	local i

	for ((i = 0; i < 5000; i++)); do
		echo "someone.$i@mx.test"
	done | as_cdb
	for ((i = 0; i < 5000; i += 11)); do
		echo "250 someone.$i@mx.test"
		echo "550 someone.x$i@mx.test"
	done >"$BATS_TEST_TMPDIR/all"
	asking <"$BATS_TEST_TMPDIR/all"
}

@test "cdb: damaged or cut short is 451" {
	local size i

	for ((i = 0; i < 300; i++)); do
		echo "someone.$i@mx.test"
	done | as_cdb
	cp "$LIST" "$LIST.whole"
	size=$(stat -c %s "$LIST")
	for i in 4 2047 2048 3000 $((size - 1)); do
		head -c "$i" "$LIST.whole" >"$LIST"
		asking <<<'451 someone.7@mx.test'
	done
	# The records are gone, the tables point nowhere.
	{
		head -c 2048 "$LIST.whole"
		head -c $((size - 2048)) /dev/zero | tr '\0' '\377'
	} >"$LIST"
	asking <<<'451 someone.7@mx.test'
}

@test "-t names the lines that are not entries" {
	printf '%s\n' joe@mx.test '# c' joe '"a b@mx.test' postmaster >"$LIST"
	run ! "$SMTPD" -t -o spool="$SPOOL" -o recipients="$LIST"
	said "$LIST: 3: "
	said "$LIST: 4: "
	not_said "$LIST: 1: "
	not_said "$LIST: 2: "
	not_said "$LIST: 5: "
	sed -i '3,4d' "$LIST"
	run -0 "$SMTPD" -t -o spool="$SPOOL" -o recipients="$LIST"
}

@test "-t: a missing list is a fault, a long one only slow" {
	run ! "$SMTPD" -t -o spool="$SPOOL" -o recipients="$LIST"
	said "$LIST"
	seq -f 'someone.%g@mx.test' 5000 >"$LIST"
	run -0 "$SMTPD" -t -o spool="$SPOOL" -o recipients="$LIST"
	said cdb
}

@test "-t: keys of a cdb that are never found" {
	printf '%s\n' joe@mx.test Ann@mx.test | as_cdb
	run ! "$SMTPD" -t -o spool="$SPOOL" -o recipients="$LIST"
	said 'capital letters'
	printf '%s\n' joe@mx.test ann@mx.test | as_cdb
	run -0 "$SMTPD" -t -o spool="$SPOOL" -o recipients="$LIST"
}

@test "the list comes before the policy server" {
	echo joe@mx.test >"$LIST"
	asking -o policy=unix:"$BATS_TEST_TMPDIR/nobody" <<-'END'
		550 ann@mx.test
		451 joe@mx.test
	END
}

@test "the list counts after STARTTLS as well" {
	certs
	echo joe@mx.test >"$LIST"
	serve -o spool="$SPOOL" -o recipients="$LIST" \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key"
	talk <<-'END'
		< 220
		> EHLO client.test
		< 250
		> MAIL FROM:<>
		< 250
		> RSET
		< 250
		> STARTTLS
		< 220
		tls
		> EHLO client.test
		< 250
		> MAIL FROM:<>
		< 250
		> RCPT TO:<joe@mx.test>
		< 250
		> RCPT TO:<ann@mx.test>
		< 550
		> QUIT
		< 221
	END
}

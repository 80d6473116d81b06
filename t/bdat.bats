# SPDX-License-Identifier: ISC
# CHUNKING and BINARYMIME (RFC 3030): octets by count.
load lib

# sent OCTETS [ARGUMENT ...]: with escapes as of printf %b.
sent() {
	local octets=$1

	shift
	smtp_raw -o spool="$SPOOL" "$@" < <(printf '%b' "$octets")
}

# bdat OCTETS [ARGUMENT ...]: the same after MAIL, with $BODY, and RCPT.
bdat() {
	local octets=$1

	shift
	sent "EHLO client.test\r\nMAIL FROM:<a@client.test>${BODY-}\r\n$(
	    )RCPT TO:<b@mx.test>\r\n$octets" "$@"
}

# body TEXT: exactly this follows our own header.
body() {
	message | "$PYTHON" -c '
import re, sys
data = sys.stdin.buffer.read()
end = re.search(rb"Received:.*\r?\n([ \t].*\r?\n)*", data).end()
want = sys.argv[1].encode().decode("unicode_escape").encode("latin-1")
# Text has an empty line before it; see spool.bats.
if want and not re.match(rb"\r?\n|From |[!-9;-~]+[ \t]*:", want):
    want = (b"\r\n" if data[:end].endswith(b"\r\n") else b"\n") + want
sys.exit(data[end:] != want and "%r, expected %r" % (data[end:], want))' \
	    "$1" || fail "body"
}

# rejected CODE: the message was, once, and nothing of it was run.
rejected() {
	replies 220 250 250 250 "$@" 250 221
	messages 0
	not_said 'Say hello'
}

@test "one chunk, LAST" {
	bdat 'BDAT 7 LAST\r\nhello\r\nQUIT\r\n'
	replies 220 250 250 250 250 221
	messages 1
	body 'hello\n'
}

@test "chunks are put together, wherever they are cut" {
	SYNTAX=("${STRICT[@]}")
	bdat 'BDAT 3\r\na\r\nBDAT 2\r\nb\rBDAT 4\r\n\n.\r\nBDAT 4 LAST\r\n..c\rQUIT\r\n'
	replies 220 250 250 250 250 250 250 550 221
	messages 0
	bdat 'BDAT 3\r\na\r\nBDAT 2\r\nb\rBDAT 4\r\n\n.\r\nBDAT 5 LAST\r\n..c\r\nQUIT\r\n'
	replies 220 250 250 250 250 250 250 250 221
	messages 1
	body 'a\nb\n.\n..c\n'
}

@test "a last chunk of no octets, and a message of none" {
	bdat 'BDAT 3\r\na\r\nBDAT 0 LAST\r\nQUIT\r\n'
	replies 220 250 250 250 250 250 221
	body 'a\n'
	rm "$SPOOL"/new/*
	bdat 'BDAT 0\r\nBDAT 0 LAST\r\nQUIT\r\n'
	replies 220 250 250 250 250 250 221
	body ''
}

@test "no line end at the end" {
	bdat 'BDAT 3 LAST\r\nendQUIT\r\n'
	replies 220 250 250 250 250 221
	body end
}

@test "dots mean nothing" {
	bdat 'BDAT 10 LAST\r\n.\r\n\r\n.\r\n..QUIT\r\n'
	replies 220 250 250 250 250 221
	body '.\n\n.\n..'
}

@test "in any case, with blanks at the end" {
	bdat 'bdat 1\r\naBdat 1 last \r\nbQUIT\r\n'
	replies 220 250 250 250 250 250 221
	body ab
}

@test "one octet a write, the same" {
	BODY=' BODY=8BITMIME'
	bdat 'BDAT 4\r\na\r\nbBDAT 4 LAST\r\nc\r\ndQUIT\r\n'
	body 'a\nbc\nd'
	rm "$SPOOL"/new/*
	talk -b -- "$SMTPD" -o spool="$SPOOL" <<-'END'
	< 220
	> EHLO client.test
	< 250
	> MAIL FROM:<a@client.test> BODY=8BITMIME
	< 250
	> RCPT TO:<b@mx.test>
	< 250
	>> BDAT 4\r\na\r\nbBDAT 4 LAST\r\nc\r\nd
	< 250
	< 250
	> QUIT
	< 221
	END
	messages 1
	body 'a\nbc\nd'
}

@test "a bare CR, a bare LF and a NUL refuse the message, as in DATA" {
	SYNTAX=("${STRICT[@]}")
	local octets

	for octets in 'a\rb' 'a\nb' 'a\0b' '\n.\n' 'ab\r' 'a\r\r\n'; do
		bdat "BDAT $(printf '%b' "$octets" | wc -c) LAST\r\n${octets}NOOP\r\nQUIT\r\n"
		rejected 550
		said '550 5.6.0'
	done
	logged 'event=message status=refused'
}

@test "a chunk that is refused ends the message, and is in the log" {
	SYNTAX=("${STRICT[@]}")
	bdat 'BDAT 3\r\na\nbBDAT 3\r\ncccBDAT 3 LAST\r\ndddNOOP\r\nQUIT\r\n'
	rejected 550 503 503
	logged 'event=message status=refused'
}

@test "BINARYMIME is kept octet for octet" {
	BODY=' BODY=BINARYMIME'
	bdat 'BDAT 9\r\na\rb\nc\0d\r\rBDAT 5 LAST\r\n\n.\r\n\rQUIT\r\n'
	replies 220 250 250 250 250 250 221
	messages 1
	body 'a\rb\nc\x00d\r\r\n.\r\n\r'
}

@test "BINARYMIME needs BDAT, and BDAT does not mix with DATA" {
	BODY=' BODY=BINARYMIME'
	bdat 'DATA\r\nBDAT 1 LAST\r\naQUIT\r\n'
	replies 220 250 250 250 503 250 221
	BODY=
	bdat 'BDAT 1\r\naDATA\r\nRCPT TO:<c@mx.test>\r\nMAIL FROM:<>\r\nBDAT 1 LAST\r\nbQUIT\r\n'
	replies 220 250 250 250 250 503 503 503 250 221
}

@test "a long line passes" {
	bdat "BDAT 100000 LAST\r\n$(printf '%0100000d' 0)QUIT\r\n"
	replies 220 250 250 250 250 221
	messages 1
	(($(message | tail -n 1 | wc -c) == 100000))
}

# Refused for whatever reason: swallowed to the last octet, answered once.
PAYLOAD='MAIL FROM:<x@x.test>\r\nRCPT TO:<x@x.test>\r\n'	# 42 octets

@test "refused BDAT: before EHLO, MAIL and RCPT" {
	sent "BDAT 42 LAST\r\n${PAYLOAD}EHLO a\r\nBDAT 42\r\n$PAYLOAD$(
	    )MAIL FROM:<>\r\nBDAT 42\r\n${PAYLOAD}QUIT\r\n"
	replies 220 503 250 503 250 554 221
}

@test "refused BDAT: every recipient was refused" {
	printf '@mx.test\n' >"$BATS_TEST_TMPDIR/list"
	sent "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\n$(
	    )BDAT 42\r\n${PAYLOAD}BDAT 42 LAST\r\n${PAYLOAD}QUIT\r\n" \
	    -o recipients="$BATS_TEST_TMPDIR/list"
	replies 220 250 250 550 554 503 221
}

@test "refused BDAT: too large" {
	bdat "BDAT 42\r\n${PAYLOAD}BDAT 42 LAST\r\n${PAYLOAD}NOOP\r\nQUIT\r\n" \
	    -o max-size=41
	rejected 552 503
	bdat "BDAT 42 LAST\r\n${PAYLOAD}NOOP\r\nQUIT\r\n" -o max-size=41
	rejected 552
	bdat "BDAT 42 LAST\r\n${PAYLOAD}QUIT\r\n" -o max-size=42
	replies 220 250 250 250 250 221
	messages 1
}

@test "refused BDAT: after HELO, disabled, outside of required TLS" {
	SYNTAX=("${STRICT[@]}")
	sent "HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\n$(
	    )BDAT 42\r\n${PAYLOAD}QUIT\r\n"
	replies 220 250 250 250 502 221
	bdat "BDAT 42 LAST\r\n${PAYLOAD}NOOP\r\nQUIT\r\n" -o disable=CHUNKING
	rejected 502
	not_said CHUNKING
	not_said BINARYMIME
	certs
	sent "EHLO a\r\nBDAT 42\r\n${PAYLOAD}QUIT\r\n" -o tls=require \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key"
	replies 220 250 530 221
}

@test "refused BDAT: nowhere to put it; in the first chunk and once" {
	: >"$BATS_TEST_TMPDIR/file"
	bdat "BDAT 42\r\n${PAYLOAD}BDAT 42 LAST\r\n${PAYLOAD}QUIT\r\n" \
	    -o spool="$BATS_TEST_TMPDIR/file"
	replies 220 250 250 250 451 503 221
}

# bats test_tags=bulk
@test "a count that is not a number, or too large: 501, and the end" {
	SYNTAX=("${STRICT[@]}")
	local count

	for count in '' ' ' ' x' ' -1' ' +1' ' 1x' ' 0x10' ' 1 FIRST' \
	    ' 1 LAST x' '  1' ' 1  LAST' ' LAST' ' 18446744073709551616' \
	    ' 99999999999999999999999999' ' 1.0' ' 1,LAST'; do
		bdat "BDAT$count\r\n${PAYLOAD}QUIT\r\n"
		replies 220 250 250 250 501
		messages 0
	done
	logged 'reason="Syntax: BDAT size [LAST]"'
}

@test "the largest count is swallowed, not run" {
	bdat "BDAT 18446744073709551615 LAST\r\n${PAYLOAD}QUIT\r\n"
	replies 220 250 250 250
	messages 0
}

@test "the end of input in a chunk: no message" {
	bdat 'BDAT 100 LAST\r\nhello\r\nQUIT\r\n'
	replies 220 250 250 250
	messages 0
	bdat 'BDAT 7\r\nhello\r\n'
	replies 220 250 250 250 250
	messages 0
}

@test "RSET and a new MAIL between chunks forget them" {
	bdat 'BDAT 1\r\naRSET\r\nMAIL FROM:<>\r\nRCPT TO:<b@mx.test>\r\nBDAT 1 LAST\r\nbQUIT\r\n'
	replies 220 250 250 250 250 250 250 250 250 221
	messages 1
	body b
}

@test "line ends are as newline says" {
	bdat 'BDAT 6 LAST\r\na\r\nb\r\nQUIT\r\n' -o newline=crlf
	body 'a\r\nb\r\n'
}

@test "10 MiB in chunks of 64 KiB arrive whole" {
	local chunk input=$BATS_TEST_TMPDIR/big

	"$PYTHON" - >"$input" <<-'END'
	import sys
	line = b"x" * 62 + b"\r\n"
	out = sys.stdout.buffer
	out.write(b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\n")
	for i in range(160):
	    out.write(b"BDAT 65536%s\r\n" % (b" LAST" if i == 159 else b""))
	    out.write(line * 1024)
	out.write(b"QUIT\r\n")
	END
	smtp_raw -o spool="$SPOOL" <"$input"
	messages 1
	(($(message | grep -c '^x\{62\}$') == 163840))
}

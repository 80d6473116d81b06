# SPDX-License-Identifier: ISC
# What a session needs of memory does not depend on what is sent to it.
load ../lib

MIB=$((1024 * 1024))

# peak HOW SIZE CHUNK REPLY: a message of SIZE octets, by HOW: DATA or BDAT in
# chunks of CHUNK, answered by REPLY in the end; inside TLS if TLS is set.  The
# most that the process ever held, in KiB, is in $PEAK.
peak() {
	PEAK=$(HOW="$* ${TLS-}" client -o spool="$SPOOL" "${SETTINGS[@]}" <<-'END'
	import os, sys
	from client import Client
	how, size, chunk, wanted, *tls = os.environ["HOW"].split()
	size, chunk, wanted = int(size), int(chunk), wanted.encode()
	c = Client()

	def body(size):
	    block = (b"x" * 62 + b"\r\n") * 1024
	    for sent in range(0, size, len(block)):
	        c.send(block[:size - sent])

	c.hear(b"220")
	c.ask(b"EHLO client.test", b"250")
	if tls:
	    c.starttls(*tls)
	c.ask(b"MAIL FROM:<a@client.test>", b"250")
	c.ask(b"RCPT TO:<b@mx.test>", b"250")
	if how == "DATA":
	    c.ask(b"DATA", b"354")
	    body(size)
	    c.ask(b".", wanted)
	while how == "BDAT" and size > 0:
	    n = min(size, chunk)
	    size -= n
	    c.send(b"BDAT %d%s\r\n" % (n, b"" if size else b" LAST"))
	    body(n)
	    c.hear(b"250" if size else wanted)
	for line in open("/proc/%d/status" % c.smtpd.pid):
	    if line.startswith("VmHWM:"):
	        print(line.split()[1])
	c.ask(b"QUIT", b"221")
	sys.exit(c.smtpd.wait())
	END
	) || fail "$*"
}

# flat MESSAGE ...: each (arguments of peak, one word) needs what a message of
# 1 MiB does; the kernel counts by the page and batch.
flat() {
	local base message

	peak DATA $MIB 0 250 || return
	base=$PEAK
	((base > 0 && base < LIMIT)) || fail "1 MiB: $base KiB" || return
	for message; do
		rm -rf "$SPOOL"
		# shellcheck disable=SC2086 # words
		peak $message || return
		echo "$message: $PEAK KiB"
		((PEAK < LIMIT && PEAK <= base + 256)) ||
			fail "$message: $PEAK KiB, 1 MiB: $base" || return
	done
	rm -rf "$SPOOL"
}

@test "a message of 300 MiB needs no more memory than one of 1 MiB" {
	SETTINGS=(-o max-size=0)
	LIMIT=2048
	flat "BDAT $MIB $MIB 250" "BDAT $((300 * MIB)) $MIB 250" \
	    "BDAT $((300 * MIB)) $((300 * MIB)) 250" \
	    "DATA $((300 * MIB)) 0 250"
	logged "status=accepted size=$((300 * MIB)) "
}

@test "nor does one that is too large and swallowed" {
	SETTINGS=(-o max-size="$MIB")
	LIMIT=2048
	flat "BDAT $((300 * MIB)) $((300 * MIB)) 552" \
	    "DATA $((300 * MIB)) 0 552"
	logged 'why="Message too big"'
}

@test "nor do they inside TLS" {
	certs
	TLS=$CERTS/ca.pem
	SETTINGS=(-o max-size=0 -o tls=require -o tls-cert="$CERTS/ec.pem"
	    -o tls-key="$CERTS/ec.key")
	LIMIT=16384
	flat "BDAT $((100 * MIB)) $MIB 250" \
	    "BDAT $((100 * MIB)) $((100 * MIB)) 250" \
	    "DATA $((100 * MIB)) 0 250"
}

# SPDX-License-Identifier: ISC
# What a session needs of memory does not depend on what is sent to it.
load ../lib

MIB=$((1024 * 1024))

# peak HOW SIZE CHUNK REPLY: a message of SIZE octets, by HOW: DATA or BDAT in
# chunks of CHUNK, answered by REPLY in the end; inside TLS if TLS is set.  The
# most that the process ever held, in KiB, is in $PEAK.
peak() {
	PEAK=$("$PYTHON" - "$@" "${TLS-}" "$SMTPD" -o hostname=mx.test \
	    -o spool="$SPOOL" "${SETTINGS[@]}" \
	    2>>"$LOG" <<-'END'
	import socket, ssl, subprocess, sys
	how, size, chunk, wanted, tls = sys.argv[1:6]
	size, chunk = int(size), int(chunk)
	ours, theirs = socket.socketpair()
	smtpd = subprocess.Popen(sys.argv[6:], stdin=theirs, stdout=theirs)
	theirs.close()
	client, replies = ours, ours.makefile("rb")

	def said(code):
	    line = b"   -"
	    while line[3:4] == b"-":
	        line = replies.readline()
	    if line[:3].decode() != code:
	        sys.exit("%r, expected %s" % (line, code))

	def ask(line, code):
	    client.sendall(line + b"\r\n")
	    said(code)

	def send(size):
	    block = (b"x" * 62 + b"\r\n") * 1024
	    for sent in range(0, size, len(block)):
	        client.sendall(block[:size - sent])

	said("220")
	ask(b"EHLO client.test", "250")
	if tls:
	    ask(b"STARTTLS", "220")
	    context = ssl.create_default_context(cafile=tls)
	    client = context.wrap_socket(ours, server_hostname="mx.test")
	    replies = client.makefile("rb")
	    ask(b"EHLO client.test", "250")
	ask(b"MAIL FROM:<a@client.test>", "250")
	ask(b"RCPT TO:<b@mx.test>", "250")
	if how == "DATA":
	    ask(b"DATA", "354")
	    send(size)
	    ask(b".", wanted)
	while how == "BDAT" and size > 0:
	    n = min(size, chunk)
	    size -= n
	    client.sendall(b"BDAT %d%s\r\n" % (n, b"" if size else b" LAST"))
	    send(n)
	    said("250" if size else wanted)
	for line in open("/proc/%d/status" % smtpd.pid):
	    if line.startswith("VmHWM:"):
	        print(line.split()[1])
	ask(b"QUIT", "221")
	sys.exit(smtpd.wait())
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

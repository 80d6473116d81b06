# SPDX-License-Identifier: ISC
# tls.bats - what TLS costs in memory.  Not under sanitizers, which have a
# memory of their own.

load ../lib

setup() {
	test_setup
	certs
}

# measured SCRIPT: Python with talk(), tls() and memory() of a session.
measured() {
	{
		cat <<-'END'
		import os, socket, ssl, subprocess, sys

		ours, theirs = socket.socketpair()
		ours.settimeout(60)
		server = subprocess.Popen([sys.argv[1],
		    "-o", "hostname=mx.test", "-o", "spool=" + sys.argv[2],
		    "-o", "max-size=0",
		    "-o", "tls-cert=" + sys.argv[3] + "/ec.pem",
		    "-o", "tls-key=" + sys.argv[3] + "/ec.key"],
		    stdin=theirs, stdout=theirs)
		theirs.close()

		def talk(line, code):
		    if line:
		        ours.sendall(line + b"\r\n")
		    reply = b""
		    while not reply.endswith(b"\r\n") or \
		        reply.split(b"\r\n")[-2][3:4] == b"-":
		        piece = ours.recv(4096)
		        assert piece, reply
		        reply += piece
		    assert reply.startswith(code), reply

		def tls():
		    global ours
		    talk(b"", b"220")
		    talk(b"EHLO client.test", b"250")
		    talk(b"STARTTLS", b"220")
		    context = ssl.create_default_context(
		        cafile=sys.argv[3] + "/ca.pem")
		    ours = context.wrap_socket(ours, server_hostname="mx.test")
		    talk(b"EHLO client.test", b"250")

		def memory(*names):		# KiB
		    total = 0
		    with open("/proc/%d/smaps_rollup" % server.pid) as f:
		        for line in f:
		            if line.split(":")[0] in names:
		                total += int(line.split()[1])
		    return total
		END
		cat
	} | "$PYTHON" - "$SMTPD" "$SPOOL" "$CERTS" 2>>"$LOG" || fail "$1"
}

@test "a message of 50 MiB inside TLS takes no memory" {
	measured <<-'END'
	tls()
	talk(b"MAIL FROM:<a@client.test>", b"250")
	talk(b"RCPT TO:<b@mx.test>", b"250")
	talk(b"DATA", b"354")
	line = b"x" * 76 + b"\r\n"
	ours.sendall(line * 13443)
	before = memory("Private_Dirty")
	for i in range(49):
	    ours.sendall(line * 13443)
	after = memory("Private_Dirty")
	talk(b".", b"250")
	talk(b"QUIT", b"221")
	assert server.wait(60) == 0
	assert after - before <= 64, (before, after)
	END
	[[ $(stat -c %s "$SPOOL"/new/*) -gt 51000000 ]]
}

@test "a session waiting inside TLS has at most 640 KiB of its own" {
	measured <<-'END'
	tls()
	assert memory("Anonymous") <= 640, memory("Anonymous")
	END
}

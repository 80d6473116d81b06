# SPDX-License-Identifier: ISC
# tls.bats - what TLS costs in memory.  Not under sanitizers, which have a
# memory of their own.

load ../lib

setup() {
	test_setup
	certs
}

# measured SCRIPT: Python with memory() of a session.
measured() {
	{
		cat <<-'END'
		import os
		from client import Client
		c = Client()
		c.hear(b"220")
		c.ask(b"EHLO client.test", b"250")

		def memory(*names):		# KiB
		    total = 0
		    with open("/proc/%d/smaps_rollup" % c.smtpd.pid) as f:
		        for line in f:
		            if line.split(":")[0] in names:
		                total += int(line.split()[1])
		    return total
		END
		cat
	} | client -o spool="$SPOOL" -o max-size=0 \
	    -o tls-cert="$CERTS/ec.pem" -o tls-key="$CERTS/ec.key"
}

@test "a message of 50 MiB inside TLS takes no memory" {
	measured <<-'END'
	c.starttls(os.environ["CERTS"] + "/ca.pem")
	c.ask(b"MAIL FROM:<a@client.test>", b"250")
	c.ask(b"RCPT TO:<b@mx.test>", b"250")
	c.ask(b"DATA", b"354")
	line = b"x" * 76 + b"\r\n"
	c.send(line * 13443)
	before = memory("Private_Dirty")
	for i in range(49):
	    c.send(line * 13443)
	after = memory("Private_Dirty")
	c.ask(b".", b"250")
	c.ask(b"QUIT", b"221")
	assert c.smtpd.wait(60) == 0
	assert after - before <= 64, (before, after)
	END
	[[ $(stat -c %s "$SPOOL"/new/*) -gt 51000000 ]]
}

@test "a session waiting inside TLS has at most 640 KiB of its own" {
	measured <<-'END'
	c.starttls(os.environ["CERTS"] + "/ca.pem")
	assert memory("Anonymous") <= 640, memory("Anonymous")
	END
}

# SPDX-License-Identifier: ISC
# The images of examples/container, built as their files say and run by podman
# in a guest of their own: see t/lab.
load ../lib

# A Debian to build from, made of what is installed here, so that apt-get has
# nothing left to fetch: base IMAGE PACKAGE ...
base() {
	local image=$1 root=$BATS_FILE_TMPDIR/base.$RANDOM dir

	shift
	mkdir -p "$root"/{etc/apt,tmp,usr/bin,var/lib/apt/lists/partial} \
	    "$root/var/cache/apt/archives/partial" "$root/var/lib/dpkg"
	for dir in bin lib lib64 sbin; do
		ln -s usr/$dir "$root/$dir"
	done
	# shellcheck disable=SC2046 # words
	dpkg -L $(closure "$@") | sed -E 's,^/(bin|sbin|lib|lib64)/,/usr/\1/,' |
	    grep '^/\(usr\|etc\)/' | grep -Ev "/share/(doc|info|locale|man)/" | sort -u |
	    tar -C / -c --no-recursion --ignore-failed-read -T - 2>/dev/null |
	    tar -C "$root" -x
	cp /etc/{passwd,group,ld.so.cache} "$root/etc"
	cp /var/lib/dpkg/status "$root/var/lib/dpkg"
	tar -C "$root" -c . | pod import -q - "docker.io/library/$image" >&2
	rm -rf "$root"
}

# closure PACKAGE ...: with all that they depend on, as far as it is here.
closure() {
	local essential

	essential=$(dpkg-query -W -f '${Essential} ${Package}\n' |
	    sed -n 's/^yes //p')
	# shellcheck disable=SC2086 # words
	apt-cache depends --recurse --installed --no-recommends --no-suggests \
	    --no-conflicts --no-breaks --no-replaces --no-enhances \
	    $essential apt "$@" | grep '^[a-z0-9]' | sort -u |
	    xargs dpkg-query -W -f '${Status} ${Package}\n' 2>/dev/null |
	    sed -n 's/^install ok installed //p' | sort -u
}

pod() {
	podman --root "$BATS_FILE_TMPDIR/store" \
	    --runroot "$BATS_FILE_TMPDIR/run" "$@"
}

# build NAME FILE: by the command in FILE's first lines.
build() {
	pod build -q --format docker --pull-never --layers \
	    --isolation chroot \
	    -t "$1" -f "$ROOT/examples/container/$2" "$ROOT" >&2
	pod save -q -o "$BATS_FILE_TMPDIR/$1.tar" "localhost/$1"
}

setup_file() {
	base debian:12 gcc libbsd-dev libc6-dev libcrypt-dev libgnutls28-dev \
	    make pkg-config
	base debian:12-slim libgnutls30
	build smtpd Containerfile
	build smtpd-tls Containerfile.tls
}

teardown_file() {
	pod system reset -f >/dev/null 2>&1 || true
}

guest() {
	cat - >"$BATS_TEST_TMPDIR/script" <<-EOF
		set -euE
		trap 'status=\$?; echo "line \$LINENO: \$BASH_COMMAND"
		    pod logs -l; exit \$status' ERR
		IMAGES=$BATS_FILE_TMPDIR CERTS=$CERTS TOOLS=$TOOLS ROOT=$ROOT
		T=$BATS_TEST_TMPDIR
	EOF
	cat >>"$BATS_TEST_TMPDIR/script" <<-'EOF'
		pod() { podman --root /run/store --runroot /run/pods "$@"; }
		# start IMAGE [ARGUMENT ...]: as $NAME, with what is in OPTIONS,
		# confined as compose.yaml does; ready when it says so.
		OPTIONS=()
		start() {
			pod load -q -i "$IMAGES/$1.tar"
			pod run -d --name mail --pull never --network host \
			    --cgroups disabled --ulimit nofile=1024:1024 \
			    --ulimit nproc=512:512 --read-only --cap-drop all \
			    --security-opt no-new-privileges \
			    "${OPTIONS[@]}" "$@"
			wait_for listens
			pod healthcheck run mail
		}
		wait_for() {
			local tries=200

			until "$@" >/dev/null 2>&1; do
				((tries-- > 0)) || { echo "in vain: $*"; return 1; }
				sleep 0.1
			done
		}
		listens() { pod logs mail 2>&1 | grep '^event=listen addr=:: port=2525'; }
		send() {
			curl -sS --crlf --mail-from a@client.test \
			    --mail-rcpt b@mx.test "$@" -T - <<-'END'
			Subject: hello

			First message.
			END
		}
		# Its mail, without a program in the container that could tell.
		mails() {
			rm -rf /run/caught
			pod cp mail:/mail/new /run/caught
			find /run/caught -type f | wc -l
		}
		stop() {
			pod stop -t 20 mail
			[[ $(pod inspect -f '{{.State.ExitCode}}' mail) == 0 ]]
		}
	EOF
	cat <&3 >>"$BATS_TEST_TMPDIR/script"
	"$ROOT/t/lab" -b "$ROOT" -b "$BATS_RUN_TMPDIR" \
	    bash "$BATS_TEST_TMPDIR/script"
}

@test "from scratch: one file, which receives, is ready when it says so, and ends" {
	guest 3<<-'EOF'
		start smtpd
		[[ $(pod export mail | tar -t | grep -v -e '^\(dev\|etc\|proc\|run\|sys\)/' |
		    grep -v '/$') == smtpd ]]
		send smtp://127.0.0.1:2525
		[[ $(mails) == 1 ]]
		grep -q '^Delivered-To: b@mx.test' /run/caught/*
		stop
	EOF
}

@test "a directory of the machine's, as its owner" {
	guest 3<<-'EOF'
		install -d -o 1234 -g 1234 /root/mail
		OPTIONS=(--user 1234:1234 -v /root/mail:/mail)
		start smtpd -o max-size=1M
		send smtp://127.0.0.1:2525
		[[ $(stat -c %u:%a /root/mail/new/*) == 1234:600 ]]
		pod rm -f -t 0 mail
		# One that is somebody else's: not healthy.
		chown -R 0 /root/mail
		[[ $(start smtpd) == *unhealthy* ]]
	EOF
}

@test "with TLS: a certificate, passwords, and a program whose orphans are reaped" {
	certs
	guest 3<<-'EOF'
		mkdir /root/smtpd
		cp "$CERTS/ec.pem" /root/smtpd/mx.pem
		install -m 600 "$CERTS/ec.key" /root/smtpd/mx.key
		sed 's/^#tls/tls/; /^spool/d' "$ROOT/examples/container/smtpd.conf" \
		    >/root/smtpd/smtpd.conf
		cat >>/root/smtpd/smtpd.conf <<-'END'
		exec = /etc/smtpd/receive
		auth-any = yes
		END
		cat >/root/smtpd/receive <<-'END'
		#!/bin/sh
		set -eu
		mkdir -p /mail/new
		cat /dev/stdin >"/mail/new/$SESSION_ID"
		setsid sleep 0.1 >/dev/null 2>&1 </dev/null &
		END
		chmod 755 /root/smtpd/receive
		chown -R 1000:1000 /root/smtpd
		OPTIONS=(-v /root/smtpd:/etc/smtpd:ro)
		start smtpd-tls
		send --ssl-reqd --cacert "$CERTS/ca.pem" --user any:password \
		    --connect-to mx.test:2525:127.0.0.1:2525 smtp://mx.test:2525
		[[ $(mails) == 1 ]]
		grep -q '^Received: .*' /run/caught/*
		pid=$(pod inspect -f '{{.State.Pid}}' mail)
		# But for the process that has the key.
		reaped() { [[ $(ps -o stat=,comm= --ppid "$pid") =~ ^S[^Z]*$ ]]; }
		wait_for reaped
		stop
	EOF
}

@test "compose.yaml: these settings are what was tried here" {
	run -0 "$PYTHON" - "$ROOT/examples/container/compose.yaml" <<-'EOF'
	import sys, yaml
	mail = yaml.safe_load(open(sys.argv[1]))["services"]["mail"]
	assert mail["build"]["dockerfile"] == "examples/container/Containerfile"
	assert mail["ports"] == ["127.0.0.1:2525:2525"]
	assert mail["volumes"] == ["mail:/mail"]
	assert mail["read_only"] and mail["cap_drop"] == ["ALL"]
	assert mail["security_opt"] == ["no-new-privileges:true"]
	EOF
}

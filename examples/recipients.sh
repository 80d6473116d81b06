#!/bin/sh
# recipients.sh - a policy program that knows which recipients exist.
#
#	policy = exec:/usr/local/lib/smtpd/recipients.sh DIRECTORY
#
# DIRECTORY has a file for each user: "joe" for one who gets mail, "joe.away" for
# one who no longer does, and "joe.full" as well while there is no room: 452, and
# the client tries again later.  The domain does not matter.
#
# A request is lines "name=value" and an empty line, on standard input; the
# answer is "action=..." and an empty line.  smtpd starts the program for the
# first recipient of a session and keeps it; it ends when its input does.

dir=${1:?usage: recipients.sh DIRECTORY}

decide() {
	user=${recipient%@*}
	case $user in
	*/* | .* | *.away | *.full | "")
		echo "REJECT 5.1.1 No such user"
		return
	esac
	if [ -e "$dir/$user.full" ]; then
		echo "452 4.2.2 The mailbox of $user is full"
	elif [ -e "$dir/$user" ]; then
		echo DUNNO
	elif [ -e "$dir/$user.away" ]; then
		echo "550 5.2.1 $user does not work here any more"
	else
		echo "REJECT 5.1.1 No such user"
	fi
}

while IFS= read -r line; do
	case $line in
	recipient=*)
		recipient=${line#recipient=}
		;;
	"")
		printf 'action=%s\n\n' "$(decide)"
		;;
	esac
done

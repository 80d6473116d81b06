-- The tables that examples/postgres fills.

CREATE TABLE message (
	id		bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
	received	timestamptz NOT NULL DEFAULT now(),
	sender		text NOT NULL,		-- '' is the null sender
	client		text NOT NULL,		-- address, or 'local'
	helo		text NOT NULL,
	protocol	text NOT NULL,		-- ESMTPSA ...
	account		text NOT NULL,		-- who logged in, or ''
	session		text NOT NULL,		-- as in the log
	size		bigint NOT NULL CHECK (size = octet_length(content)),
	content		bytea NOT NULL
);

CREATE TABLE recipient (
	message		bigint NOT NULL REFERENCES message ON DELETE CASCADE,
	address		text NOT NULL CHECK (address <> ''),
	PRIMARY KEY (message, address)
);

-- The program needs no more than this:
--	GRANT INSERT, SELECT (id) ON message TO mail;
--	GRANT INSERT ON recipient TO mail;

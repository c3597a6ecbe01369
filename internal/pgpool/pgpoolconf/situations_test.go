package pgpoolconf

// situation is a text with what Pgpool-II makes of it. TestParse holds our
// parser against the table, TestRealPgpool the table against pgpool itself.
type situation struct {
	name  string
	text  string
	files map[string]string // beside the main file
	// want are the settings in order, as name=value; unused when err is set.
	want []string
	// err is our message for a text that Pgpool-II refuses to read.
	err string
	// rejected: the text is read, but a value is refused.
	rejected bool
}

var situations = []situation{
	{name: "empty file", text: ""},
	{name: "equals sign", text: "x = 'a'\n", want: []string{"x=a"}},
	{name: "no equals sign", text: "x 'a'\n", want: []string{"x=a"}},
	{name: "no blanks", text: "x='a'\n", want: []string{"x=a"}},
	{name: "no line end after the last line", text: "x = 'a'", want: []string{"x=a"}},
	{name: "carriage returns", text: "x = 1\r\ny = 2\r\n", want: []string{"x=1", "y=2"}},
	{name: "two settings on one line", text: "x = 1 y = 'b' z 3\n", want: []string{"x=1", "y=b", "z=3"}},
	{name: "settings without a blank between", text: "x='a'y='b'\n", want: []string{"x=a", "y=b"}},
	{name: "last one wins, both are applied", text: "x = 1\nx = 2\n", want: []string{"x=1", "x=2"}},
	{name: "case matters in names", text: "Port = 10\n", want: []string{"Port=10"}},
	{name: "bytes above ASCII in a name", text: "größe = 1\n", want: []string{"größe=1"}},

	{name: "comment after a value", text: "x = 'a' # it's fine\n", want: []string{"x=a"}},
	{name: "hash inside quotes", text: "x = 'a # b'\n", want: []string{"x=a # b"}},
	{name: "comment on the last line without line end", text: "x = 1\n# end",
		err: "main.conf:2: comment on the last line without a line end; end the file with a newline"},
	{name: "comment behind the last value without line end", text: "x = 1 # end",
		err: "main.conf:1: comment on the last line without a line end; end the file with a newline"},

	{name: "backslashes stay", text: `x = 'a\\b\n'` + "\n", want: []string{`x=a\\b\n`}},
	{name: "backslash keeps a quote in, and stays", text: `x = 'a\'b'` + "\n", want: []string{`x=a\'b`}},
	{name: "backslash before the closing quote", text: `x = 'a\'` + "\n", want: []string{`x=a\`}},
	{name: "backslash before a closing quote with a later quote", text: `x = 'a\' # it's` + "\n",
		want: []string{`x=a\' # it`, "s=\n"}},
	{name: "empty quotes", text: "x = ''\n", want: []string{"x="}},
	{name: "doubled quote", text: "x = 'it''s'\n",
		err: "main.conf:1: doubled quote in the value of x; Pgpool-II has no doubled quotes: use double quotes inside " +
			"the value, or call a script"},
	{name: "word behind a quoted value", text: "x = 'a' - b\n",
		err: `main.conf:1: unexpected "-" after the value of x; a single quote inside a quoted value ends it: use double ` +
			`quotes inside`},
	{name: "quote not closed, plain word", text: "x = 'abc\n", want: []string{"x='", "abc=\n"}},
	{name: "quote not closed, path", text: "y = 1\nx = '/bin/true\n",
		err: `main.conf:2: unexpected "/" after the value of x; close the quote on the same line`},
	{name: "double quotes", text: "x = \"5432\"\n",
		err: `main.conf:1: unexpected "5432" after the value of x; use single quotes`},

	{name: "integers", text: "a = 1 b = -2 c = +3 d = 0x1F e = 5min f = 0x10kB\n",
		want: []string{"a=1", "b=-2", "c=+3", "d=0x1F", "e=5min", "f=0x10kB"}},
	{name: "reals", text: "a = 1.5 b = .5 c = 1. d = -1.5e-3 e = .\n", want: []string{"a=1.5", "b=.5", "c=1.", "d=-1.5e-3",
		"e=."}},
	{name: "exponent without a point", text: "x = 1e5\n",
		err: `main.conf:1: unexpected "5" after the value of x; put the whole value in quotes: x = '…'`},
	{name: "unquoted words", text: "a = on b = host-1.example.org:5432/x c = a.\n",
		want: []string{"a=on", "b=host-1.example.org:5432/x", "c=a."}},
	{name: "unquoted address", text: "x = 127.0.0.1\n",
		err: `main.conf:1: unexpected ".0" after the value of x; put the whole value in quotes: x = '…'`},
	{name: "unquoted path of one part", text: "x = /tmp\n", want: []string{"x=/", "tmp=\n"}},
	{name: "unquoted path of two parts", text: "x = /var/run\n",
		err: `main.conf:1: unexpected "var/run" after the value of x; put the value in quotes: x = '/…'`},
	{name: "unit after a blank", text: "x = 5 min\ny = 1\n", want: []string{"x=5", "min=\n", "y=1"}},
	{name: "unquoted flags", text: "x = A|B\n",
		err: `main.conf:1: unexpected "|" after the value of x; put the whole value in quotes: x = '…'`},
	{name: "semicolon", text: "x = 1; y = 2\n",
		err: `main.conf:1: unexpected ";" after the value of x; put the whole value in quotes: x = '…'`},

	{name: "no value", text: "x =\ny = 1\n", want: []string{"x=\n", "y=1"}},
	{name: "no value but a comment", text: "x = # what?\n", want: []string{"x=\n"}},
	{name: "no value at the end", text: "x =", want: []string{"x="}},
	{name: "hash as value at the end", text: "x = #c", want: []string{"x=#", "c="}},
	{name: "two equals signs", text: "x == y\n", want: []string{"x==", "y=\n"}},
	{name: "two equals signs and a number", text: "x == 5\n",
		err: `main.conf:1: unexpected "5" after the value of x; write one = only`},

	{name: "dotted name", text: "x = 1\nmy.name = 1\n",
		err: `main.conf:2: name "my.name" has a dot; Pgpool-II has no dotted names: comment the line out`},
	{name: "hyphen in a name", text: "my-name = 1\n",
		err: `main.conf:1: a name is expected, found "my-name"; names have letters, digits and _, and begin with a letter`},
	{name: "quoted name", text: "'x' = 1\n",
		err: "main.conf:1: a name is expected, found 'x'; names are written without quotes"},
	{name: "number as name", text: "5 = 1\n",
		err: `main.conf:1: a name is expected, found "5"; names have letters, digits and _, and begin with a letter`},
	{name: "no name", text: "= 1\n", err: "main.conf:1: the name before = is missing; write name = value on one line"},

	{name: "include", text: "a = 1\ninclude 'b.conf'\nc = 3\n", files: map[string]string{"b.conf": "b = 2\n"},
		want: []string{"a=1", "b=2", "c=3"}},
	{name: "include without quotes", text: "include b.conf\n", files: map[string]string{"b.conf": "b = 2"},
		want: []string{"b=2"}},
	{name: "include beside the including file", text: "include = 'd/b.conf'\n",
		files: map[string]string{"d/b.conf": "include 'c.conf'", "d/c.conf": "c = 3\n"}, want: []string{"c=3"}},
	{name: "include a second time", text: "include 'b.conf' x = 1 include 'b.conf'\n",
		files: map[string]string{"b.conf": "b = 2\n"}, want: []string{"b=2", "x=1", "b=2"}},
	{name: "missing include", text: "a = 1\ninclude 'none.conf'\n",
		err: "main.conf:2: include 'none.conf': open none.conf: no such file or directory; Pgpool-II does not start " +
			"without the file: create it or take the line out"},
	{name: "include without name", text: "include\n",
		err: "main.conf:1: include without a file name; write include 'file'"},
	{name: "file that includes itself", text: "include 'b.conf'\n",
		files: map[string]string{"b.conf": "\ninclude 'b.conf'\n"},
		err:   "b.conf:2: includes nest deeper than 10; does a file include itself?"},
	{name: "syntax error in an included file", text: "include 'b.conf'\n", files: map[string]string{"b.conf": "\n?\n"},
		err: `b.conf:2: a name is expected, found "?"; names have letters, digits and _, and begin with a letter`},
	{name: "include_dir is an ordinary name", text: "include_dir = 'conf.d'\n", want: []string{"include_dir=conf.d"}},

	{name: "node settings", text: "backend_port0 = 5432 backend_hostname0 = 'h' backend_port01 = 5433\n",
		want: []string{"backend_port0=5432", "backend_hostname0=h", "backend_port01=5433"}},
	{name: "index missing", text: "backend_port = 5432\n",
		err: "main.conf:1: backend_port needs an index; write backend_port0 for the first"},
	{name: "index that is no number", text: "\nhostnames = 'x'\n",
		err: `main.conf:2: hostnames begins like hostname, so "s" is taken for its index, which has to be a number; ` +
			`write hostname0 to hostname127, or give a setting of your own another beginning`},
	{name: "index too high", text: "backend_port200 = 5432\n",
		err: "main.conf:1: index of backend_port200 is above 127; write backend_port0 to backend_port127, or give a " +
			"setting of your own another beginning"},

	{name: "number in octal", text: "port = 020000\n", want: []string{"port=020000"}},
	{name: "octal with a 9", text: "port = '09'\n", want: []string{"port=09"}, rejected: true},
	{name: "number with exponent", text: "port = '5e3'\n", want: []string{"port=5e3"}},
	{name: "port too low", text: "backend_port0 = 10\n", want: []string{"backend_port0=10"}, rejected: true},
	{name: "fraction of a number", text: "port = 9999.5\n", want: []string{"port=9999.5"}},
	{name: "unit for a node", text: "health_check_period0 = 5min\n", want: []string{"health_check_period0=5min"}},
	{name: "unit without node index", text: "health_check_period = 5s\n", want: []string{"health_check_period=5s"},
		rejected: true},
	{name: "unit with blanks", text: "sr_check_period = '1.5 min '\n", want: []string{"sr_check_period=1.5 min "}},
	{name: "unknown unit", text: "sr_check_period = 5m\n", want: []string{"sr_check_period=5m"}, rejected: true},
	{name: "unit where none is taken", text: "num_init_children = 5s\n", want: []string{"num_init_children=5s"},
		rejected: true},
	{name: "too large", text: "sr_check_period = 3000000000\n", want: []string{"sr_check_period=3000000000"},
		rejected: true},
	{name: "size above 32 bits", text: "delay_threshold = 8GB\n", want: []string{"delay_threshold=8GB"}},
	{name: "empty number", text: "sr_check_period = ''\n", want: []string{"sr_check_period="}, rejected: true},
	{name: "missing number", text: "sr_check_period =\n", want: []string{"sr_check_period=\n"}, rejected: true},
	{name: "word in any case", text: "backend_clustering_mode = RAW\n", want: []string{"backend_clustering_mode=RAW"}},
	{name: "unknown word", text: "backend_clustering_mode = cluster\n", want: []string{"backend_clustering_mode=cluster"},
		rejected: true},
	{name: "flags", text: "backend_flag0 = 'ALLOW_TO_FAILOVER||ALWAYS_PRIMARY'\n",
		want: []string{"backend_flag0=ALLOW_TO_FAILOVER||ALWAYS_PRIMARY"}},
	{name: "flags with blanks", text: "backend_flag0 = 'ALLOW_TO_FAILOVER | ALWAYS_PRIMARY'\n",
		want: []string{"backend_flag0=ALLOW_TO_FAILOVER | ALWAYS_PRIMARY"}, rejected: true},
	{name: "flags that exclude each other", text: "backend_flag0 = 'ALLOW_TO_FAILOVER|DISALLOW_TO_FAILOVER'\n",
		want: []string{"backend_flag0=ALLOW_TO_FAILOVER|DISALLOW_TO_FAILOVER"}, rejected: true},
	{name: "recovery without data directory", text: "recovery_1st_stage_command = 'x' backend_port0 = 5432\n",
		want: []string{"recovery_1st_stage_command=x", "backend_port0=5432"}, rejected: true},
	{name: "overridden bad value", text: "port = 1 port = 9999\n", want: []string{"port=1", "port=9999"}, rejected: true},
}

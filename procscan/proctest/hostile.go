package proctest

// Hostile are strings that a container might call a process, a user or a file, to harm a terminal or a shell.
func Hostile() []string {
	return []string{
		"", "plain", "two words", "new\nline", "tab\there", "cr\rover", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "bell\x07", "\x7f", "del\x7f",
		"\u009b31m", "\u202egnp.exe", "\u2066x\u2069", "zero\u200bwidth", "\u2028", "\ufeffbom", "\u3164", "a\ufe0f", "\U000e0041tag",
		"\xff\xfe", "half \xe2\x82", "back\\slash", `\n`, "é", "日本", "e\u0301", "$(reboot)", "`id`", "it's", `"`, "-rf", "~", "a;b", "a&&b", "!!", "*",
		"=cmd", "#x", "{a,b}", "\u00a0",
	}
}

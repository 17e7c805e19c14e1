package proctest

import "strings"

// Hostile are strings that a container might call a process, a user or a file, to harm a terminal or a shell.
func Hostile() []string {
	return []string{
		"", "plain", "two words", "new\nline", "tab\there", "cr\rover", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "bell\x07", "\x7f", "del\x7f",
		"\u009b31m", "\u202egnp.exe", "\u2066x\u2069", "zero\u200bwidth", "\u2028", "\ufeffbom", "\u3164", "a\ufe0f", "\U000e0041tag",
		"\xff\xfe", "half \xe2\x82", "back\\slash", `\n`, "é", "日本", "e\u0301", "$(reboot)", "`id`", "it's", `"`, "-rf", "~", "a;b", "a&&b", "!!", "*",
		"=cmd", "#x", "{a,b}", "\u00a0",
	}
}

// Scripts are names in which bytes, code points, characters and columns of a terminal are different numbers.
func Scripts() []string {
	return []string{
		"한글", "漢字", "ｆｕｌｌ", "ｶﾀｶﾅ", "ｶﾞｰﾄﾞ", "𠀀𠮷", // wide, and halfwidth with a sound mark of its own column
		"\u1112\u1161\u11ab\u1100\u1173\u11af", "\u1161", "\u11ab", // Hangul as conjoining jamo, and parts of it alone
		"é", "e\u0301", "e\u0301\u0323\u0302\u0308", "a" + strings.Repeat("\u0301", 20), "\u0301x", " \u0301x", "a\u20dd", "か\u3099",
		"हिन्दी", "नि", "क्षि", "\u093e", "தமிழ்", "কোড", "ไทยกำ", "ที่", "ລາວ", "မြန်မာ", "ខ្មែរ", "བོད",
		"مرحبا", "שָׁלוֹם", "\u0600", "\u202eabc\u202c", "\u2066abc\u2069", "\u061c",
		"😀", "👨\u200d👩\u200d👧\u200d👦", "👍🏽", "a🏽", "🏽", "🇰🇷", "🇰", "🇰🇷🇯", "1\ufe0f\u20e3", "1\u20e3", "❤", "❤\ufe0f", "❤\ufe0e", "🏴\U000e0067\U000e0062\U000e007f",
		"①α§±°×…—“”", "†■□▲○●★☆♀♂♥", "©®™", "𝔘𝔫𝔦",
		"a\u200bb", "a\u200cb", "a\ufeffb", "a\u00adb", "\n\u0301", "tab\there",
		"half \xe6\xbc", "\xff\u0301", "\u4dc0",
	}
}

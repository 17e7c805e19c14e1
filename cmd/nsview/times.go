package main

import (
	"fmt"
	"strconv"
	"time"
)

// startText is when something started that was so old when it was looked at, as ps(1) has it: the time of the day within 24
// hours, the day within the same year, else the year. "" when it is unknown.
func startText(at *time.Time, age time.Duration) string {
	if at == nil {
		return ""
	}
	start := at.Local()
	switch looked := start.Add(age); {
	case age < 24*time.Hour:
		return start.Format("15:04:05")
	case start.Year() == looked.Year():
		return start.Format("Jan02")
	}
	return start.Format("2006")
}

// modifiedText is when a file was modified, as startText has it. What is to come has no time of the day, but for clocks that
// differ a little, as those of a host and of a file server do.
func modifiedText(at *time.Time, age time.Duration) string {
	if at == nil || age > -time.Minute {
		return startText(at, max(age, 0))
	}
	if now := at.Add(age).Local(); now.Year() == at.Local().Year() {
		return at.Local().Format("Jan02")
	}
	return at.Local().Format("2006")
}

// sizeText is a number of bytes as ls -lh prints it: in powers of 1024, rounded up, with a decimal place below ten of them.
// "" when it is unknown.
func sizeText(bytes *uint64) string {
	if bytes == nil {
		return ""
	}
	n := *bytes
	if n < 1024 {
		return strconv.FormatUint(n, 10)
	}
	const units = "KMGTPE"
	for i := range len(units) {
		unit := uint64(1) << (10 * (i + 1))
		whole, rest := n/unit, n%unit
		if tenths := whole*10 + roundUp(rest*10, unit); tenths < 100 {
			return fmt.Sprintf("%d.%d%c", tenths/10, tenths%10, units[i])
		}
		if whole += roundUp(rest, unit); whole < 1024 {
			return fmt.Sprintf("%d%c", whole, units[i])
		}
	}
	return "" // 2^64 bytes are 16 E
}

// roundUp divides.
func roundUp(n, by uint64) uint64 { return (n + by - 1) / by }

// elapsedText is a time as ps(1) has it: [[DAYS-]HOURS:]MINUTES:SECONDS.
func elapsedText(d time.Duration) string {
	seconds := int(d / time.Second)
	text := fmt.Sprintf("%02d:%02d", seconds/60%60, seconds%60)
	hours := seconds / 3600
	switch {
	case hours >= 24:
		return fmt.Sprintf("%d-%02d:%s", hours/24, hours%24, text)
	case hours > 0:
		return fmt.Sprintf("%02d:%s", hours, text)
	}
	return text
}

// ageText is a time as kubectl has it: its two largest units, the larger alone from ten of it on.
func ageText(at *time.Time, age time.Duration) string {
	if at == nil {
		return ""
	}
	units := []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}}
	for i, u := range units {
		n := age / u.size
		if n == 0 && i < len(units)-1 {
			continue
		}
		text := fmt.Sprintf("%d%s", n, u.name)
		if n < 10 && i < len(units)-1 {
			if rest := age % u.size / units[i+1].size; rest > 0 {
				text += fmt.Sprintf("%d%s", rest, units[i+1].name)
			}
		}
		return text
	}
	return ""
}

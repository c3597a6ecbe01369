package pgpoolconf

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// unit is one unit word and its size, in microseconds or in bytes.
type unit struct {
	word string
	size float64
}

// Largest first: a fraction is rounded to the next smaller unit of its table.
var (
	timeUnits = []unit{
		{"d", 86400e6}, {"h", 3600e6}, {"min", 60e6}, {"s", 1e6}, {"ms", 1e3}, {"us", 1},
	}
	byteUnits = []unit{
		{"TB", 1 << 40}, {"GB", 1 << 30}, {"MB", 1 << 20}, {"kB", 1 << 10}, {"B", 1},
	}
)

// timeWord names the units of time that parameters have as base unit.
var timeWord = map[time.Duration]string{time.Millisecond: "ms", time.Second: "s", time.Minute: "min"}

// decimal is what C's strtod takes from the start of a decimal number.
var decimal = regexp.MustCompile(`^[ \t\n\v\f\r]*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)`)

// whole is what C's strtol takes with base 0: hexadecimal, octal or decimal.
var whole = regexp.MustCompile(`^[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)`)

const blanks = " \t\n\v\f\r"

// parseBool reads a boolean. Words may be shortened as long as they are unique.
func parseBool(value string) (on, ok bool) {
	lower := strings.ToLower(value)
	prefix := func(word string, atLeast int) bool {
		return len(lower) >= atLeast && strings.HasPrefix(word, lower)
	}
	switch {
	case value == "1" || prefix("true", 1) || prefix("yes", 1) || prefix("on", 2):
		return true, true
	case value == "0" || prefix("false", 1) || prefix("no", 1) || prefix("off", 2):
		return false, true
	}
	return false, false
}

// parseNumber reads a number with an optional unit, in the base unit, rounded to
// a whole number (half to even). An empty base means that no unit may follow.
// The second result says what is wrong; it is empty when all is well.
func parseNumber(value, base string) (int64, string) {
	number, rest, ok := leadingNumber(value)
	if !ok {
		return 0, "not a number"
	}
	if rest = strings.TrimLeft(rest, blanks); rest != "" {
		if base == "" {
			return 0, "a unit or anything else after the number is not accepted here"
		}
		if number, ok = convert(number, strings.TrimRight(rest, blanks), base); !ok {
			return 0, "unknown unit " + strconv.Quote(rest)
		}
	}
	number = math.RoundToEven(number)
	// 2^63 itself is out; below it a float converts without loss of range.
	if number >= math.MaxInt64 || number < math.MinInt32 {
		return 0, "number out of range"
	}
	return int64(number), ""
}

// leadingNumber splits the number from the start of value. Integers may be
// octal or hexadecimal; with a point or an exponent the number is decimal.
func leadingNumber(value string) (number float64, rest string, ok bool) {
	if m := whole.FindStringSubmatch(value); m != nil {
		rest = value[len(m[0]):]
		n, err := strconv.ParseInt(m[1]+m[2], 0, 64)
		if err == nil && (rest == "" || strings.IndexByte(".eE", rest[0]) < 0) {
			return float64(n), rest, true
		}
	}
	m := decimal.FindStringSubmatch(value)
	if m == nil {
		return 0, "", false
	}
	number, err := strconv.ParseFloat(m[1], 64)
	return number, value[len(m[0]):], err == nil
}

// convert turns a number of one unit into the base unit.
func convert(number float64, word, base string) (float64, bool) {
	for _, table := range [][]unit{timeUnits, byteUnits} {
		size := sizeOf(table, base)
		if size == 0 {
			continue
		}
		for i, u := range table {
			if u.word != word {
				continue
			}
			number *= u.size / size
			if i+1 < len(table) {
				next := table[i+1].size / size
				number = math.RoundToEven(number/next) * next
			}
			return number, true
		}
	}
	return 0, false
}

// sizeOf returns the size of a unit, 0 when the table does not have it.
func sizeOf(table []unit, word string) float64 {
	for _, u := range table {
		if u.word == word {
			return u.size
		}
	}
	return 0
}

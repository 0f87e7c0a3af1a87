package config

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"

	"zkafka/etc"
)

// Error is a setting that cannot be used. Its message is upstream's, word for word where clients
// see it; the hint is ours.
type Error = etc.Fault

// Errors is every fault found in one configuration.
type Errors = etc.Faults

// invalid is upstream's wording of a value that fails a check.
func invalid(key, value, why string) *Error {
	msg := "Invalid value " + value + " for configuration " + key
	if why != "" {
		msg += ": " + why
	}
	return &Error{Key: key, Message: msg}
}

// check parses a value by the key's type and applies the key's limits.
func (k *Key) check(value string) *Error {
	value = strings.TrimSpace(value)
	switch k.Type {
	case Boolean:
		if !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
			return invalid(k.Name, value, "Expected value to be either true or false")
		}
	case Int:
		return k.checkInteger(value, 32, "INT")
	case Short:
		return k.checkInteger(value, 16, "SHORT")
	case Long:
		return k.checkInteger(value, 64, "LONG")
	case Double:
		f, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return invalid(k.Name, value, "Not a number of type DOUBLE")
		}
		return k.checkRange(strconv.FormatFloat(f, 'f', -1, 64), f)
	case List:
		for _, item := range etc.SplitList(value) {
			if err := k.checkWord(item); err != nil {
				return err
			}
		}
		return k.checkReplicaList(value)
	default:
		return k.checkWord(value)
	}
	return nil
}

func (k *Key) checkInteger(value string, bits int, typ string) *Error {
	n, err := strconv.ParseInt(value, 10, bits)
	if err != nil {
		return invalid(k.Name, value, "Not a number of type "+typ)
	}
	return k.checkRange(value, float64(n))
}

// checkRange applies limits written as "low..high", either side possibly empty, or as a list of
// numbers separated by commas after "in ".
func (k *Key) checkRange(text string, n float64) *Error {
	if k.Valid == "gzip" { // -1 is the library default, 1 to 9 are levels, 0 is neither
		if n != -1 && (n < 1 || n > 9) {
			return invalid(k.Name, text, "Value must be between 1 and 9 or equal to -1")
		}
		return nil
	}
	if words, ok := strings.CutPrefix(k.Valid, "in "); ok {
		if !contains(strings.Split(words, ","), text) {
			return invalid(k.Name, text, "")
		}
		return nil
	}
	low, high, ok := strings.Cut(k.Valid, "..")
	if !ok {
		return nil
	}
	if low != "" && n < mustNumber(low) {
		return invalid(k.Name, text, "Value must be at least "+low)
	}
	if high != "" && n > mustNumber(high) {
		return invalid(k.Name, text, "Value must be no more than "+high)
	}
	return nil
}

func mustNumber(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic(fmt.Sprintf("table of settings: %q is no number", s))
	}
	return f
}

func (k *Key) checkWord(value string) *Error {
	if k.Valid == "version" && !isVersion(value) {
		return invalid(k.Name, value, "Version "+value+" is not a valid version")
	}
	words, ok := strings.CutPrefix(k.Valid, "in ")
	if !ok {
		return nil
	}
	list := strings.Split(words, ",")
	if !contains(list, value) {
		return invalid(k.Name, value, "String must be one of: "+strings.Join(list, ", "))
	}
	return nil
}

// hint is the way out of a value that the key does not take.
func (k *Key) hint() string {
	if k.Refused != "" {
		if strings.Contains(k.Refused, "remove") {
			return ""
		}
		return "remove it to do without"
	}
	var parts []string
	if k.Type != Boolean && !strings.HasPrefix(k.Valid, "in ") { // else upstream's message says it
		parts = append(parts, "write "+k.expects())
	}
	if k.Default != nil && *k.Default != "" {
		parts = append(parts, "the default is "+*k.Default)
	}
	return cmp.Or(strings.Join(parts, "; "), "remove it to do without")
}

// expects says what values the key takes.
func (k *Key) expects() string {
	switch k.Valid {
	case "gzip":
		return "-1, or a whole number from 1 to 9"
	case "version":
		return "a release, such as 3.9"
	case "replicas":
		return "*, or partition:broker pairs with commas between them"
	}
	low, high, _ := strings.Cut(k.Valid, "..")
	kind := "a whole number"
	switch k.Type {
	case Int:
		high = cmp.Or(high, strconv.Itoa(math.MaxInt32))
	case Short:
		high = cmp.Or(high, strconv.Itoa(math.MaxInt16))
	case Long:
	case Double:
		kind = "a number"
	default:
		return "another value"
	}
	switch {
	case low != "" && high != "":
		return kind + " from " + low + " to " + high
	case low != "":
		return kind + " of at least " + low
	case high != "":
		return kind + " of at most " + high
	}
	return kind
}

// checkReplicaList applies the "replicas" limit: "*", or partition:broker pairs.
func (k *Key) checkReplicaList(value string) *Error {
	if k.Valid != "replicas" || value == "" || value == "*" {
		return nil
	}
	for _, item := range etc.SplitList(value) {
		p, b, ok := strings.Cut(item, ":")
		_, errP := strconv.ParseUint(p, 10, 31)
		_, errB := strconv.ParseUint(b, 10, 31)
		if errP != nil || errB != nil || !ok {
			return invalid(k.Name, "["+strings.Join(etc.SplitList(value), ", ")+"]",
				k.Name+replicaListRule)
		}
	}
	return nil
}

const replicaListRule = " must be the literal '*' or a list of replicas in the following format: " +
	"[partitionId]:[brokerId],[partitionId]:[brokerId],..."

// isVersion accepts release numbers as upstream spells them: 2.8, 3.9-IV0, 0.10.2-IV1.
func isVersion(text string) bool {
	number, iv, has := strings.Cut(text, "-IV")
	if has && (iv == "" || strings.Trim(iv, "0123456789") != "") {
		return false
	}
	parts := strings.Split(number, ".")
	for _, p := range parts {
		if p == "" || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return len(parts) >= 2 && len(parts) <= 4
}
